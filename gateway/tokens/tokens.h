/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service account tokens for VMs (`identity: token`): which are there, which are wanted, who waits.
 *
 * Workers ask; one thread (gateway/cluster) takes what is wanted, gets it from Kubernetes and puts
 * it here. A token is one for all VMs of an account. It is renewed at TOKENS_RENEW_AT of its life
 * while its account is used, so that Kubernetes may be away for the rest of it. A request that
 * fails is remembered for a moment: VMs that ask meanwhile hear why at once. So do they while the
 * server wants to be left alone for longer than they would wait.
 *
 * No Kubernetes and no clock in here: callers say what time it is (monotonic seconds). Any thread,
 * one lock, held for a look-up, and once a second for a look at all accounts. Tokens are wiped when
 * they go, and are in no text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/base/rc.h"
#include "core/net/worker.h"

/** Accounts that are remembered. */
#define TOKENS_ACCOUNTS_MAX 4096

/** Requests at a time, and new ones in a second. */
#define TOKENS_IN_FLIGHT_MAX 8
#define TOKENS_PER_SECOND 20.0

/** The part of a token's life after which a new one is wanted. */
#define TOKENS_RENEW_AT 0.8

/** A token that ends so soon is not given out: the stream has to reach istiod first. */
#define TOKENS_MARGIN_S 30.0

/** Nobody waits longer. */
#define TOKENS_WAIT_S 15.0

/** No server is left alone for longer because it says so. */
#define TOKENS_RETRY_AFTER_MAX_S 300.0

#define TOKENS_WHY_BYTES 200

struct tokens;
struct token_clerk;
struct token_account;

enum tokens_outcome {
    TOKENS_READY,       /**< there is a token */
    TOKENS_WAITS,       /**< on_answer will come */
    TOKENS_REFUSED,     /**< Kubernetes says no: the account is missing, or may not be used */
    TOKENS_UNAVAILABLE, /**< not now */
};

/** Kept by who asks; zeroed at first. */
struct token_wait {
    struct list node;              /**< set while it waits */
    struct token_clerk *clerk;     /**< borrowed; NULL: does not wait */
    struct token_account *account; /**< what it waits for */
    double since;
    /** The answer is there, on the clerk's worker; tokens_take_answer() has it. */
    void (*on_answer)(struct token_wait *w);
};

struct tokens_answer {
    enum tokens_outcome outcome;
    char *token;                /**< owned, TOKENS_READY; tokens_answer_fini() */
    uint64_t serial;            /**< of the token, for tokens_reject() */
    char why[TOKENS_WHY_BYTES]; /**< for the VM */
};

/** Whose token. Strings are borrowed; audiences ends with NULL. */
struct tokens_whose {
    const char *ns;
    const char *sa;
    char *const *audiences;
};

/**
 * wake  called, from any thread and without a lock, when something new is wanted.
 * out   owned. RC_NO_MEMORY.
 */
enum rc tokens_new(void (*wake)(void *arg), void *arg, double now, struct tokens **out) MUST_USE;

/** Free and null the pointer; NULL is allowed. All clerks are gone. */
void tokens_free(struct tokens **t);

/* ---- for workers ---- */

/** Who takes the answers for one worker. out owned. RC_NO_MEMORY. */
enum rc token_clerk_new(struct tokens *t, struct worker *w, struct token_clerk **out) MUST_USE;

/** Free and null the pointer; NULL is allowed. Nobody waits there any more, and the worker's thread
 * has ended. */
void token_clerk_free(struct token_clerk **c);

/**
 * Ask for a token. With any outcome but TOKENS_WAITS, a is filled and w unused.
 * w is borrowed until on_answer or tokens_cancel(). On the clerk's worker.
 */
enum tokens_outcome tokens_ask(struct token_clerk *c, const struct tokens_whose *whose, double now,
                               struct token_wait *w, struct tokens_answer *a);

/** The answer that on_answer announced; w is free for another question. Never TOKENS_WAITS. */
void tokens_take_answer(struct token_wait *w, double now, struct tokens_answer *a);

/** Nobody waits any more; no effect when w does not wait. */
void tokens_cancel(struct token_wait *w);

/** Wipe and free what a holds. */
void tokens_answer_fini(struct tokens_answer *a);

/** istiod did not take this token: the next who asks gets another. */
void tokens_reject(struct token_clerk *c, const struct tokens_whose *whose, uint64_t serial,
                   double now);

/* ---- for the thread that gets them ---- */

/** The next account for which a token is to be requested; its request is in flight until
 * tokens_put(), tokens_put_failure() or tokens_put_back(). NULL: none now. */
struct token_account *tokens_take(struct tokens *t, double now);

/** Whose token is requested; borrowed while the request is in flight. */
const struct tokens_whose *tokens_whose(const struct token_account *account);

/** n bytes of a token that lives so many seconds from now; copied. RC_NO_MEMORY: as a failure. */
void tokens_put(struct tokens *t, struct token_account *account, const char *token, size_t n,
                double life_s, double now);

/** How a request has failed. */
struct tokens_failure {
    enum tokens_outcome outcome; /**< TOKENS_REFUSED or TOKENS_UNAVAILABLE */
    const char *why; /**< borrowed; VMs are told, so it names no address, no file and no account */
    double retry_after_s; /**< what the server wants to be left alone for; 0: nothing was said */
    bool of_all;          /**< it said so for all requests, not for this account */
};

/** The request failed. Its account is not requested again before retry_after_s is over, and with
 * of_all no other one is, either. Returns true when this is new: the one before had not failed, or
 * in another way. */
bool tokens_put_failure(struct tokens *t, struct token_account *account,
                        const struct tokens_failure *f, double now);

/** The request was given up before there was an answer: the token is wanted again. */
void tokens_put_back(struct tokens *t, struct token_account *account, double now);

/**
 * Look at the clock: what is to be renewed is wanted, who has waited too long gets an answer, what
 * nobody uses is forgotten, answers that could not be posted are posted again. Returns the seconds
 * until there is something to do again, 1 at most.
 */
double tokens_look(struct tokens *t, double now);

/** Forget all tokens and failures: another cluster, or other rights. Who waits goes on waiting. */
void tokens_reset(struct tokens *t);

/** The thread ends: everybody who waits is told, and whoever asks from now on. */
void tokens_close(struct tokens *t, double now);

/** For metrics. */
struct tokens_stats {
    uint64_t requests; /**< made */
    uint64_t received; /**< tokens */
    uint64_t failures;
    uint32_t accounts;
    uint32_t ready;
};
void tokens_stats(struct tokens *t, double now, struct tokens_stats *out);
