/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of calls: waiting (for a moment, or for room), running, over. A call is moved on by
 * kube_turn() only, outside of libcurl's callbacks; a cancel marks it. Callbacks may start and
 * cancel calls, so lists are walked anew after each.
 */
#include "kube/kube.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/wipe.h"
#include "kube/kube_internal.h"

/* ---- the client ---- */

static uint32_t or_default(uint32_t v, uint32_t fallback)
{
    return v > 0 ? v : fallback;
}

static struct kube_opts complete_opts(const struct kube_opts *given)
{
    static const struct kube_opts zeros = {0};
    const struct kube_opts *o = given != NULL ? given : &zeros;
    size_t max = o->answer_max_bytes;

    return (struct kube_opts){
        .connect_timeout_ms = or_default(o->connect_timeout_ms, KUBE_CONNECT_TIMEOUT_MS),
        .call_timeout_ms = or_default(o->call_timeout_ms, KUBE_CALL_TIMEOUT_MS),
        .answer_max_bytes = max > 0 && max < DOC_MAX_BYTES ? max : DOC_MAX_BYTES,
        .calls_max = or_default(o->calls_max, KUBE_CALLS_MAX),
        .parallel_max = or_default(o->parallel_max, KUBE_PARALLEL_MAX),
    };
}

enum rc kube_new(struct kube_access **access, const struct kube_opts *opts, struct kube_error *err,
                 struct kube **out)
{
    const struct curl_table *curl = NULL;
    enum rc rc = curl_table_load(err, &curl);
    struct kube *k = rc == RC_OK ? calloc(1, sizeof(*k)) : NULL;
    CURLM *multi = k != NULL ? curl->multi_init() : NULL;

    if (multi == NULL) {
        free(k);
        kube_access_free(access);
        return rc != RC_OK ? rc : kube_fail(err, RC_NO_MEMORY, "out of memory");
    }
    k->magic = KUBE_MAGIC;
    k->curl = curl;
    k->multi = multi;
    k->access = *access;
    *access = NULL;
    k->opts = complete_opts(opts);
    list_init(&k->calls);
    if (getrandom(&k->chance, sizeof(k->chance), GRND_NONBLOCK) < 0) {
        k->chance = (uint64_t)clock_wall_ms(); /* enough for pauses that vary */
    }
    k->chance |= 1;
    *out = k;
    return RC_OK;
}

const struct kube_access *kube_access_of(const struct kube *k)
{
    CHECK_MAGIC(k, KUBE_MAGIC);
    return k->access;
}

void kube_wake(struct kube *k)
{
    CHECK_MAGIC(k, KUBE_MAGIC);
    (void)k->curl->multi_wakeup(k->multi);
}

/* xorshift64 */
double kube_chance(struct kube *k)
{
    k->chance ^= k->chance << 13;
    k->chance ^= k->chance >> 7;
    k->chance ^= k->chance << 17;
    return (double)(k->chance >> 11) / (double)(UINT64_C(1) << 53);
}

/* ---- calls ---- */

static void free_call(struct kube_call *c)
{
    list_del(&c->node);
    c->k->n_calls--;
    wipe_text(&c->body);
    free(c->path);
    c->magic = 0;
    free(c);
}

/* Goes back from running, or from cancelled. */
static void end_attempt(struct kube_call *c)
{
    if (c->in_multi && c->stream == NULL) {
        CHECK(c->k->n_parallel > 0);
        c->k->n_parallel--;
    }
    kube_attempt_end(c);
}

/* The only end of a call. Takes the ending's body. */
static void finish(struct kube_call *c, struct kube_ending *e)
{
    struct kube_answer answer = {e->outcome, e->status, e->body, e->text, e->retry_after_s};

    end_attempt(c);
    c->state = CALL_CANCELLED; /* a cancel from on_done finds nothing to do */
    c->k->stirred = true;
    c->on_done(c->arg, &answer);
    json_decref(e->body);
    free_call(c);
}

static void finish_without_answer(struct kube_call *c, enum kube_outcome outcome)
{
    struct kube_ending e;

    kube_ending_make(c, outcome, &e);
    finish(c, &e);
}

static bool copy_request(struct kube_call *c, const struct kube_request *r)
{
    c->path = strdup(r->path);
    c->body = r->body == NULL ? NULL : strdup(r->body);
    return c->path != NULL && (c->body != NULL || r->body == NULL);
}

/* Paths come from kube/path.h: nothing that would end the line of the request. */
static bool is_path(const char *path)
{
    for (const char *p = path; p != NULL && *p != '\0'; p++) {
        if (*p <= ' ' || *p > '~') {
            return false;
        }
    }
    return path != NULL && path[0] == '/';
}

enum rc kube_call_start(struct kube *k, const struct kube_request *request, struct kube_call **out)
{
    CHECK_MAGIC(k, KUBE_MAGIC);
    CHECK(request->on_done != NULL && (request->stream == NULL || request->body == NULL));
    if (!is_path(request->path)) {
        return RC_INVALID;
    }
    if (k->is_ending || (!request->is_inner && k->n_calls >= k->opts.calls_max)) {
        return RC_FULL;
    }
    struct kube_call *c = calloc(1, sizeof(*c));
    if (c == NULL || !copy_request(c, request)) {
        free(c != NULL ? c->path : NULL);
        free(c);
        return RC_NO_MEMORY;
    }
    c->magic = KUBE_CALL_MAGIC;
    c->k = k;
    c->repeatable = request->body == NULL || request->repeatable;
    c->timeout_ms = or_default(request->timeout_ms, k->opts.call_timeout_ms);
    c->stream = request->stream;
    c->on_done = request->on_done;
    c->arg = request->arg;
    c->start_at = clock_mono() + request->after_s;
    kube_retry_init(&c->retry, &request->retry, c->start_at);
    list_add_tail(&k->calls, &c->node);
    k->n_calls++;
    if (out != NULL) {
        *out = c;
    }
    return RC_OK;
}

void kube_call_cancel(struct kube_call **pc)
{
    struct kube_call *c = *pc;

    if (c != NULL) {
        CHECK_MAGIC(c, KUBE_CALL_MAGIC);
        c->state = CALL_CANCELLED;
        *pc = NULL;
    }
}

/* ---- a turn ---- */

/* What was read before stays in use, so this is said beside an error only. */
static void refresh_credentials(struct kube *k)
{
    struct kube_error err;

    k->trouble.text[0] = '\0';
    if (kube_access_refresh(k->access, &err) != RC_OK) {
        k->trouble = err;
    }
}

/* No attempt could begin: another one could not, either. */
static void finish_unbegun(struct kube_call *c, CURLcode code)
{
    struct kube_ending e;

    if (code == CURLE_OUT_OF_MEMORY) {
        finish_without_answer(c, KUBE_NO_MEMORY);
        return;
    }
    kube_attempt_judge(c, code, &e);
    finish(c, &e);
}

static void start_attempt(struct kube_call *c, double now)
{
    if (c->retry.began + c->retry.policy.deadline_s <= now) {
        finish_without_answer(c, KUBE_TIMEOUT);
        return;
    }
    refresh_credentials(c->k);
    CURLcode code = kube_attempt_start(c, now);
    if (code != CURLE_OK) {
        finish_unbegun(c, code);
        return;
    }
    c->state = CALL_RUNNING;
    c->k->n_parallel += c->stream == NULL ? 1 : 0;
}

static struct kube_call *find_due(const struct kube *k, double now)
{
    for (struct list *i = k->calls.next; i != &k->calls; i = i->next) {
        struct kube_call *c = LIST_ENTRY(i, struct kube_call, node);
        bool room = c->stream != NULL || k->n_parallel < k->opts.parallel_max;
        if (c->state == CALL_CANCELLED ||
            (c->state == CALL_WAITING && c->start_at <= now && room)) {
            return c;
        }
    }
    return NULL;
}

/* Starts what is due and ends what was cancelled. */
static void move_waiting(struct kube *k)
{
    struct kube_call *c;
    double now = clock_mono();

    while ((c = find_due(k, now)) != NULL) {
        if (c->state == CALL_CANCELLED) {
            finish_without_answer(c, KUBE_CANCELLED);
        } else {
            start_attempt(c, now);
        }
    }
}

static void on_attempt_over(struct kube_call *c, CURLcode code)
{
    struct kube *k = c->k;
    struct kube_ending e;
    double now = clock_mono();
    double wait_s = 0;

    if (c->state == CALL_CANCELLED) {
        return; /* move_waiting() has it */
    }
    refresh_credentials(k);
    kube_attempt_judge(c, code, &e);
    const struct kube_attempt a = {
        .outcome = e.outcome,
        .status = e.status,
        .retry_after_s = e.retry_after_s,
        .repeatable = c->repeatable && !c->opened,
        .others = c->generation != kube_access_generation(k->access),
    };
    if (!kube_retry_again(&c->retry, &a, kube_chance(k), now, &wait_s)) {
        finish(c, &e);
        return;
    }
    json_decref(e.body);
    end_attempt(c);
    c->state = CALL_WAITING;
    c->start_at = now + wait_s;
}

/* Whatever is wrong with one transfer comes as its message. */
static void move_running(struct kube *k)
{
    const CURLMsg *m;
    int n_left = 0;
    int n_running = 0;

    (void)k->curl->multi_perform(k->multi, &n_running);
    while ((m = k->curl->multi_info_read(k->multi, &n_left)) != NULL) {
        char *private = NULL;
        CURLcode code = m->data.result;
        (void)k->curl->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
        struct kube_call *c = (struct kube_call *)(void *)private;
        CHECK_MAGIC(c, KUBE_CALL_MAGIC);
        on_attempt_over(c, code);
    }
}

/* Until the next call is due, at most timeout_ms. */
static int wait_ms(const struct kube *k, uint32_t timeout_ms)
{
    double now = clock_mono();
    double wait = timeout_ms;

    for (struct list *i = k->calls.next; i != &k->calls; i = i->next) {
        const struct kube_call *c = LIST_ENTRY(i, struct kube_call, node);
        if (c->state == CALL_WAITING) {
            double ms = (c->start_at - now) * 1000 + 1;
            bool room = c->stream != NULL || k->n_parallel < k->opts.parallel_max;
            wait = ms < wait && room ? ms : wait;
        }
        wait = c->state == CALL_CANCELLED ? 0 : wait;
    }
    return wait > 0 ? (int)wait : 0;
}

void kube_turn(struct kube *k, uint32_t timeout_ms)
{
    CHECK_MAGIC(k, KUBE_MAGIC);
    CHECK(!k->in_turn && timeout_ms <= INT32_MAX);
    k->in_turn = true;
    k->stirred = false;
    move_waiting(k);
    move_running(k);
    (void)k->curl->multi_poll(k->multi, NULL, 0, k->stirred ? 0 : wait_ms(k, timeout_ms), NULL);
    move_running(k);
    move_waiting(k);
    k->in_turn = false;
}

void kube_free(struct kube **pk)
{
    struct kube *k = *pk;

    if (k == NULL) {
        return;
    }
    CHECK_MAGIC(k, KUBE_MAGIC);
    CHECK(!k->in_turn);
    k->in_turn = true;
    k->is_ending = true;
    while (!list_empty(&k->calls)) {
        finish_without_answer(LIST_ENTRY(k->calls.next, struct kube_call, node), KUBE_CANCELLED);
    }
    CHECK(k->n_calls == 0 && k->n_parallel == 0);
    (void)k->curl->multi_cleanup(k->multi);
    kube_access_free(&k->access);
    k->magic = 0;
    free(k);
    *pk = NULL;
}

/* ---- waiting for an answer ---- */

struct wait {
    bool over;
    struct kube_reply *reply;
};

static void on_waited(void *arg, const struct kube_answer *answer)
{
    struct wait *w = arg;

    w->reply->outcome = answer->outcome;
    w->reply->status = answer->status;
    w->reply->body = json_incref(answer->body);
    kube_error_write(&w->reply->error, "%s", answer->text);
    w->over = true;
}

enum kube_outcome kube_call_wait(struct kube *k, const struct kube_request *request,
                                 struct kube_reply *out)
{
    struct wait w = {.reply = out};
    struct kube_request r = *request;

    *out = (struct kube_reply){.outcome = KUBE_NO_MEMORY};
    r.on_done = on_waited;
    r.arg = &w;
    enum rc rc = kube_call_start(k, &r, NULL);
    if (rc != RC_OK) {
        kube_error_write(&out->error, "cannot ask %s: %s", kube_access_server(k->access),
                         rc_text(rc));
        return out->outcome;
    }
    while (!w.over) {
        kube_turn(k, 1000);
    }
    return out->outcome;
}

void kube_reply_fini(struct kube_reply *r)
{
    json_decref(r->body);
    r->body = NULL;
}
