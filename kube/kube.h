/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of one Kubernetes API server. Asynchronous: one thread drives it by kube_turn(), and all
 * callbacks come out of that; only kube_wake() may be called by any thread. Never logs: whoever
 * asked knows what an answer means, and whether it was said before.
 *
 * The server is always verified. Credentials that are files are looked at before every attempt.
 * Every call is bounded: by time, by the size of its answer, by the number of calls.
 *
 * HTTP/1.1 only: with HTTP/2 all calls and watches would share one connection, and when that is
 * dead without a word, each call times out on it in turn. A call of HTTP/1.1 that times out closes
 * its connection, and the next attempt makes another.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "core/doc/doc.h"
#include "kube/access.h"
#include "kube/retry.h"
#include "kube/text.h"

struct kube;
struct kube_call;

/** Zeros mean the defaults below. */
struct kube_opts {
    uint32_t connect_timeout_ms; /**< TCP and TLS */
    uint32_t call_timeout_ms;    /**< one attempt, the connection included */
    size_t answer_max_bytes;     /**< at most DOC_MAX_BYTES */
    uint32_t calls_max;          /**< that are not over, streams included */
    uint32_t parallel_max;       /**< on the wire, without streams */
};

#define KUBE_CONNECT_TIMEOUT_MS 5000
#define KUBE_CALL_TIMEOUT_MS 10000
#define KUBE_CALLS_MAX 1024
#define KUBE_PARALLEL_MAX 8

/** How a call has ended. */
struct kube_answer {
    enum kube_outcome outcome;
    int status;           /**< HTTP; 0 when there was no answer */
    json_t *body;         /**< borrowed, json_incref() to keep it; NULL when there is no JSON */
    const char *text;     /**< borrowed; one line for people, without any token; "" with KUBE_OK */
    double retry_after_s; /**< what the server wants to be left alone for; 0: nothing was said */
};

/** Called once for every call that was started. May start and cancel calls; not free the client. */
typedef void kube_done_fn(void *arg, const struct kube_answer *answer);

/** A body that is taken as it comes, as a watch is; answers other than 200 are collected. */
struct kube_stream_ops {
    void (*on_open)(void *arg); /**< status 200 is here */
    /** Bytes, borrowed. false: enough; the call ends with KUBE_BAD_ANSWER. */
    bool (*on_bytes)(void *arg, const char *bytes, size_t n);
};

/** A question. Everything is borrowed during kube_call_start() only, but stream and arg. */
struct kube_request {
    const char *path;                     /**< from kube/path.h */
    const char *body;                     /**< JSON; NULL: GET, else POST */
    bool repeatable;                      /**< a POST that may be sent twice; GET always may */
    uint32_t timeout_ms;                  /**< of one attempt; 0: as the client's opts say */
    double after_s;                       /**< begin that much later */
    struct kube_retry_policy retry;       /**< zeros: the defaults */
    bool is_inner;                        /**< of a watch: does not count for calls_max */
    const struct kube_stream_ops *stream; /**< static; NULL: the body is JSON */
    kube_done_fn *on_done;
    void *arg; /**< of all callbacks */
};

/** What kube_call_wait() brings. */
struct kube_reply {
    enum kube_outcome outcome;
    int status;
    json_t *body; /**< owned; NULL when there is none */
    struct kube_error error;
};

/**
 * A client. Nothing is connected yet.
 *
 * access  taken, also on failure; set to NULL.
 * opts    borrowed; NULL: the defaults.
 * Returns RC_OK, RC_NO_MEMORY, or as curl_table_load(), with a text in err.
 */
enum rc kube_new(struct kube_access **access, const struct kube_opts *opts, struct kube_error *err,
                 struct kube **out) MUST_USE;

/** End all calls, with KUBE_CANCELLED, and free the client. Not from a callback. NULL is fine. */
void kube_free(struct kube **pk);

/** How the cluster is reached. Borrowed. */
const struct kube_access *kube_access_of(const struct kube *k);

/** Do what can be done; if no callback comes out of that, wait for more, at most timeout_ms, and do
 * that. Not from a callback. */
void kube_turn(struct kube *k, uint32_t timeout_ms);

/** Make a kube_turn() that waits, or the next one, return. Any thread, while the client lives. */
void kube_wake(struct kube *k);

/**
 * Ask. The answer comes by on_done, out of a later kube_turn(), never from here.
 *
 * out  borrowed until on_done returns; may be NULL.
 * Returns RC_OK; RC_FULL: too many calls; RC_INVALID: no path; RC_NO_MEMORY. With an error on_done
 * is not called.
 */
enum rc kube_call_start(struct kube *k, const struct kube_request *request,
                        struct kube_call **out) MUST_USE;

/** Give up a call that is not over; its on_done comes out of the next kube_turn(), or of
 * kube_free(), with KUBE_CANCELLED. The pointer is set to NULL. NULL inside is fine. */
void kube_call_cancel(struct kube_call **pc);

/**
 * Ask and wait; for command lines. Other calls go on meanwhile. Not from a callback.
 *
 * request  without on_done, arg and stream.
 * out      free with kube_reply_fini(), whatever the outcome.
 * Returns its outcome, too.
 */
enum kube_outcome kube_call_wait(struct kube *k, const struct kube_request *request,
                                 struct kube_reply *out);

/** Free the body. */
void kube_reply_fini(struct kube_reply *r);

/** Does an API server with this HTTP status take our questions, whatever it says to them? Not with
 * 401, 429 and 5xx: nothing that is asked is looked at. Nor with 0: there was no answer. */
bool kube_is_heard(int status);

/** Did an API server say that it does not know the API of this path, rather than the object? Then
 * an older version may be tried. */
bool kube_is_unknown_api(int status, const json_t *body);
