/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/vmconfig/config_ask.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "xds/pb_scan.h"

/* Of DiscoveryRequest and DeltaDiscoveryRequest (discovery.proto of Envoy). */
enum { SOTW_VERSION = 1, SOTW_NAMES = 3 };
enum { DELTA_UNSUBSCRIBE = 4, DELTA_INITIAL = 5 };
/* An entry of map<string, string>. */
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };

struct reader {
    enum xds_variant variant;
    struct config_ask *out;
    size_t room;          /* of names */
    size_t room_gone;     /* of gone */
    const uint8_t **text; /* where the field that is taken goes */
    uint32_t *n;
    bool has_version;
};

static enum pb_do take(struct reader *r, const struct pb_field *f, const uint8_t **text,
                       uint32_t *n)
{
    r->text = text;
    r->n = n;
    *n = (uint32_t)f->value;
    return PB_TAKE;
}

/* xds_request_read() has counted them in the same bytes. */
static struct config_name *next_name(struct reader *r)
{
    CHECK(r->out->n < r->room);
    return &r->out->names[r->out->n++];
}

static enum pb_do sotw_field(struct reader *r, const struct pb_field *f)
{
    if (f->number == SOTW_VERSION) {
        r->has_version |= f->value > 0;
    }
    if (f->number != SOTW_NAMES) {
        return PB_SKIP;
    }
    struct config_name *name = next_name(r);
    return take(r, f, &name->text, &name->n);
}

static enum pb_do delta_field(struct reader *r, const struct pb_field *f)
{
    if (f->number == DELTA_INITIAL) {
        (void)next_name(r);
        return PB_ENTER;
    }
    if (f->number != DELTA_UNSUBSCRIBE) {
        return PB_SKIP;
    }
    CHECK(r->out->n_gone < r->room_gone);
    struct config_name *name = &r->out->gone[r->out->n_gone++];
    return take(r, f, &name->text, &name->n);
}

static enum pb_do entry_field(struct reader *r, const struct pb_field *f)
{
    struct config_name *name = &r->out->names[r->out->n - 1];

    if (f->number == ENTRY_KEY) {
        return take(r, f, &name->text, &name->n);
    }
    return f->number == ENTRY_VALUE ? take(r, f, &name->version, &name->n_version) : PB_SKIP;
}

static enum pb_do on_field(void *arg, const struct pb_field *f)
{
    struct reader *r = arg;

    if (f->wire != PB_BYTES) {
        return PB_SKIP;
    }
    if (f->depth > 0) {
        return entry_field(r, f);
    }
    return r->variant == XDS_SOTW ? sotw_field(r, f) : delta_field(r, f);
}

/* The message is fed in one piece, and so comes each of its fields. */
static void on_bytes(void *arg, const uint8_t *data, size_t n)
{
    struct reader *r = arg;

    CHECK(n == *r->n);
    *r->text = data;
}

static void on_end(void *arg, uint32_t depth)
{
    (void)arg;
    (void)depth;
}

static const struct pb_ops ops = {on_field, on_bytes, on_end};

static int compare(const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b)
{
    size_t n = n_a < n_b ? n_a : n_b;
    int order = n > 0 ? memcmp(a, b, n) : 0;

    return order != 0 ? order : (n_a > n_b) - (n_a < n_b);
}

static int by_name(const void *pa, const void *pb)
{
    const struct config_name *a = pa;
    const struct config_name *b = pb;

    return compare(a->text, a->n, b->text, b->n);
}

int config_name_compare(const char *name, const struct config_name *asked)
{
    return compare((const uint8_t *)name, strlen(name), asked->text, asked->n);
}

/* Without duplicates: of a key that comes twice one is as good as the other. */
static size_t sort(struct config_name *names, size_t n)
{
    size_t kept = 0;

    if (n > 1) {
        qsort(names, n, sizeof(*names), by_name);
    }
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || by_name(&names[kept - 1], &names[i]) != 0) {
            names[kept++] = names[i];
        }
    }
    return kept;
}

static enum rc make_room(struct config_store *s, struct reader *r, size_t n, size_t n_gone)
{
    size_t bytes = (n + n_gone) * sizeof(struct config_name);

    *r->out = (struct config_ask){.n = 0};
    r->room = n;
    r->room_gone = n_gone;
    if (bytes == 0) {
        return RC_OK;
    }
    if (n > CONFIG_ASK_MAX || n_gone > CONFIG_ASK_MAX || !config_store_take(s, bytes)) {
        return RC_FULL;
    }
    r->out->names = calloc(n + n_gone, sizeof(struct config_name));
    if (r->out->names == NULL) {
        config_store_give(s, bytes);
        return RC_NO_MEMORY;
    }
    r->out->gone = r->out->names + n;
    r->out->taken = bytes;
    return RC_OK;
}

enum rc config_ask_read(struct config_store *s, enum xds_variant variant,
                        const struct xds_request *q, const uint8_t *message, size_t n,
                        struct config_ask *out)
{
    struct reader r = {.variant = variant, .out = out};
    struct pb_scan scan;

    TRY(make_room(s, &r, variant == XDS_SOTW ? q->n_subscribe : q->n_initial,
                  variant == XDS_SOTW ? 0 : q->n_unsubscribe));
    pb_scan_begin(&scan, (uint32_t)n);
    if (pb_scan_feed(&scan, &ops, &r, message, n) != RC_OK) {
        /* The entry of a map, which xds_request_read() has not entered, is none. */
        config_ask_fini(s, out);
        return RC_PEER_MALFORMED;
    }
    out->n = sort(out->names, out->n);
    out->n_gone = sort(out->gone, out->n_gone);
    out->has_nothing = variant == XDS_SOTW ? !r.has_version : q->n_initial == 0;
    return RC_OK;
}

void config_ask_fini(struct config_store *s, struct config_ask *a)
{
    config_store_give(s, a->taken);
    free(a->names); /* gone is a part of it */
    *a = (struct config_ask){.n = 0};
}
