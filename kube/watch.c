/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A watch has one call at any time: a list, or a stream, which may wait for its time to come. So
 * the end of a call is where everything is decided: begin_list() or begin_stream(), and how soon.
 * Pauses double with each end that brought nothing.
 */
#include "kube/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "kube/kube_internal.h"
#include "kube/lines.h"
#include "kube/path.h"

#define KUBE_WATCH_MAGIC 0x0b3a7c4bu

/** Room in a path for what a watch adds to it: 128 bytes of version, percent-encoded, and words. */
#define QUERY_BYTES 512

struct kube_watch {
    uint32_t magic;
    struct kube *k;         /* borrowed; not touched any more after KUBE_CANCELLED */
    struct kube_call *call; /* borrowed; the one that is not over nor cancelled, or NULL */
    unsigned n_calls;       /* that will call on_done, a cancelled one included */
    char path[KUBE_PATH_BYTES];
    struct kube_watch_opts opts; /* its path is the one above */
    bool closed;                 /* nothing is called back; freed with the end of the calls */
    bool in_done;                /* on_done is on the stack */

    bool is_known; /* on_state was called */
    bool is_ok;    /* what it said */
    bool is_odd;   /* what came made no sense: works again when something does */

    char version[KUBE_VERSION_BYTES]; /* to go on from; "" list first */
    unsigned n_failures;              /* in a row */

    /* of the stream */
    struct kube_lines lines;
    double opened_at;              /* clock_mono(); 0: not open */
    unsigned n_events;             /* bookmarks, too */
    bool is_gone;                  /* the server does not know our version */
    char problem[KUBE_TEXT_BYTES]; /* why it was ended by us; "" it was not */
};

static void on_list_done(void *arg, const struct kube_answer *a);
static void begin_stream(struct kube_watch *w, double after_s);

/* ---- what is called back ---- */

static void report(struct kube_watch *w, bool ok, int status, const char *why)
{
    if (w->closed || (w->is_known && w->is_ok == ok)) {
        return;
    }
    w->is_known = true;
    w->is_ok = ok;
    w->opts.ops->on_state(w->opts.arg, ok, status, why);
}

static enum rc start(struct kube_watch *w, const struct kube_request *r)
{
    TRY(kube_call_start(w->k, r, &w->call));
    w->n_calls++;
    return RC_OK;
}

/* Fails only without memory: nothing would ever call back. */
static void begin(struct kube_watch *w, const struct kube_request *r)
{
    if (!w->closed && start(w, r) != RC_OK) {
        w->opts.ops->on_end(w->opts.arg);
    }
}

/* ---- the end of a call ---- */

static void free_watch(struct kube_watch *w)
{
    if (w->lines.magic != 0) {
        kube_lines_fini(&w->lines);
    }
    w->magic = 0;
    free(w);
}

/* No sooner than the server wants. */
static double pause_s(const struct kube_watch *w, const struct kube_answer *a)
{
    double pause =
        kube_retry_pause(&w->opts.pause, w->n_failures > 0 ? w->n_failures : 1, kube_chance(w->k));
    return pause > a->retry_after_s ? pause : a->retry_after_s;
}

/* Is w still open and its client alive, now that its call is over? */
static bool enter_done(struct kube_watch *w, const struct kube_answer *a)
{
    CHECK_MAGIC(w, KUBE_WATCH_MAGIC);
    w->call = NULL;
    w->n_calls--;
    w->in_done = true;
    return !w->closed && a->outcome != KUBE_CANCELLED;
}

static void leave_done(struct kube_watch *w)
{
    w->in_done = false;
    if (w->closed && w->n_calls == 0) {
        free_watch(w);
    }
}

/* ---- the list ---- */

/* Once more before it is said: a kept connection may be one that the server has closed. */
static struct kube_retry_policy retry_of(const struct kube_watch *w)
{
    struct kube_retry_policy p = w->opts.pause;

    p.attempts_max = 2;
    return p;
}

static struct kube_request list_request(struct kube_watch *w, double after_s)
{
    return (struct kube_request){
        .path = w->path,
        .after_s = after_s,
        .retry = retry_of(w),
        .is_inner = true,
        .on_done = on_list_done,
        .arg = w,
    };
}

static void begin_list(struct kube_watch *w, double after_s)
{
    const struct kube_request r = list_request(w, after_s);

    w->version[0] = '\0';
    begin(w, &r);
}

/* Go's nil slice is null. */
static bool take_list(struct kube_watch *w, const json_t *body)
{
    const json_t *items = doc_at(body, "items", NULL);
    json_t *none = items == NULL || json_is_null(items) ? json_array() : NULL;

    items = none != NULL ? none : items;
    bool good = json_is_array(items) && kube_version_read(body, w->version) == RC_OK;
    if (good) {
        w->opts.ops->on_list(w->opts.arg, items);
    }
    json_decref(none);
    return good;
}

static void on_list_done(void *arg, const struct kube_answer *a)
{
    struct kube_watch *w = arg;

    if (enter_done(w, a)) {
        if (a->outcome == KUBE_OK && take_list(w, a->body)) {
            if (!w->is_known) {
                report(w, true, 200, "");
            }
            begin_stream(w, 0);
        } else {
            w->n_failures++;
            report(w, false, a->status,
                   a->outcome == KUBE_OK ? "the API server sent no list" : a->text);
            begin_list(w, pause_s(w, a));
        }
    }
    leave_done(w);
}

/* ---- the stream ---- */

static void on_open(void *arg)
{
    struct kube_watch *w = arg;

    CHECK_MAGIC(w, KUBE_WATCH_MAGIC);
    w->opened_at = clock_mono();
    if (!w->is_odd) {
        report(w, true, 200, "");
    }
}

static bool end_stream(struct kube_watch *w, const char *problem)
{
    (void)snprintf(w->problem, sizeof(w->problem), "%s", problem);
    w->is_odd = true;
    return false;
}

static bool take_event(struct kube_watch *w, const struct kube_event *e)
{
    if (e->change == KUBE_GONE) {
        w->is_gone = true;
        return false;
    }
    if (e->change == KUBE_ERROR) {
        return end_stream(w, e->error.text);
    }
    memcpy(w->version, e->version, sizeof(w->version));
    w->n_events++;
    w->is_odd = false;
    report(w, true, 200, "");
    if (!w->closed && e->change != KUBE_BOOKMARK) {
        w->opts.ops->on_change(w->opts.arg, e->change, e->object);
    }
    return !w->closed;
}

static bool on_line(void *arg, const char *line, size_t n)
{
    struct kube_watch *w = arg;
    struct kube_event e;

    if (w->closed) {
        return false;
    }
    enum rc rc = kube_event_read(line, n, &e);
    if (rc != RC_OK) {
        return end_stream(w, rc == RC_NO_MEMORY ? "out of memory"
                                                : "the API server sent an event that is none");
    }
    bool more = take_event(w, &e);
    kube_event_fini(&e);
    return more;
}

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
    struct kube_watch *w = arg;

    CHECK_MAGIC(w, KUBE_WATCH_MAGIC);
    enum rc rc = kube_lines_feed(&w->lines, bytes, n, on_line, w);
    if (rc == RC_PEER_LIMIT) {
        return end_stream(w, "the API server sent an event of more than 1 MiB");
    }
    if (rc == RC_NO_MEMORY) {
        return end_stream(w, "out of memory");
    }
    return rc == RC_OK;
}

/* Did the stream bring anything, if only time? */
static bool was_fruitful(const struct kube_watch *w)
{
    return w->n_events > 0 || (w->opened_at > 0 && clock_mono() - w->opened_at > KUBE_RETRY_MAX_S);
}

static void after_stream(struct kube_watch *w, const struct kube_answer *a)
{
    bool fruitful = was_fruitful(w);

    w->n_failures = fruitful ? 0 : w->n_failures + 1;
    w->is_odd = w->is_odd && (!fruitful || w->problem[0] != '\0');
    if (w->is_gone || a->status == 410) {
        begin_list(w, pause_s(w, a));
    } else if (w->problem[0] != '\0') {
        report(w, false, a->status, w->problem);
        begin_list(w, pause_s(w, a));
    } else {
        /* A stream that was open may end in any way: whether all is well shows the next one. */
        if (w->opened_at == 0) {
            report(w, false, a->status,
                   a->text[0] != '\0' ? a->text : "the API server sent no watch");
        }
        begin_stream(w, pause_s(w, a));
    }
}

static void on_stream_done(void *arg, const struct kube_answer *a)
{
    struct kube_watch *w = arg;

    if (enter_done(w, a)) {
        after_stream(w, a);
    }
    leave_done(w);
}

static bool make_stream_path(const struct kube_watch *w, char *out)
{
    char seconds[16];

    (void)snprintf(out, KUBE_PATH_BYTES, "%s", w->path);
    (void)snprintf(seconds, sizeof(seconds), "%u", w->opts.timeout_s);
    return kube_path_query(out, "watch", "1") == RC_OK &&
           kube_path_query(out, "allowWatchBookmarks", "true") == RC_OK &&
           kube_path_query(out, "resourceVersion", w->version) == RC_OK &&
           kube_path_query(out, "timeoutSeconds", seconds) == RC_OK;
}

static void begin_stream(struct kube_watch *w, double after_s)
{
    static const struct kube_stream_ops ops = {on_open, on_bytes};
    char path[KUBE_PATH_BYTES];
    const struct kube_request r = {
        .path = path,
        .timeout_ms = w->opts.timeout_s * 1000 + w->opts.slack_ms,
        .after_s = after_s,
        .retry = retry_of(w),
        .is_inner = true,
        .stream = &ops,
        .on_done = on_stream_done,
        .arg = w,
    };

    kube_lines_fini(&w->lines);
    kube_lines_init(&w->lines, KUBE_WATCH_LINE_MAX_BYTES);
    w->opened_at = 0;
    w->n_events = 0;
    w->is_gone = false;
    w->problem[0] = '\0';
    CHECK(make_stream_path(w, path)); /* kube_watch_open() has seen to the room */
    begin(w, &r);
}

/* ---- its life ---- */

enum rc kube_watch_open(struct kube *k, const struct kube_watch_opts *opts, struct kube_watch **out)
{
    struct kube_watch *w = calloc(1, sizeof(*w));

    if (w == NULL) {
        return RC_NO_MEMORY;
    }
    w->magic = KUBE_WATCH_MAGIC;
    w->k = k;
    w->opts = *opts;
    w->opts.timeout_s = opts->timeout_s > 0 ? opts->timeout_s : KUBE_WATCH_TIMEOUT_S;
    w->opts.slack_ms = opts->slack_ms > 0 ? opts->slack_ms : KUBE_WATCH_SLACK_MS;
    w->opts.path = w->path;
    kube_lines_init(&w->lines, KUBE_WATCH_LINE_MAX_BYTES);
    if (opts->path == NULL || (size_t)snprintf(w->path, sizeof(w->path), "%s", opts->path) >=
                                  sizeof(w->path) - QUERY_BYTES) {
        free_watch(w);
        return RC_INVALID;
    }
    const struct kube_request r = list_request(w, 0);
    enum rc rc = start(w, &r);
    if (rc != RC_OK) {
        free_watch(w);
        return rc;
    }
    *out = w;
    return RC_OK;
}

void kube_watch_close(struct kube_watch **pw)
{
    struct kube_watch *w = *pw;

    if (w == NULL) {
        return;
    }
    CHECK_MAGIC(w, KUBE_WATCH_MAGIC);
    *pw = NULL;
    w->closed = true;
    kube_call_cancel(&w->call);
    if (w->n_calls == 0 && !w->in_done) {
        free_watch(w);
    }
}
