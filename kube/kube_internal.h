/* SPDX-License-Identifier: Apache-2.0 */
/* A client and its calls from inside: kube.c drives them, call.c makes attempts, answer.c says how
 * they ended. */
#pragma once

#include "core/base/list.h"
#include "kube/access_internal.h"
#include "kube/curl_table.h"
#include "kube/kube.h"

#define KUBE_MAGIC 0x0b3a11c5u
#define KUBE_CALL_MAGIC 0x0b3ca11du

struct kube {
    uint32_t magic;
    const struct curl_table *curl;
    CURLM *multi;               /**< owned */
    struct kube_access *access; /**< owned */
    struct kube_opts opts;      /**< without zeros */
    struct list calls;          /**< owned; those that are not over, in the order of their start */
    size_t n_calls;
    size_t n_parallel;         /**< running, without streams */
    bool is_ending;            /**< in kube_free(): takes no more calls */
    bool in_turn;              /**< callbacks may be on the stack */
    bool stirred;              /**< a callback was called in this turn */
    uint64_t chance;           /**< state of the generator */
    struct kube_error trouble; /**< what is wrong with a file of the credentials; "" nothing */
};

enum call_state { CALL_WAITING, CALL_RUNNING, CALL_CANCELLED };

struct kube_call {
    uint32_t magic;
    enum call_state state;
    struct list node; /**< in the client's calls */
    struct kube *k;   /**< borrowed */

    char *path; /**< owned */
    char *body; /**< owned; NULL: GET */
    bool repeatable;
    uint32_t timeout_ms;
    const struct kube_stream_ops *stream; /**< NULL: JSON */
    kube_done_fn *on_done;
    void *arg;

    double start_at; /**< CALL_WAITING: not earlier; clock_mono() */
    struct kube_retry retry;

    CURL *easy;                    /**< owned; the attempt that runs, or NULL */
    bool in_multi;                 /**< easy was added */
    struct curl_slist *headers;    /**< owned; holds the token */
    struct curl_slist *connect_to; /**< owned */
    CURLcode setup;                /**< why the attempt could not begin */
    uint64_t generation;           /**< of the credentials of this attempt */
    char why[CURL_ERROR_SIZE];     /**< what libcurl says */

    char *answer; /**< owned; what has come of the body; may be secret */
    size_t n_answer;
    size_t answer_size;
    bool opened;    /**< a stream's on_open was called */
    bool stopped;   /**< a stream's on_bytes had enough */
    bool too_large; /**< the body */
    bool no_memory; /**< for the body */
};

/** How an attempt has ended, with its body. */
struct kube_ending {
    enum kube_outcome outcome;
    int status;
    double retry_after_s;
    json_t *body; /**< owned */
    char text[KUBE_TEXT_BYTES];
};

/** A number for a pause that varies: 0 <= chance < 1. */
double kube_chance(struct kube *k);

/** Begin an attempt: an easy handle with all options, added to the client. CURLE_OUT_OF_MEMORY; or
 * what libcurl says about an option. */
CURLcode kube_attempt_start(struct kube_call *c, double now);

/** Take the attempt off the client and wipe what it has left. Fine without one. */
void kube_attempt_end(struct kube_call *c);

/** Say how the attempt that runs has ended. body is owned by the caller. */
void kube_attempt_judge(const struct kube_call *c, CURLcode code, struct kube_ending *out);

/** An ending without an attempt. */
void kube_ending_make(const struct kube_call *c, enum kube_outcome outcome,
                      struct kube_ending *out);
