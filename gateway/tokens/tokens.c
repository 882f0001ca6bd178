/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts, and the workers who ask for their tokens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/wipe.h"
#include "gateway/tokens/tokens_internal.h"

/* A token is not asked for again because istiod did not take it, before it is so old. */
#define REJECT_AFTER_S 5.0

/* ---- accounts ---- */

static bool same_texts(char *const *a, char *const *b)
{
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return *a == NULL && *b == NULL;
}

static struct token_account **find(struct tokens *t, const struct tokens_whose *w)
{
    uint32_t h = hash_bytes(hash_bytes(HASH_START, w->ns, strlen(w->ns)), w->sa, strlen(w->sa));
    struct token_account **link = &t->buckets[h % TOKENS_BUCKETS];

    while (*link != NULL &&
           (strcmp((*link)->whose.ns, w->ns) != 0 || strcmp((*link)->whose.sa, w->sa) != 0 ||
            !same_texts((*link)->whose.audiences, w->audiences))) {
        link = &(*link)->next;
    }
    return link;
}

static void free_whose(struct tokens_whose *w)
{
    for (char *const *a = w->audiences; a != NULL && *a != NULL; a++) {
        free(*a);
    }
    free((void *)(uintptr_t)w->audiences);
    free((void *)(uintptr_t)w->ns);
    free((void *)(uintptr_t)w->sa);
}

static bool copy_whose(const struct tokens_whose *from, struct tokens_whose *to)
{
    size_t n = 0;
    while (from->audiences[n] != NULL) {
        n++;
    }
    char **audiences = calloc(n + 1, sizeof(char *));
    to->ns = strdup(from->ns);
    to->sa = strdup(from->sa);
    to->audiences = audiences;
    bool ok = audiences != NULL && to->ns != NULL && to->sa != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        audiences[i] = strdup(from->audiences[i]);
        ok = audiences[i] != NULL;
    }
    return ok;
}

static void free_account(struct token_account *a)
{
    wipe_text(&a->token);
    free_whose(&a->whose);
    free(a);
}

static bool is_idle(const struct token_account *a)
{
    return a->n_held == 0 && a->request == REQUEST_NONE;
}

void tokens_forget_unused(struct tokens *t, double since)
{
    for (size_t i = 0; i < TOKENS_BUCKETS; i++) {
        for (struct token_account **link = &t->buckets[i]; *link != NULL;) {
            struct token_account *a = *link;
            if (is_idle(a) && a->used_at < since) {
                *link = a->next;
                t->n_accounts--;
                free_account(a);
            } else {
                link = &a->next;
            }
        }
    }
}

static struct token_account *add_account(struct tokens *t, const struct tokens_whose *w,
                                         struct token_account **link)
{
    struct token_account *a = calloc(1, sizeof(*a));

    if (a == NULL || !copy_whose(w, &a->whose)) {
        if (a != NULL) {
            free_account(a);
        }
        return NULL;
    }
    list_init(&a->queue);
    list_init(&a->waits);
    *link = a;
    t->n_accounts++;
    return a;
}

static struct token_account *need_account(struct tokens *t, const struct tokens_whose *w,
                                          double now)
{
    struct token_account **link = find(t, w);

    if (*link != NULL) {
        return *link;
    }
    if (t->n_accounts >= TOKENS_ACCOUNTS_MAX) {
        tokens_forget_unused(t, now - TOKENS_FORGET_S / 2);
        link = find(t, w);
    }
    return t->n_accounts < TOKENS_ACCOUNTS_MAX ? add_account(t, w, link) : NULL;
}

/* ---- what is wanted ---- */

bool tokens_is_usable(const struct token_account *a, double now)
{
    return a->token != NULL && now < a->expires_at - TOKENS_MARGIN_S;
}

bool tokens_want(struct tokens *t, struct token_account *a, double now)
{
    if (a->request != REQUEST_NONE || now < a->failed_until || t->closed) {
        return false;
    }
    a->request = REQUEST_QUEUED;
    list_add_tail(&t->queue, &a->queue);
    return true;
}

/* ---- answers ---- */

static void fail(struct tokens_answer *a, enum tokens_outcome outcome, const char *why)
{
    *a = (struct tokens_answer){.outcome = outcome};
    (void)snprintf(a->why, sizeof(a->why), "%s", why);
}

bool tokens_wait_is_vain(const struct tokens *t, double since, double now)
{
    return now < t->quiet_until && since + TOKENS_WAIT_S <= t->quiet_until;
}

/* What can be said now of an account without a token. */
static void answer_failure(const struct tokens *t, const struct token_account *account, double now,
                           struct tokens_answer *a)
{
    if (account->failure != TOKENS_READY) {
        fail(a, account->failure, account->why);
    } else {
        fail(a, TOKENS_UNAVAILABLE,
             now < t->quiet_until ? t->quiet_why : "Kubernetes has not answered in time");
    }
}

static void answer(const struct tokens *t, const struct token_account *account, double now,
                   struct tokens_answer *a)
{
    if (!tokens_is_usable(account, now)) {
        answer_failure(t, account, now, a);
        return;
    }
    *a = (struct tokens_answer){.outcome = TOKENS_READY, .serial = account->serial};
    a->token = strdup(account->token);
    if (a->token == NULL) {
        fail(a, TOKENS_UNAVAILABLE, "out of memory");
    }
}

void tokens_answer_fini(struct tokens_answer *a)
{
    wipe_text(&a->token);
}

static void release(struct token_wait *w)
{
    list_del(&w->node);
    w->account->n_held--;
    w->account = NULL;
    w->clerk = NULL;
}

void tokens_take_answer(struct token_wait *w, double now, struct tokens_answer *a)
{
    struct tokens *t = w->clerk->tokens;

    pthread_mutex_lock(&t->lock);
    w->account->used_at = now;
    answer(t, w->account, now, a);
    release(w);
    pthread_mutex_unlock(&t->lock);
}

void tokens_cancel(struct token_wait *w)
{
    if (w->clerk == NULL) {
        return;
    }
    struct tokens *t = w->clerk->tokens;
    pthread_mutex_lock(&t->lock);
    release(w);
    pthread_mutex_unlock(&t->lock);
}

/* On the worker: tell everybody whose answer is there. */
static void on_mail(struct worker *worker, void *arg)
{
    struct token_clerk *c = arg;
    struct tokens *t = c->tokens;

    (void)worker;
    pthread_mutex_lock(&t->lock);
    c->posted = false;
    while (!list_empty(&c->answered)) {
        struct token_wait *w = LIST_ENTRY(c->answered.next, struct token_wait, node);
        pthread_mutex_unlock(&t->lock);
        w->on_answer(w); /* only this thread takes from the list: it takes or cancels w */
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
}

void tokens_post(struct token_clerk *c)
{
    if (!c->posted && !list_empty(&c->answered)) {
        c->posted = worker_post(c->worker, on_mail, c) == RC_OK;
    }
}

void tokens_tell(struct token_wait *w)
{
    list_del(&w->node);
    list_add_tail(&w->clerk->answered, &w->node);
    tokens_post(w->clerk);
}

/* ---- asking ---- */

static bool is_failed(const struct token_account *a, double now)
{
    return a->failure != TOKENS_READY && now < a->failed_until;
}

static void wait_for(struct token_clerk *c, struct token_account *account, double now,
                     struct token_wait *w)
{
    w->clerk = c;
    w->account = account;
    w->since = now;
    account->n_held++;
    list_add_tail(&account->waits, &w->node);
}

/* Under the lock. *wake: something is wanted. */
static enum tokens_outcome ask(struct token_clerk *c, const struct tokens_whose *whose, double now,
                               struct token_wait *w, struct tokens_answer *a, bool *wake)
{
    struct tokens *t = c->tokens;
    struct token_account *account = t->closed ? NULL : need_account(t, whose, now);

    if (account == NULL) {
        fail(a, TOKENS_UNAVAILABLE,
             t->closed ? "xdsgate is stopping" : "too many service accounts, or out of memory");
        return a->outcome;
    }
    account->used_at = now;
    if (tokens_is_usable(account, now)) {
        *wake = now >= account->renew_at && tokens_want(t, account, now);
        answer(t, account, now, a);
        return a->outcome;
    }
    if (is_failed(account, now)) {
        answer(t, account, now, a);
        return a->outcome;
    }
    *wake = tokens_want(t, account, now);
    if (tokens_wait_is_vain(t, now, now)) {
        answer(t, account, now, a);
        return a->outcome;
    }
    wait_for(c, account, now, w);
    return TOKENS_WAITS;
}

enum tokens_outcome tokens_ask(struct token_clerk *c, const struct tokens_whose *whose, double now,
                               struct token_wait *w, struct tokens_answer *a)
{
    struct tokens *t = c->tokens;
    bool wake = false;

    CHECK_MAGIC(t, TOKENS_MAGIC);
    CHECK(worker_is_current(c->worker) && w->clerk == NULL);
    pthread_mutex_lock(&t->lock);
    enum tokens_outcome outcome = ask(c, whose, now, w, a, &wake);
    pthread_mutex_unlock(&t->lock);
    if (wake) {
        t->wake(t->arg);
    }
    return outcome;
}

void tokens_reject(struct token_clerk *c, const struct tokens_whose *whose, uint64_t serial,
                   double now)
{
    struct tokens *t = c->tokens;

    pthread_mutex_lock(&t->lock);
    struct token_account *a = *find(t, whose);
    if (a != NULL && a->token != NULL && a->serial == serial && now - a->got_at >= REJECT_AFTER_S) {
        wipe_text(&a->token);
    }
    pthread_mutex_unlock(&t->lock);
}

/* ---- life ---- */

enum rc tokens_new(void (*wake)(void *arg), void *arg, double now, struct tokens **out)
{
    struct tokens *t = calloc(1, sizeof(*t));

    if (t == NULL) {
        return RC_NO_MEMORY;
    }
    t->magic = TOKENS_MAGIC;
    t->wake = wake;
    t->arg = arg;
    t->allowance = TOKENS_PER_SECOND;
    t->allowance_at = now;
    list_init(&t->queue);
    list_init(&t->clerks);
    pthread_mutex_init(&t->lock, NULL);
    *out = t;
    return RC_OK;
}

void tokens_free(struct tokens **pt)
{
    struct tokens *t = *pt;

    *pt = NULL;
    if (t == NULL) {
        return;
    }
    CHECK_MAGIC(t, TOKENS_MAGIC);
    CHECK(list_empty(&t->clerks));
    for (size_t i = 0; i < TOKENS_BUCKETS; i++) {
        while (t->buckets[i] != NULL) {
            struct token_account *a = t->buckets[i];
            t->buckets[i] = a->next;
            free_account(a);
        }
    }
    pthread_mutex_destroy(&t->lock);
    t->magic = 0;
    free(t);
}

enum rc token_clerk_new(struct tokens *t, struct worker *w, struct token_clerk **out)
{
    struct token_clerk *c = calloc(1, sizeof(*c));

    CHECK_MAGIC(t, TOKENS_MAGIC);
    if (c == NULL) {
        return RC_NO_MEMORY;
    }
    c->tokens = t;
    c->worker = w;
    list_init(&c->answered);
    pthread_mutex_lock(&t->lock);
    list_add_tail(&t->clerks, &c->node);
    pthread_mutex_unlock(&t->lock);
    *out = c;
    return RC_OK;
}

void token_clerk_free(struct token_clerk **pc)
{
    struct token_clerk *c = *pc;

    *pc = NULL;
    if (c == NULL) {
        return;
    }
    pthread_mutex_lock(&c->tokens->lock);
    CHECK(list_empty(&c->answered));
    list_del(&c->node);
    pthread_mutex_unlock(&c->tokens->lock);
    free(c);
}
