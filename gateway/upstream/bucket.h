/* SPDX-License-Identifier: Apache-2.0 */
/* A token bucket of one owner: rate a second, burst of one second. Pure. */
#pragma once

#include <stdbool.h>

struct bucket {
    double rate;
    double tokens;
    double at;
};

static inline void bucket_init(struct bucket *b, double rate, double now)
{
    *b = (struct bucket){.rate = rate, .tokens = rate, .at = now};
}

/** Is there a token? It is taken. */
static inline bool bucket_take(struct bucket *b, double now)
{
    b->tokens += (now - b->at) * b->rate;
    b->at = now;
    if (b->tokens > b->rate) {
        b->tokens = b->rate;
    }
    if (b->tokens < 1) {
        return false;
    }
    b->tokens -= 1;
    return true;
}
