/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upstream/pacer.h"

/* A short burst passes at once: istiod lets waiting streams wait for up to a second. */
#define BURST_SECONDS 0.2
#define DECREASE 0.67
#define DECREASE_PAUSE_S 1.0
#define WAITED_RECENTLY_S 1.0

void pacer_init(struct pacer *p, uint32_t rate, double now)
{
    pthread_mutex_init(&p->lock, NULL);
    p->is_auto = rate == 0;
    p->rate = p->is_auto ? PACER_AUTO_START : (double)rate;
    p->tokens = 1;
    p->at = now;
    p->lowered_at = now - DECREASE_PAUSE_S;
    p->waited_at = now - WAITED_RECENTLY_S;
}

void pacer_fini(struct pacer *p)
{
    pthread_mutex_destroy(&p->lock);
}

static double burst(const struct pacer *p)
{
    double b = p->rate * BURST_SECONDS;
    return b < 1 ? 1 : b;
}

double pacer_take(struct pacer *p, double now)
{
    double wait = 0;

    pthread_mutex_lock(&p->lock);
    if (now > p->at) {
        p->tokens += (now - p->at) * p->rate;
        p->at = now;
    }
    if (p->tokens > burst(p)) {
        p->tokens = burst(p);
    }
    if (p->tokens >= 1) {
        p->tokens -= 1;
    } else {
        wait = (1 - p->tokens) / p->rate;
        p->waited_at = now;
    }
    pthread_mutex_unlock(&p->lock);
    return wait;
}

void pacer_give_back(struct pacer *p)
{
    pthread_mutex_lock(&p->lock);
    p->tokens += 1;
    pthread_mutex_unlock(&p->lock);
}

void pacer_set_rate(struct pacer *p, double rate)
{
    pthread_mutex_lock(&p->lock);
    p->rate = rate;
    pthread_mutex_unlock(&p->lock);
}

void pacer_admitted(struct pacer *p, double now)
{
    pthread_mutex_lock(&p->lock);
    if (p->is_auto && now - p->waited_at < WAITED_RECENTLY_S && p->rate < PACER_AUTO_MAX) {
        p->rate += p->rate < 100 ? 1 : p->rate / 100;
    }
    pthread_mutex_unlock(&p->lock);
}

void pacer_exhausted(struct pacer *p, double now)
{
    pthread_mutex_lock(&p->lock);
    if (p->is_auto && now - p->lowered_at >= DECREASE_PAUSE_S) {
        p->lowered_at = now;
        p->rate *= DECREASE;
        if (p->rate < PACER_AUTO_MIN) {
            p->rate = PACER_AUTO_MIN;
        }
    }
    pthread_mutex_unlock(&p->lock);
}

double pacer_rate(struct pacer *p)
{
    pthread_mutex_lock(&p->lock);
    double r = p->rate;
    pthread_mutex_unlock(&p->lock);
    return r;
}
