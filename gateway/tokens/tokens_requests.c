/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be requested, and what came of it. */
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/wipe.h"
#include "gateway/tokens/tokens_internal.h"

/* How long an answer of Kubernetes that is no token counts. */
#define REFUSED_S 10.0
#define UNAVAILABLE_FIRST_S 1.0
#define UNAVAILABLE_LAST_S 15.0

static void refill(struct tokens *t, double now)
{
    t->allowance += (now - t->allowance_at) * TOKENS_PER_SECOND;
    t->allowance_at = now;
    if (t->allowance > TOKENS_PER_SECOND) {
        t->allowance = TOKENS_PER_SECOND;
    }
}

struct token_account *tokens_take(struct tokens *t, double now)
{
    struct token_account *a = NULL;

    CHECK_MAGIC(t, TOKENS_MAGIC);
    pthread_mutex_lock(&t->lock);
    refill(t, now);
    if (now >= t->quiet_until && t->n_in_flight < TOKENS_IN_FLIGHT_MAX && t->allowance >= 1 &&
        !list_empty(&t->queue)) {
        t->allowance -= 1;
        a = LIST_ENTRY(list_pop(&t->queue), struct token_account, queue);
        a->request = REQUEST_IN_FLIGHT;
        t->n_in_flight++;
        t->n_requests++;
    }
    pthread_mutex_unlock(&t->lock);
    return a;
}

const struct tokens_whose *tokens_whose(const struct token_account *account)
{
    return &account->whose;
}

static void tell_all(struct token_account *a)
{
    while (!list_empty(&a->waits)) {
        tokens_tell(LIST_ENTRY(a->waits.next, struct token_wait, node));
    }
}

/* ---- what came ---- */

static void land(struct tokens *t, struct token_account *a)
{
    CHECK(a->request == REQUEST_IN_FLIGHT && t->n_in_flight > 0);
    a->request = REQUEST_NONE;
    t->n_in_flight--;
}

static double max_of(double a, double b)
{
    return a > b ? a : b;
}

/* Seconds that the server wants to be left alone for, as far as it gets that. */
static double quiet_s(const struct tokens_failure *f)
{
    return f->retry_after_s < TOKENS_RETRY_AFTER_MAX_S ? f->retry_after_s
                                                       : TOKENS_RETRY_AFTER_MAX_S;
}

static bool note_failure(struct tokens *t, struct token_account *a, const struct tokens_failure *f,
                         double now)
{
    bool fresh = a->failure != f->outcome;

    a->pause = fresh ? UNAVAILABLE_FIRST_S : 2 * a->pause;
    if (a->pause > UNAVAILABLE_LAST_S) {
        a->pause = UNAVAILABLE_LAST_S;
    }
    a->failure = f->outcome;
    a->failed_until = now + max_of(f->outcome == TOKENS_REFUSED ? REFUSED_S : a->pause, quiet_s(f));
    (void)snprintf(a->why, sizeof(a->why), "%s", f->why);
    t->n_failures++;
    tell_all(a);
    return fresh;
}

void tokens_put(struct tokens *t, struct token_account *account, const char *token, size_t n,
                double life_s, double now)
{
    CHECK_MAGIC(t, TOKENS_MAGIC);
    pthread_mutex_lock(&t->lock);
    land(t, account);
    char *copy = strndup(token, n);
    if (copy == NULL) {
        const struct tokens_failure f = {.outcome = TOKENS_UNAVAILABLE, .why = "out of memory"};
        (void)note_failure(t, account, &f, now);
    } else {
        wipe_text(&account->token);
        account->token = copy;
        t->n_received++;
        account->serial = ++t->serial;
        account->got_at = now;
        account->renew_at = now + TOKENS_RENEW_AT * life_s;
        account->expires_at = now + life_s;
        account->failure = TOKENS_READY;
        account->failed_until = 0;
        tell_all(account);
    }
    pthread_mutex_unlock(&t->lock);
}

/* Who waits may do so in vain now; tokens_look() tells them. */
static void be_quiet(struct tokens *t, const struct tokens_failure *f, double now)
{
    t->quiet_until = max_of(t->quiet_until, now + quiet_s(f));
    (void)snprintf(t->quiet_why, sizeof(t->quiet_why), "%s", f->why);
}

bool tokens_put_failure(struct tokens *t, struct token_account *account,
                        const struct tokens_failure *f, double now)
{
    CHECK_MAGIC(t, TOKENS_MAGIC);
    CHECK(f->outcome == TOKENS_REFUSED || f->outcome == TOKENS_UNAVAILABLE);
    pthread_mutex_lock(&t->lock);
    land(t, account);
    bool fresh = note_failure(t, account, f, now);
    if (f->of_all) {
        be_quiet(t, f, now);
    }
    pthread_mutex_unlock(&t->lock);
    return fresh;
}

void tokens_put_back(struct tokens *t, struct token_account *account, double now)
{
    CHECK_MAGIC(t, TOKENS_MAGIC);
    pthread_mutex_lock(&t->lock);
    land(t, account);
    (void)tokens_want(t, account, now);
    pthread_mutex_unlock(&t->lock);
}

/* ---- time ---- */

/* Its token has to be renewed before somebody needs it: it was used in this one's life. */
static void renew(struct tokens *t, struct token_account *a, double now)
{
    if (a->token != NULL && now >= a->renew_at && a->used_at >= a->got_at) {
        (void)tokens_want(t, a, now);
    }
    if (a->token != NULL && now >= a->expires_at) {
        wipe_text(&a->token);
    }
}

static void end_long_waits(struct tokens *t, struct token_account *a, double now)
{
    struct list *n;
    struct list *spare;

    LIST_FOREACH_SAFE(n, spare, &a->waits)
    {
        struct token_wait *w = LIST_ENTRY(n, struct token_wait, node);
        if (now - w->since >= TOKENS_WAIT_S || tokens_wait_is_vain(t, w->since, now)) {
            tokens_tell(w);
        }
    }
}

/* Seconds until something can be requested, 1 at most. */
static double pause_of(const struct tokens *t, double now)
{
    if (list_empty(&t->queue) || t->n_in_flight >= TOKENS_IN_FLIGHT_MAX) {
        return 1.0;
    }
    if (now < t->quiet_until) {
        return t->quiet_until - now < 1.0 ? t->quiet_until - now : 1.0;
    }
    return t->allowance >= 1 ? 0 : 1.0 / TOKENS_PER_SECOND;
}

double tokens_look(struct tokens *t, double now)
{
    CHECK_MAGIC(t, TOKENS_MAGIC);
    pthread_mutex_lock(&t->lock);
    tokens_forget_unused(t, now - TOKENS_FORGET_S);
    for (size_t i = 0; i < TOKENS_BUCKETS; i++) {
        for (struct token_account *a = t->buckets[i]; a != NULL; a = a->next) {
            renew(t, a, now);
            end_long_waits(t, a, now);
        }
    }
    for (struct list *n = t->clerks.next; n != &t->clerks; n = n->next) {
        tokens_post(LIST_ENTRY(n, struct token_clerk, node));
    }
    double pause = pause_of(t, now);
    pthread_mutex_unlock(&t->lock);
    return pause;
}

void tokens_reset(struct tokens *t)
{
    CHECK_MAGIC(t, TOKENS_MAGIC);
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < TOKENS_BUCKETS; i++) {
        for (struct token_account *a = t->buckets[i]; a != NULL; a = a->next) {
            wipe_text(&a->token);
            a->failure = TOKENS_READY;
            a->failed_until = 0;
        }
    }
    t->quiet_until = 0;
    pthread_mutex_unlock(&t->lock);
}

void tokens_close(struct tokens *t, double now)
{
    const struct tokens_failure f = {.outcome = TOKENS_UNAVAILABLE, .why = "xdsgate is stopping"};

    CHECK_MAGIC(t, TOKENS_MAGIC);
    pthread_mutex_lock(&t->lock);
    t->closed = true;
    while (!list_empty(&t->queue)) {
        LIST_ENTRY(list_pop(&t->queue), struct token_account, queue)->request = REQUEST_NONE;
    }
    for (size_t i = 0; i < TOKENS_BUCKETS; i++) {
        for (struct token_account *a = t->buckets[i]; a != NULL; a = a->next) {
            if (!list_empty(&a->waits)) {
                (void)note_failure(t, a, &f, now);
            }
        }
    }
    pthread_mutex_unlock(&t->lock);
}

void tokens_stats(struct tokens *t, double now, struct tokens_stats *out)
{
    CHECK_MAGIC(t, TOKENS_MAGIC);
    pthread_mutex_lock(&t->lock);
    *out = (struct tokens_stats){.requests = t->n_requests,
                                 .received = t->n_received,
                                 .failures = t->n_failures,
                                 .accounts = t->n_accounts};
    for (size_t i = 0; i < TOKENS_BUCKETS; i++) {
        for (const struct token_account *a = t->buckets[i]; a != NULL; a = a->next) {
            out->ready += tokens_is_usable(a, now);
        }
    }
    pthread_mutex_unlock(&t->lock);
}
