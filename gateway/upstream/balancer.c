/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upstream/balancer.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/log.h"

#define ENDPOINT_MAGIC 0xe4d90147u

struct endpoint *endpoint_ref(struct endpoint *e)
{
    CHECK_MAGIC(e, ENDPOINT_MAGIC);
    e->refs++;
    return e;
}

void endpoint_unref(struct endpoint **pe)
{
    struct endpoint *e = *pe;

    *pe = NULL;
    if (e == NULL) {
        return;
    }
    CHECK_MAGIC(e, ENDPOINT_MAGIC);
    CHECK(e->refs > 0);
    if (--e->refs == 0) {
        e->magic = 0;
        free(e);
    }
}

void balancer_init(struct balancer *b, struct worker *w, struct upstream *u, bool passthrough)
{
    *b = (struct balancer){.worker = w, .upstream = upstream_ref(u), .passthrough = passthrough};
    list_init(&b->endpoints);
}

static void drop(struct endpoint *e)
{
    list_del(&e->node);
    e->listed = false;
    endpoint_unref(&e);
}

void balancer_fini(struct balancer *b)
{
    while (!list_empty(&b->endpoints)) {
        drop(LIST_ENTRY(b->endpoints.next, struct endpoint, node));
    }
    address_set_unref(&b->seen);
    upstream_unref(&b->upstream);
}

static struct endpoint *find(struct balancer *b, const struct addr *a)
{
    for (struct list *n = b->endpoints.next; n != &b->endpoints; n = n->next) {
        struct endpoint *e = LIST_ENTRY(n, struct endpoint, node);
        if (addr_same_ip(&e->addr, a) && e->addr.port == a->port) {
            return e;
        }
    }
    return NULL;
}

static bool add(struct balancer *b, const struct addr *a)
{
    struct endpoint *e = calloc(1, sizeof(*e));

    if (e == NULL) {
        return false;
    }
    e->magic = ENDPOINT_MAGIC;
    e->refs = 1;
    e->addr = *a;
    e->listed = true;
    list_add_tail(&b->endpoints, &e->node);
    return true;
}

bool balancer_refresh(struct balancer *b)
{
    struct address_set *fresh = upstream_addresses(b->upstream);
    struct list *n;
    struct list *spare;

    if (fresh == b->seen) {
        address_set_unref(&fresh);
        return false;
    }
    for (size_t i = 0; i < fresh->n; i++) {
        const struct addr *a = &fresh->addrs[i];
        if (upstream_may_connect(b->upstream, a, b->passthrough) && find(b, a) == NULL &&
            !add(b, a)) {
            address_set_unref(&fresh);
            return false;
        }
    }
    LIST_FOREACH_SAFE(n, spare, &b->endpoints)
    {
        struct endpoint *e = LIST_ENTRY(n, struct endpoint, node);
        if (address_set_find(fresh, &e->addr) == fresh->n) {
            drop(e);
        }
    }
    address_set_unref(&b->seen);
    b->seen = fresh;
    return true;
}

static bool all_failed(struct balancer *b)
{
    for (struct list *n = b->endpoints.next; n != &b->endpoints; n = n->next) {
        if (LIST_ENTRY(n, struct endpoint, node)->failures == 0) {
            return false;
        }
    }
    return true;
}

/* Until when a failed endpoint is left alone: not for long when there is no other. */
static double pause_end(const struct endpoint *e, bool none_left)
{
    double soon = e->failed_at + BACKOFF_ALL_FAILED_S;
    return none_left && soon < e->not_before ? soon : e->not_before;
}

static bool may_use(const struct endpoint *e, double now, bool none_left)
{
    return now >= e->cool_until && now >= pause_end(e, none_left) &&
           (e->failures == 0 || e->dialling == 0);
}

/* Healthy before failed, then the fewest users. */
static bool is_better(const struct endpoint *a, const struct endpoint *b)
{
    bool a_ok = a->failures == 0;
    bool b_ok = b->failures == 0;
    if (a_ok != b_ok) {
        return a_ok;
    }
    return a->active + a->dialling < b->active + b->dialling;
}

struct endpoint *balancer_pick(struct balancer *b)
{
    double now = worker_now(b->worker);
    bool none_left = all_failed(b);
    struct endpoint *best = NULL;

    for (struct list *n = b->endpoints.next; n != &b->endpoints; n = n->next) {
        struct endpoint *e = LIST_ENTRY(n, struct endpoint, node);
        if (may_use(e, now, none_left) && (best == NULL || is_better(e, best))) {
            best = e;
        }
    }
    return best;
}

struct endpoint *balancer_pick_probe(struct balancer *b)
{
    double now = worker_now(b->worker);
    bool none_left = all_failed(b);

    for (struct list *n = b->endpoints.next; n != &b->endpoints; n = n->next) {
        struct endpoint *e = LIST_ENTRY(n, struct endpoint, node);
        if (e->failures > 0 && may_use(e, now, none_left)) {
            return e;
        }
    }
    return NULL;
}

void balancer_ok(struct balancer *b, struct endpoint *e)
{
    char text[ADDR_TEXT_BYTES];

    if (e->failures > 0) {
        log_event(LOG_INFO, "upstream endpoint is back", LOG_S("upstream", b->upstream->opts.name),
                  LOG_S("endpoint", addr_format(&e->addr, text)));
    }
    e->failures = 0;
    e->not_before = 0;
    upstream_set_health(b->upstream, UPSTREAM_USABLE);
}

void balancer_failed(struct balancer *b, struct endpoint *e)
{
    double pause = BACKOFF_FIRST_S;

    for (uint32_t i = 0; i < e->failures && pause < BACKOFF_LAST_S; i++) {
        pause *= 2;
    }
    if (pause > BACKOFF_LAST_S) {
        pause = BACKOFF_LAST_S;
    }
    e->failures++;
    e->failed_at = worker_now(b->worker);
    /* +-20 % so that workers and gateways do not come back together */
    e->not_before = e->failed_at + pause * (0.8 + 0.4 * ((double)(random() % 1000) / 1000.0));
    __atomic_store_n(&b->upstream->resolve_soon, 1, __ATOMIC_RELAXED);
    if (all_failed(b)) {
        upstream_set_health(b->upstream, UPSTREAM_UNUSABLE);
    }
}

void balancer_cool(struct balancer *b, struct endpoint *e, double seconds)
{
    double until = worker_now(b->worker) + seconds;
    if (until > e->cool_until) {
        e->cool_until = until;
    }
}

bool balancer_has_other(struct balancer *b, const struct endpoint *e)
{
    double now = worker_now(b->worker);

    for (struct list *n = b->endpoints.next; n != &b->endpoints; n = n->next) {
        const struct endpoint *other = LIST_ENTRY(n, struct endpoint, node);
        if (other != e && other->failures == 0 && now >= other->cool_until) {
            return true;
        }
    }
    return false;
}
