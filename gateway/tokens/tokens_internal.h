/* SPDX-License-Identifier: Apache-2.0 */
/* Between tokens.c and tokens_requests.c. What is here is called under the desk's lock. */
#pragma once

#include <pthread.h>

#include "gateway/tokens/tokens.h"

#define TOKENS_MAGIC 0x70cecde5u
#define TOKENS_BUCKETS 1024

/** An account that nobody has asked for is forgotten, with its token. */
#define TOKENS_FORGET_S 7200.0

enum request { REQUEST_NONE, REQUEST_QUEUED, REQUEST_IN_FLIGHT };

struct token_account {
    struct token_account *next; /**< in its bucket */
    struct tokens_whose whose;  /**< strings owned */
    struct list queue;          /**< on the desk's queue while REQUEST_QUEUED */
    struct list waits;
    uint32_t n_held; /**< waits that point here, answered ones included */
    enum request request;
    char *token; /**< owned; NULL: none */
    uint64_t serial;
    double got_at;
    double renew_at;
    double expires_at;
    double used_at;
    enum tokens_outcome failure; /**< TOKENS_READY: the last request did not fail */
    double failed_until;
    double pause;
    char why[TOKENS_WHY_BYTES];
};

struct token_clerk {
    struct tokens *tokens; /**< borrowed */
    struct worker *worker; /**< borrowed */
    struct list node;      /**< on the desk's list */
    struct list answered;
    bool posted;
};

struct tokens {
    uint32_t magic;
    pthread_mutex_t lock;
    void (*wake)(void *arg);
    void *arg;
    struct token_account *buckets[TOKENS_BUCKETS];
    struct list queue;
    struct list clerks;
    uint32_t n_accounts;
    uint32_t n_in_flight;
    double allowance; /**< requests that may be made now */
    double allowance_at;
    double quiet_until; /**< nothing is requested before: the server wants that */
    char quiet_why[TOKENS_WHY_BYTES];
    uint64_t serial;
    uint64_t n_requests;
    uint64_t n_received;
    uint64_t n_failures;
    bool closed;
};

/** Is there a token with some life left? */
bool tokens_is_usable(const struct token_account *a, double now);

/** Put it in the queue if it is in nobody's hands and no failure is fresh. Returns true: wake. */
bool tokens_want(struct tokens *t, struct token_account *a, double now);

/** Does the server want to be left alone for so long that who waits since then waits in vain? */
bool tokens_wait_is_vain(const struct tokens *t, double since, double now);

/** Forget the accounts that nobody has asked for since then. */
void tokens_forget_unused(struct tokens *t, double since);

/** Who waits gets its answer. */
void tokens_tell(struct token_wait *w);

/** Wake the clerk's worker when there are answers. */
void tokens_post(struct token_clerk *c);
