/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/conn_limits.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"

#define BUCKETS 4096
#define CULPRITS 4096

/* A listener with connections. */
struct hall {
    struct hall *next;
    char *listener; /* owned */
    uint32_t total;
};

struct conn_place {
    struct conn_place *next;
    struct hall *hall;
    struct addr source;
    uint32_t n;
};

/* A source that is to blame. IPv6: its /64, of which one host has all addresses. */
struct culprit {
    uint8_t ip[16];
    double until; /* the blame is over; 0: nobody is here */
};

struct conn_limits {
    pthread_mutex_t lock;
    struct hall *halls;
    struct conn_place *buckets[BUCKETS];
    struct culprit culprits[CULPRITS]; /* by hash; who has the place and more blame keeps it */
};

enum rc conn_limits_new(struct conn_limits **out)
{
    struct conn_limits *l = calloc(1, sizeof(*l));

    if (l == NULL) {
        return RC_NO_MEMORY;
    }
    pthread_mutex_init(&l->lock, NULL);
    *out = l;
    return RC_OK;
}

void conn_limits_free(struct conn_limits **pl)
{
    struct conn_limits *l = *pl;

    *pl = NULL;
    CHECK(l != NULL && l->halls == NULL);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* The link that points to the listener, or to where it would be. */
static struct hall **find_hall(struct conn_limits *l, const char *listener)
{
    struct hall **link = &l->halls;
    while (*link != NULL && strcmp((*link)->listener, listener) != 0) {
        link = &(*link)->next;
    }
    return link;
}

/* The same for a source of a listener. */
static struct conn_place **find_place(struct conn_limits *l, const struct hall *hall,
                                      const struct addr *source)
{
    struct conn_place **link =
        &l->buckets[hash_bytes(HASH_START, source->ip, sizeof(source->ip)) % BUCKETS];
    while (*link != NULL && ((*link)->hall != hall || !addr_same_ip(&(*link)->source, source))) {
        link = &(*link)->next;
    }
    return link;
}

static void drop_if_empty(struct hall **link)
{
    CHECK(*link != NULL);
    if ((*link)->total == 0) {
        struct hall *gone = *link;
        *link = gone->next;
        free(gone->listener);
        free(gone);
    }
}

static struct hall *new_hall(const char *listener)
{
    struct hall *h = calloc(1, sizeof(*h));

    if (h != NULL) {
        h->listener = strdup(listener);
    }
    if (h != NULL && h->listener == NULL) {
        free(h);
        return NULL;
    }
    return h;
}

static enum conn_admission take_place(struct conn_limits *l, struct hall *hall,
                                      const struct addr *source, uint32_t max_source,
                                      struct conn_place **place)
{
    struct conn_place **link = find_place(l, hall, source);

    if (*link == NULL) {
        *link = calloc(1, sizeof(**link));
        if (*link == NULL) {
            return CONN_NO_MEMORY;
        }
        (*link)->hall = hall;
        (*link)->source = *source;
    } else if ((*link)->n >= max_source) {
        return CONN_OVER_SOURCE;
    }
    (*link)->n++;
    hall->total++;
    *place = *link;
    return CONN_ADMITTED;
}

static enum conn_admission enter(struct conn_limits *l, const char *listener,
                                 const struct addr *source, uint32_t max, uint32_t max_source,
                                 struct conn_place **place)
{
    struct hall **link = find_hall(l, listener);

    if (*link == NULL) {
        *link = new_hall(listener);
        if (*link == NULL) {
            return CONN_NO_MEMORY;
        }
    } else if ((*link)->total >= max) {
        return CONN_OVER_TOTAL;
    }
    enum conn_admission a = take_place(l, *link, source, max_source, place);
    drop_if_empty(link);
    return a;
}

enum conn_admission conn_limits_enter(struct conn_limits *l, const char *listener,
                                      const struct addr *source, uint32_t max, uint32_t max_source,
                                      struct conn_place **place)
{
    pthread_mutex_lock(&l->lock);
    enum conn_admission a = enter(l, listener, source, max, max_source, place);
    pthread_mutex_unlock(&l->lock);
    return a;
}

/* The place of a source among those to blame, and the key under which it is there. */
static struct culprit *find_culprit(struct conn_limits *l, const struct addr *source,
                                    uint8_t key[16])
{
    memcpy(key, source->ip, 16);
    if (source->family == ADDR_V6) {
        memset(key + 8, 0, 8);
    }
    return &l->culprits[hash_bytes(HASH_START, key, 16) % CULPRITS];
}

void conn_limits_blame(struct conn_limits *l, const struct conn_place *place, double seconds,
                       double now)
{
    uint8_t key[16];

    pthread_mutex_lock(&l->lock);
    struct culprit *c = find_culprit(l, &place->source, key);
    if (memcmp(c->ip, key, sizeof(key)) == 0) {
        c->until = (c->until > now ? c->until : now) + seconds;
    } else if (c->until <= now + seconds) {
        memcpy(c->ip, key, sizeof(key));
        c->until = now + seconds;
    }
    if (c->until > now + CONN_BLAME_END_S) {
        c->until = now + CONN_BLAME_END_S;
    }
    pthread_mutex_unlock(&l->lock);
}

bool conn_limits_bars(struct conn_limits *l, const struct addr *source, double now)
{
    uint8_t key[16];

    pthread_mutex_lock(&l->lock);
    const struct culprit *c = find_culprit(l, source, key);
    bool bars = memcmp(c->ip, key, sizeof(key)) == 0 && c->until > now + CONN_BLAME_MAX_S;
    pthread_mutex_unlock(&l->lock);
    return bars;
}

void conn_limits_leave(struct conn_limits *l, struct conn_place **pp)
{
    struct conn_place *place = *pp;

    *pp = NULL;
    pthread_mutex_lock(&l->lock);
    CHECK(place->n > 0 && place->hall->total > 0);
    struct hall *hall = place->hall;
    hall->total--;
    if (--place->n == 0) {
        *find_place(l, hall, &place->source) = place->next;
        free(place);
    }
    drop_if_empty(find_hall(l, hall->listener));
    pthread_mutex_unlock(&l->lock);
}
