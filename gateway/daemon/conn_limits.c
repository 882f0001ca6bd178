/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/conn_limits.h"

#include <stdlib.h>

#include "core/base/check.h"

#define BUCKETS 4096

struct source {
    struct source *next;
    struct addr addr;
    uint32_t n;
};

struct conn_limits {
    pthread_mutex_t lock;
    uint32_t total;
    struct source *buckets[BUCKETS];
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
    CHECK(l != NULL && l->total == 0);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* The link that points to the source, or to where it would be. */
static struct source **find(struct conn_limits *l, const struct addr *a)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < sizeof(a->ip); i++) {
        h = (h ^ a->ip[i]) * 16777619u;
    }
    struct source **link = &l->buckets[h % BUCKETS];
    while (*link != NULL && !addr_same_ip(&(*link)->addr, a)) {
        link = &(*link)->next;
    }
    return link;
}

static enum conn_admission enter(struct conn_limits *l, const struct addr *a, uint32_t max,
                                 uint32_t max_source)
{
    if (l->total >= max) {
        return CONN_OVER_TOTAL;
    }
    struct source **link = find(l, a);
    if (*link == NULL) {
        *link = calloc(1, sizeof(**link));
        if (*link == NULL) {
            return CONN_NO_MEMORY;
        }
        (*link)->addr = *a;
    } else if ((*link)->n >= max_source) {
        return CONN_OVER_SOURCE;
    }
    (*link)->n++;
    l->total++;
    return CONN_ADMITTED;
}

enum conn_admission conn_limits_enter(struct conn_limits *l, const struct addr *source,
                                      uint32_t max, uint32_t max_source)
{
    pthread_mutex_lock(&l->lock);
    enum conn_admission a = enter(l, source, max, max_source);
    pthread_mutex_unlock(&l->lock);
    return a;
}

void conn_limits_leave(struct conn_limits *l, const struct addr *source)
{
    pthread_mutex_lock(&l->lock);
    struct source **link = find(l, source);
    CHECK(*link != NULL && l->total > 0);
    l->total--;
    if (--(*link)->n == 0) {
        struct source *gone = *link;
        *link = gone->next;
        free(gone);
    }
    pthread_mutex_unlock(&l->lock);
}
