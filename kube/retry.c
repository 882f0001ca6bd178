/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/retry.h"

#include <stddef.h>

#include "core/base/check.h"

#define KUBE_RETRY_MAGIC 0x2e724a91u

static double or_default(double v, double fallback)
{
    return v > 0 ? v : fallback;
}

void kube_retry_init(struct kube_retry *r, const struct kube_retry_policy *policy, double now)
{
    *r = (struct kube_retry){.magic = KUBE_RETRY_MAGIC, .began = now};
    r->policy = (struct kube_retry_policy){
        .attempts_max = policy->attempts_max > 0 ? policy->attempts_max : KUBE_RETRY_ATTEMPTS,
        .first_s = or_default(policy->first_s, KUBE_RETRY_FIRST_S),
        .max_s = or_default(policy->max_s, KUBE_RETRY_MAX_S),
        .deadline_s = or_default(policy->deadline_s, KUBE_RETRY_DEADLINE_S),
    };
}

double kube_retry_pause(const struct kube_retry_policy *policy, uint32_t n, double chance)
{
    double max = or_default(policy->max_s, KUBE_RETRY_MAX_S);
    double pause = or_default(policy->first_s, KUBE_RETRY_FIRST_S);

    for (uint32_t i = 1; i < n && pause < max; i++) {
        pause *= 2;
    }
    pause = pause < max ? pause : max;
    return pause / 2 + pause / 2 * chance;
}

static bool is_passing_status(int status)
{
    return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

/*
 * 429 is said before anything was done (API priority and fairness), so it is safe for all. So is a
 * connection that could not be made; but a lost one looks alike from here.
 */
static bool may_pass(const struct kube_attempt *a)
{
    switch (a->outcome) {
    case KUBE_REFUSED:
        return is_passing_status(a->status) && (a->repeatable || a->status == 429);
    case KUBE_UNREACHABLE:
    case KUBE_TIMEOUT:
        return a->repeatable;
    case KUBE_OK:
    case KUBE_UNTRUSTED:
    case KUBE_BAD_ANSWER:
    case KUBE_CANCELLED:
    case KUBE_NO_MEMORY:
    case KUBE_INVALID:
        break;
    }
    return false;
}

/* Would other credentials help? Nothing was done with the ones that were not believed. */
static bool is_about_credentials(const struct kube_attempt *a)
{
    return a->outcome == KUBE_UNTRUSTED || (a->outcome == KUBE_REFUSED && a->status == 401);
}

bool kube_retry_again(struct kube_retry *r, const struct kube_attempt *a, double chance, double now,
                      double *wait_s)
{
    CHECK_MAGIC(r, KUBE_RETRY_MAGIC);
    double left = r->began + r->policy.deadline_s - now;

    r->n_attempts++;
    if (is_about_credentials(a)) {
        bool again = a->others && !r->renewed && left > 0;
        r->renewed = true;
        if (again) {
            *wait_s = 0;
        }
        return again;
    }
    if (!may_pass(a) || r->n_attempts >= r->policy.attempts_max) {
        return false;
    }
    double pause = kube_retry_pause(&r->policy, r->n_attempts, chance);
    pause = pause > a->retry_after_s ? pause : a->retry_after_s;
    if (pause >= left) {
        return false;
    }
    *wait_s = pause;
    return true;
}
