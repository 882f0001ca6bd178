/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/vmconfig/config_push.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 4

/* Never a type that is XDS_SECRET: a test holds it. */
static const uint8_t types[CONFIG_TYPES] = {XDS_CDS, XDS_LDS, XDS_EDS, XDS_RDS, XDS_ECDS, XDS_NDS};

unsigned config_type_index(enum xds_type type)
{
    unsigned i = 0;

    while (i < CONFIG_TYPES && types[i] != type) {
        i++;
    }
    return i;
}

enum xds_type config_type_at(unsigned index)
{
    return (enum xds_type)types[index];
}

struct config_push *config_push_new(struct config_store *s)
{
    struct config_push *p = calloc(1, sizeof(*p));

    if (p != NULL) {
        config_store_take_anyway(s, sizeof(*p)); /* some, until they are answered */
        p->store = s;
    }
    return p;
}

void config_push_free(struct config_push **pp)
{
    struct config_push *p = *pp;

    *pp = NULL;
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        config_blob_unref(&p->pairs[i].a);
        config_blob_unref(&p->pairs[i].b);
    }
    config_blob_unref(&p->version);
    config_store_give(p->store, sizeof(*p) + p->room * sizeof(*p->pairs));
    free(p->pairs);
    free(p);
}

static enum rc grow(struct config_push *p)
{
    size_t room = p->room == 0 ? FIRST_ROOM : p->room * 2;

    if (!config_store_take(p->store, (room - p->room) * sizeof(*p->pairs))) {
        return RC_FULL;
    }
    struct config_pair *pairs = realloc(p->pairs, room * sizeof(*pairs));
    if (pairs == NULL) {
        config_store_give(p->store, (room - p->room) * sizeof(*p->pairs));
        return RC_NO_MEMORY;
    }
    p->pairs = pairs;
    p->room = room;
    return RC_OK;
}

enum rc config_push_add(struct config_push *p, struct config_pair pair)
{
    enum rc rc = p->n < p->room ? RC_OK : grow(p);

    if (rc != RC_OK) {
        config_blob_unref(&pair.a);
        config_blob_unref(&pair.b);
        return rc;
    }
    p->pairs[p->n++] = pair;
    return RC_OK;
}

static int by_name(const void *pa, const void *pb)
{
    const struct config_pair *a = pa;
    const struct config_pair *b = pb;

    return strcmp(config_blob_text(a->a), config_blob_text(b->a));
}

bool config_push_sort(struct config_push *p)
{
    if (p->n > 1) {
        qsort(p->pairs, p->n, sizeof(*p->pairs), by_name);
    }
    for (size_t i = 1; i < p->n; i++) {
        if (by_name(&p->pairs[i - 1], &p->pairs[i]) == 0) {
            return false;
        }
    }
    return true;
}
