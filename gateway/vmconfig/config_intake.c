/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/vmconfig/config_intake.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/wipe.h"
#include "gateway/vmconfig/config_mask.h"
#include "xds/pb_scan.h"
#include "xds/xds_text.h"

#define CONFIG_INTAKE_MAGIC 0x8e3b51d6u

/* Of versions, which istiod writes as a time and a number. */
#define VERSION_BYTES 256

#define FIRST_ROOM_BYTES 4096

/* DiscoveryResponse and DeltaDiscoveryResponse (discovery.proto of Envoy); 1 is version_info, or
 * system_version_info; 6 is something else in the first. */
enum { FIELD_VERSION = 1, FIELD_RESOURCES = 2, FIELD_REMOVED = 6 };
/* Resource, of a delta response. */
enum { RESOURCE_VERSION = 1, RESOURCE_ANY = 2, RESOURCE_NAME = 3 };
/* google.protobuf.Any. */
enum { ANY_URL = 1, ANY_VALUE = 2 };
/* Of Cluster, Listener, RouteConfiguration, TypedExtensionConfig; cluster_name of
 * ClusterLoadAssignment. */
enum { VALUE_NAME = 1 };

/* What is being read. */
enum part { PART_NONE, PART_VERSION, PART_NAME, PART_OWN_VERSION, PART_URL, PART_VALUE, PART_GONE };

/* Bytes of one value, all taken of the budget. */
struct room {
    uint8_t *bytes; /* owned */
    size_t n;
    size_t cap;
    size_t max; /* as long as it says it is */
};

struct config_intake {
    uint32_t magic;
    enum xds_variant variant;
    struct config_store *store; /* borrowed */
    struct config_push *push;   /* owned */
    struct pb_scan scan;
    enum part in;
    bool over;            /* nothing more is looked at */
    bool foreign;         /* because nothing is kept of a type that is in it */
    enum config_loss why; /* it is over and not foreign */
    enum xds_type type;   /* of the resources; XDS_OTHER: there was none yet */
    bool has_any;
    bool has_url;
    struct room value;
    struct xds_text text;
    char url[XDS_URL_BYTES];
    char version[VERSION_BYTES];
    char own_version[VERSION_BYTES];
    char name[CONFIG_NAME_BYTES];
};

/* ---- values ---- */

static void empty_room(struct config_intake *i)
{
    wipe_free(i->value.bytes, i->value.cap);
    config_store_give(i->store, i->value.cap);
    i->value = (struct room){0};
}

/* That no copy is left anywhere, realloc() is not used. */
static enum rc grow(struct config_intake *i, size_t need)
{
    struct room *r = &i->value;
    size_t cap = r->cap == 0 ? FIRST_ROOM_BYTES : r->cap * 2;

    cap = cap > r->max ? r->max : cap;
    cap = cap < need ? need : cap;
    if (!config_store_take(i->store, cap)) {
        return RC_FULL;
    }
    uint8_t *bytes = malloc(cap);
    if (bytes == NULL) {
        config_store_give(i->store, cap);
        return RC_NO_MEMORY;
    }
    if (r->n > 0) {
        memcpy(bytes, r->bytes, r->n);
    }
    wipe_free(r->bytes, r->cap);
    config_store_give(i->store, r->cap);
    r->bytes = bytes;
    r->cap = cap;
    return RC_OK;
}

static void stop(struct config_intake *i, enum config_loss why)
{
    i->over = true;
    i->why = why;
    empty_room(i);
}

static void stop_for(struct config_intake *i, enum rc rc)
{
    stop(i, rc == RC_PEER_MALFORMED ? CONFIG_LOSS_UNREADABLE : CONFIG_LOSS_FULL);
}

static void add_bytes(struct config_intake *i, const uint8_t *data, size_t n)
{
    struct room *r = &i->value;

    if (n > r->cap - r->n) {
        enum rc rc = grow(i, r->n + n);
        if (rc != RC_OK) {
            stop_for(i, rc);
            return;
        }
    }
    memcpy(r->bytes + r->n, data, n);
    r->n += n;
}

/* ---- names inside of values ---- */

struct name_reader {
    struct config_intake *i;
    bool failed;
};

static enum pb_do on_value_field(void *arg, const struct pb_field *f)
{
    struct name_reader *r = arg;

    if (f->number != VALUE_NAME || f->wire != PB_BYTES) {
        return PB_SKIP;
    }
    r->i->text = (struct xds_text){0};
    r->i->name[0] = '\0';
    return PB_TAKE;
}

static void on_value_bytes(void *arg, const uint8_t *data, size_t n)
{
    struct name_reader *r = arg;

    xds_text_add(&r->i->text, r->i->name, sizeof(r->i->name), data, n);
}

static void on_value_end(void *arg, uint32_t depth)
{
    struct name_reader *r = arg;

    (void)depth;
    r->failed |= !xds_text_end(&r->i->text, r->i->name) || r->i->text.cut;
}

/* State of the world: the name is in the resource itself. False: it cannot be read. */
static bool read_name(struct config_intake *i)
{
    static const struct pb_ops ops = {on_value_field, on_value_bytes, on_value_end};
    struct name_reader r = {.i = i};
    struct pb_scan scan;

    i->name[0] = '\0';
    if (i->type == XDS_NDS) {
        return true; /* its first field is a map, and there is one only */
    }
    pb_scan_begin(&scan, (uint32_t)i->value.n);
    enum rc rc = i->value.n > 0 ? pb_scan_feed(&scan, &ops, &r, i->value.bytes, i->value.n) : RC_OK;
    return rc == RC_OK && pb_scan_is_over(&scan) && !r.failed;
}

/* ---- resources ---- */

static void begin_resource(struct config_intake *i)
{
    i->has_any = i->variant == XDS_SOTW;
    i->has_url = false;
    i->name[0] = '\0';
    i->own_version[0] = '\0';
    i->value.n = 0;
}

/* The URL is complete. */
static void look_at_url(struct config_intake *i)
{
    enum xds_type type = xds_type_of(i->url, i->text.n);

    i->has_url = true;
    if (config_type_index(type) == CONFIG_TYPES) {
        i->over = true;
        i->foreign = true;
        empty_room(i);
    } else if (i->type != XDS_OTHER && i->type != type) {
        stop(i, CONFIG_LOSS_UNREADABLE);
    }
    i->type = type;
}

static enum rc keep(struct config_intake *i, const uint8_t *value, size_t n)
{
    const struct config_resource r = {
        .type = i->type, .name = i->name, .value = value, .n_value = n};
    struct config_pair pair = {NULL, NULL};

    TRY(config_store_resource(i->store, &r, &pair.a));
    enum rc rc = config_store_text(i->store, i->own_version, &pair.b);
    if (rc != RC_OK) {
        config_blob_unref(&pair.a);
        return rc;
    }
    return config_push_add(i->push, pair);
}

static enum rc keep_resource(struct config_intake *i)
{
    static const uint8_t empty[1];

    if (!i->has_any) {
        return RC_OK; /* delta: it says that what the VM has is still good */
    }
    if (!i->has_url || (i->variant == XDS_SOTW && !read_name(i))) {
        return RC_PEER_MALFORMED;
    }
    if (i->value.n > 0) {
        config_mask(i->value.bytes, i->value.n);
    }
    return keep(i, i->value.n > 0 ? i->value.bytes : empty, i->value.n);
}

static void end_resource(struct config_intake *i)
{
    enum rc rc = keep_resource(i);

    if (rc != RC_OK) {
        stop_for(i, rc);
    }
}

/* ---- fields ---- */

static enum pb_do take(struct config_intake *i, enum part part)
{
    i->in = part;
    i->text = (struct xds_text){0};
    return PB_TAKE;
}

static enum pb_do top_field(struct config_intake *i, uint32_t number)
{
    switch (number) {
    case FIELD_VERSION:
        return take(i, PART_VERSION);
    case FIELD_RESOURCES:
        begin_resource(i);
        return PB_ENTER;
    case FIELD_REMOVED:
        if (i->variant == XDS_SOTW) {
            return PB_SKIP;
        }
        begin_resource(i);
        return take(i, PART_GONE);
    default:
        return PB_SKIP;
    }
}

static enum pb_do resource_field(struct config_intake *i, uint32_t number)
{
    switch (number) {
    case RESOURCE_VERSION:
        return take(i, PART_OWN_VERSION);
    case RESOURCE_ANY:
        i->has_any = true;
        return PB_ENTER;
    case RESOURCE_NAME:
        return take(i, PART_NAME);
    default:
        return PB_SKIP;
    }
}

static enum pb_do any_field(struct config_intake *i, const struct pb_field *f)
{
    switch (f->number) {
    case ANY_URL:
        return take(i, PART_URL);
    case ANY_VALUE:
        i->value.n = 0;
        i->value.max = f->value;
        return take(i, PART_VALUE);
    default:
        return PB_SKIP;
    }
}

static enum pb_do on_field(void *arg, const struct pb_field *f)
{
    struct config_intake *i = arg;

    if (f->wire != PB_BYTES || i->over) {
        return PB_SKIP;
    }
    if (f->depth == 0) {
        return top_field(i, f->number);
    }
    return i->variant == XDS_DELTA && f->depth == 1 ? resource_field(i, f->number)
                                                    : any_field(i, f);
}

/* Where the text of the open field goes. */
static char *room_of(struct config_intake *i, size_t *room)
{
    switch (i->in) {
    case PART_VERSION:
        *room = sizeof(i->version);
        return i->version;
    case PART_OWN_VERSION:
        *room = sizeof(i->own_version);
        return i->own_version;
    case PART_URL:
        *room = sizeof(i->url);
        return i->url;
    default:
        *room = sizeof(i->name);
        return i->name;
    }
}

static void on_bytes(void *arg, const uint8_t *data, size_t n)
{
    struct config_intake *i = arg;
    size_t room;

    if (i->over) {
        return;
    }
    if (i->in == PART_VALUE) {
        add_bytes(i, data, n);
        return;
    }
    char *to = room_of(i, &room);
    xds_text_add(&i->text, to, room, data, n);
}

/* A text is complete. */
static void end_text(struct config_intake *i, enum part part)
{
    size_t room;
    bool is_text = xds_text_end(&i->text, room_of(i, &room));

    if (!is_text || (i->text.cut && part != PART_URL)) {
        stop(i, CONFIG_LOSS_UNREADABLE);
    } else if (part == PART_URL) {
        look_at_url(i);
    } else if (part == PART_GONE) {
        enum rc rc = keep(i, NULL, 0);
        if (rc != RC_OK) {
            stop_for(i, rc);
        }
    }
}

static void on_end(void *arg, uint32_t depth)
{
    struct config_intake *i = arg;
    enum part part = i->in;

    if (i->over) {
        return;
    }
    if (part == PART_NONE) {
        if (depth == 0) {
            end_resource(i);
        }
        return;
    }
    if (part != PART_VALUE) {
        end_text(i, part);
    }
    i->in = PART_NONE;
}

static const struct pb_ops ops = {on_field, on_bytes, on_end};

/* ---- life ---- */

struct config_intake *config_intake_new(struct config_store *s, enum xds_variant variant,
                                        uint32_t n)
{
    struct config_intake *i = calloc(1, sizeof(*i));

    if (i == NULL) {
        return NULL;
    }
    config_store_take_anyway(s, sizeof(*i)); /* only while a response passes */
    i->magic = CONFIG_INTAKE_MAGIC;
    i->store = s;
    i->variant = variant;
    i->type = XDS_OTHER;
    i->push = config_push_new(s);
    if (i->push == NULL) {
        config_intake_free(&i);
        return NULL;
    }
    pb_scan_begin(&i->scan, n);
    return i;
}

void config_intake_free(struct config_intake **pi)
{
    struct config_intake *i = *pi;

    *pi = NULL;
    if (i == NULL) {
        return;
    }
    CHECK_MAGIC(i, CONFIG_INTAKE_MAGIC);
    empty_room(i);
    config_push_free(&i->push);
    config_store_give(i->store, sizeof(*i));
    wipe_free(i, sizeof(*i));
}

void config_intake_feed(struct config_intake *i, const uint8_t *data, size_t n)
{
    CHECK_MAGIC(i, CONFIG_INTAKE_MAGIC);
    if (!i->over && pb_scan_feed(&i->scan, &ops, i, data, n) != RC_OK && !i->over) {
        stop(i, CONFIG_LOSS_UNREADABLE);
    }
}

/* What the whole response is, when nothing was wrong so far. */
static enum rc finish(struct config_intake *i, const struct xds_response *r)
{
    struct config_push *p = i->push;

    if (!pb_scan_is_over(&i->scan) || (i->type != XDS_OTHER && i->type != r->type) ||
        r->nonce[0] == '\0' || !config_push_sort(p)) {
        return RC_PEER_MALFORMED;
    }
    TRY(config_store_text(i->store, i->version, &p->version));
    memcpy(p->nonce, r->nonce, strlen(r->nonce) + 1);
    p->type = r->type;
    return RC_OK;
}

enum config_taken config_intake_end(struct config_intake **pi, const struct xds_response *r,
                                    struct config_push **push, enum config_loss *why)
{
    struct config_intake *i = *pi;
    enum config_taken taken = CONFIG_LOST;

    CHECK_MAGIC(i, CONFIG_INTAKE_MAGIC);
    if (config_type_index(r->type) == CONFIG_TYPES) {
        taken = CONFIG_NOT_OURS;
    } else if (i->over) {
        *why = i->foreign ? CONFIG_LOSS_UNREADABLE : i->why;
    } else {
        enum rc rc = finish(i, r);
        taken = rc == RC_OK ? CONFIG_TAKEN : CONFIG_LOST;
        *why = rc == RC_PEER_MALFORMED ? CONFIG_LOSS_UNREADABLE : CONFIG_LOSS_FULL;
    }
    if (taken == CONFIG_TAKEN) {
        *push = i->push;
        i->push = NULL;
    }
    config_intake_free(pi);
    return taken;
}
