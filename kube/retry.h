/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After this outcome: is it the answer, or is it tried again, and when? Pure: time and chance come
 * from the caller.
 *
 * 2xx, 403, 404, 409, 422 and whatever else is no matter of time are answers. 429 and 500, 502,
 * 503, 504, a lost connection and a timeout are tried again, with a pause that doubles and varies,
 * and never sooner than Retry-After says. 401 and a certificate that is not trusted are tried again
 * once, when the files with the credentials have changed meanwhile.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** How one attempt, and then a call, has ended. */
enum kube_outcome {
    KUBE_OK,          /**< a 2xx status, and a body as expected */
    KUBE_REFUSED,     /**< another status */
    KUBE_UNREACHABLE, /**< no connection, or it was lost before the answer was complete */
    KUBE_UNTRUSTED,   /**< the server's certificate is not to be trusted, or ours did not fit */
    KUBE_TIMEOUT,     /**< no answer in time */
    KUBE_BAD_ANSWER,  /**< not JSON, too large, not HTTP */
    KUBE_CANCELLED,   /**< by kube_call_cancel() or kube_free() */
    KUBE_NO_MEMORY,   /**< of ours */
    KUBE_INVALID,     /**< never asked: no object can have such a name (kube/ask.h) */
};

/** Zeros mean the defaults below. */
struct kube_retry_policy {
    uint32_t attempts_max; /**< the first one included */
    double first_s;        /**< the pause after the first failure */
    double max_s;          /**< the longest pause, but for Retry-After */
    double deadline_s;     /**< since the call was started; no attempt begins later */
};

#define KUBE_RETRY_ATTEMPTS 5
#define KUBE_RETRY_FIRST_S 0.2
#define KUBE_RETRY_MAX_S 30.0
#define KUBE_RETRY_DEADLINE_S 30.0

/** Of one call. */
struct kube_retry {
    uint32_t magic;
    struct kube_retry_policy policy;
    double began;        /**< clock_mono() */
    uint32_t n_attempts; /**< that have ended */
    bool renewed;        /**< has been tried again with other credentials */
};

/** What is known about an attempt that has ended. */
struct kube_attempt {
    enum kube_outcome outcome;
    int status;           /**< HTTP, 0 without an answer */
    double retry_after_s; /**< of the answer, 0 when it has none */
    bool repeatable;      /**< may be sent twice: GET, and POST that creates nothing */
    bool others;          /**< there are other credentials than the ones it was made with */
};

/** Begin at now, in seconds of clock_mono(). */
void kube_retry_init(struct kube_retry *r, const struct kube_retry_policy *policy, double now);

/**
 * Is an attempt that has ended the answer?
 *
 * chance   0 <= chance < 1, another one each time.
 * *wait_s  seconds until the next attempt; set only when true is returned.
 * Returns true when there is to be another attempt.
 */
bool kube_retry_again(struct kube_retry *r, const struct kube_attempt *a, double chance, double now,
                      double *wait_s);

/** The pause after the n-th failure in a row, n >= 1: doubles up to max_s, and is between one half
 * and all of that. */
double kube_retry_pause(const struct kube_retry_policy *policy, uint32_t n, double chance);
