/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Node has one shape only, so the depth of a field, counted from the Node, says what it is of:
 *
 *   0 Node  1 Struct (metadata)  2 its entry  3 Value  4 Struct (labels)  5 its entry  6 Value
 *           1 Locality
 *
 * Key and value of an entry may come in either order, so both are kept until the entry ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/utf8.h"
#include "xds/xds_internal.h"
#include "xds/xds_text.h"

enum { DEPTH_NODE, DEPTH_INSIDE, DEPTH_ENTRY, DEPTH_VALUE, DEPTH_LABELS, DEPTH_LABEL };

enum { NODE_ID = 1, NODE_CLUSTER = 2, NODE_METADATA = 3, NODE_LOCALITY = 4 };
enum { STRUCT_FIELDS = 1 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { VALUE_NULL = 1, VALUE_NUMBER, VALUE_STRING, VALUE_BOOL, VALUE_STRUCT, VALUE_LIST };

/** Entries of maps with their keys and values: an agent sends some hundred, and each costs a look.
 */
#define FIELDS_MAX 16384

/** Region, zone, sub-zone: together they fit into a text. */
#define LOCALITY_PARTS 3
#define LOCALITY_PART_BYTES 84

/** What a key of the metadata is; below these a text of enum xds_node_text. */
enum { KEY_LABELS = XDS_NODE_TEXTS, KEY_STATIC_LABELS, KEY_PROXY_CONFIG, KEYS };

static const struct {
    const char *key;
    unsigned id;
} keys[] = {
    {"NAME", XDS_NODE_NAME},
    {"NAMESPACE", XDS_NODE_NAMESPACE},
    {"SERVICE_ACCOUNT", XDS_NODE_SERVICE_ACCOUNT},
    {"AUTO_REGISTER_GROUP", XDS_NODE_GROUP},
    {"WORKLOAD_ENTRY", XDS_NODE_ENTRY},
    {"INSTANCE_IPS", XDS_NODE_INSTANCE_IPS},
    {"NETWORK", XDS_NODE_NETWORK},
    {"CLUSTER_ID", XDS_NODE_CLUSTER_ID},
    {"MESH_ID", XDS_NODE_MESH_ID},
    {"ISTIO_VERSION", XDS_NODE_VERSION},
    {"WORKLOAD_NAME", XDS_NODE_WORKLOAD},
    {"GENERATOR", XDS_NODE_GENERATOR},
    {"LABELS", KEY_LABELS},
    {"STATIC_LABELS", KEY_STATIC_LABELS},
    {"PROXY_CONFIG", KEY_PROXY_CONFIG},
};

/** How a key is written: like the one of the table, or in other letters. */
enum spelling { SPELLING_NONE, SPELLING_EXACT = 1, SPELLING_OTHER = 2 };

/** The kind of a Value. */
enum kind { KIND_NONE, KIND_STRING, KIND_STRUCT, KIND_ELSE };

/** An entry of a map: of the metadata, or of labels. */
struct entry {
    bool has_key;
    bool has_value;
    bool odd;        /**< key, value or the kind of the value more than once */
    uint8_t kind;    /**< enum kind */
    uint8_t id;      /**< of the key; KEYS: none of the table */
    uint8_t written; /**< enum spelling */
    struct xds_text key_text;
    struct xds_text value_text;
    char key[XDS_LABEL_BYTES];
    char value[XDS_NODE_IPS_BYTES];
};

struct xds_node_reader {
    struct xds_text *taking; /**< borrowed from here; NULL: an entered message is open */
    char *to;                /**< where it goes; borrowed from here */
    size_t room;
    bool in_locality;
    bool bad; /**< a text is no UTF-8, or there are too many entries */
    bool cut;
    bool odd;
    bool has_metadata;
    bool has_locality;
    bool has_proxy_config;
    uint32_t n_fields;  /**< of maps */
    uint8_t seen[KEYS]; /**< enum spelling, bits */
    uint8_t seen_part[LOCALITY_PARTS];
    struct xds_text plain; /**< id, cluster or a part of the locality */
    struct entry entry;
    struct entry label;
    struct xds_labels labels;
    char part[LOCALITY_PARTS][LOCALITY_PART_BYTES];
    char text[XDS_NODE_TEXTS][XDS_NODE_IPS_BYTES]; /**< each with room_of() in use */
};

static size_t room_of(unsigned text)
{
    return text == XDS_NODE_ID             ? XDS_NODE_ID_BYTES
           : text == XDS_NODE_INSTANCE_IPS ? XDS_NODE_IPS_BYTES
                                           : XDS_NODE_TEXT_BYTES;
}

enum rc xds_node_reader_new(struct xds_node_reader **out)
{
    struct xds_node_reader *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        return RC_NO_MEMORY;
    }
    xds_labels_init(&r->labels);
    *out = r;
    return RC_OK;
}

void xds_node_reader_free(struct xds_node_reader **r)
{
    free(*r);
    *r = NULL;
}

/* ---- keys ---- */

/* One character of a key as encoding/json folds it (appendFoldedName() of Go), of n bytes, 1 or
 * more. *used: how many it has. */
static char fold(const char *c, size_t n, size_t *used)
{
    *used = 1;
    if (*c >= 'a' && *c <= 'z') {
        return (char)(*c - 'a' + 'A');
    }
    if (n >= 2 && memcmp(c, "\xc5\xbf", 2) == 0) { /* U+017F, long s */
        *used = 2;
        return 'S';
    }
    if (n >= 3 && memcmp(c, "\xe2\x84\xaa", 3) == 0) { /* U+212A, Kelvin */
        *used = 3;
        return 'K';
    }
    return *c;
}

static enum spelling compare_key(const char *key, const char *name, size_t n)
{
    size_t used = 0;
    size_t i = 0;

    if (strlen(key) == n && memcmp(key, name, n) == 0) {
        return SPELLING_EXACT;
    }
    for (; i < n && *key != '\0' && fold(name + i, n - i, &used) == *key; key++) {
        i += used;
    }
    return i == n && *key == '\0' ? SPELLING_OTHER : SPELLING_NONE;
}

/* Which key of the table the entry has. */
static void identify(struct entry *e)
{
    e->id = KEYS;
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        enum spelling written = compare_key(keys[i].key, e->key, e->key_text.n);
        bool counts = keys[i].id != XDS_NODE_NAME || written == SPELLING_EXACT;
        if (written != SPELLING_NONE && counts) {
            e->id = (uint8_t)keys[i].id;
            e->written = (uint8_t)written;
            return;
        }
    }
}

static bool is_labels(const struct entry *e)
{
    return e->id == KEY_LABELS || e->id == KEY_STATIC_LABELS;
}

/* ---- fields ---- */

static enum pb_do take(struct xds_node_reader *r, struct xds_text *t, char *to, size_t room)
{
    *t = (struct xds_text){0};
    r->taking = t;
    r->to = to;
    r->room = room;
    return PB_TAKE;
}

static enum pb_do take_plain(struct xds_node_reader *r, uint8_t *seen, char *to, size_t room)
{
    r->odd |= *seen != SPELLING_NONE;
    *seen = SPELLING_EXACT;
    return take(r, &r->plain, to, room);
}

static enum pb_do node_field(struct xds_node_reader *r, uint32_t number)
{
    switch (number) {
    case NODE_ID:
        return take_plain(r, &r->seen[XDS_NODE_ID], r->text[XDS_NODE_ID], XDS_NODE_ID_BYTES);
    case NODE_CLUSTER:
        return take_plain(r, &r->seen[XDS_NODE_CLUSTER], r->text[XDS_NODE_CLUSTER],
                          XDS_NODE_TEXT_BYTES);
    case NODE_METADATA:
        r->odd |= r->has_metadata;
        r->has_metadata = true;
        r->in_locality = false;
        return PB_ENTER;
    case NODE_LOCALITY:
        r->odd |= r->has_locality;
        r->has_locality = true;
        r->in_locality = true;
        return PB_ENTER;
    default:
        return PB_SKIP;
    }
}

static enum pb_do locality_field(struct xds_node_reader *r, uint32_t number)
{
    if (number > LOCALITY_PARTS) {
        return PB_SKIP;
    }
    return take_plain(r, &r->seen_part[number - 1], r->part[number - 1], LOCALITY_PART_BYTES);
}

/* One more of a map; false: there are too many. */
static bool count_field(struct xds_node_reader *r)
{
    r->bad |= r->n_fields == FIELDS_MAX;
    r->n_fields += !r->bad;
    return !r->bad;
}

/* A field of a Struct: an entry of its map begins. */
static enum pb_do struct_field(struct xds_node_reader *r, struct entry *e, uint32_t number)
{
    if (number != STRUCT_FIELDS || !count_field(r)) {
        return PB_SKIP;
    }
    e->has_key = false;
    e->has_value = false;
    e->odd = false;
    e->kind = KIND_NONE;
    e->id = KEYS;
    e->key_text = (struct xds_text){0};
    e->value_text = (struct xds_text){0};
    e->key[0] = '\0';
    e->value[0] = '\0';
    return PB_ENTER;
}

static enum pb_do entry_field(struct xds_node_reader *r, struct entry *e, uint32_t number)
{
    if (!count_field(r)) {
        return PB_SKIP;
    }
    if (number == ENTRY_KEY) {
        e->odd |= e->has_key;
        e->has_key = true;
        return take(r, &e->key_text, e->key, sizeof(e->key));
    }
    if (number == ENTRY_VALUE) {
        e->odd |= e->has_value;
        e->has_value = true;
        return PB_ENTER;
    }
    return PB_SKIP;
}

/* What kind of Value a field of it makes; of another wire type it is none that Go knows. */
static enum kind kind_of(const struct pb_field *f)
{
    switch (f->number) {
    case VALUE_NULL:
    case VALUE_BOOL:
        return f->wire == PB_VARINT ? KIND_ELSE : KIND_NONE;
    case VALUE_NUMBER:
        return f->wire == PB_FIXED64 ? KIND_ELSE : KIND_NONE;
    case VALUE_STRING:
        return f->wire == PB_BYTES ? KIND_STRING : KIND_NONE;
    case VALUE_STRUCT:
        return f->wire == PB_BYTES ? KIND_STRUCT : KIND_NONE;
    case VALUE_LIST:
        return f->wire == PB_BYTES ? KIND_ELSE : KIND_NONE;
    default:
        return KIND_NONE;
    }
}

static enum pb_do value_field(struct xds_node_reader *r, struct entry *e, const struct pb_field *f)
{
    enum kind kind = kind_of(f);

    if (kind == KIND_NONE) {
        return PB_SKIP;
    }
    e->odd |= e->kind != KIND_NONE;
    e->kind = (uint8_t)kind;
    if (e == &r->entry && e->has_key && e->id == KEYS) {
        return PB_SKIP; /* of a key that nobody wants */
    }
    if (kind == KIND_STRING) {
        return take(r, &e->value_text, e->value, sizeof(e->value));
    }
    bool may_be_labels = e == &r->entry && (!e->has_key || is_labels(e));
    return kind == KIND_STRUCT && may_be_labels ? PB_ENTER : PB_SKIP;
}

enum pb_do xds_node_reader_field(struct xds_node_reader *r, const struct pb_field *f)
{
    if (f->depth == DEPTH_VALUE) {
        return value_field(r, &r->entry, f);
    }
    if (f->depth > DEPTH_LABEL) {
        return value_field(r, &r->label, f);
    }
    if (f->wire != PB_BYTES) {
        return PB_SKIP;
    }
    switch (f->depth) {
    case DEPTH_NODE:
        return node_field(r, f->number);
    case DEPTH_INSIDE:
        return r->in_locality ? locality_field(r, f->number)
                              : struct_field(r, &r->entry, f->number);
    case DEPTH_ENTRY:
        return entry_field(r, &r->entry, f->number);
    case DEPTH_LABELS:
        return struct_field(r, &r->label, f->number);
    default:
        return entry_field(r, &r->label, f->number);
    }
}

void xds_node_reader_bytes(struct xds_node_reader *r, const uint8_t *data, size_t n)
{
    xds_text_add(r->taking, r->to, r->room, data, n);
}

/* ---- ends ---- */

static void end_text(struct xds_node_reader *r)
{
    struct xds_text *t = r->taking;

    r->taking = NULL;
    r->bad |= !xds_text_end(t, r->to);
    if (t == &r->entry.key_text) {
        identify(&r->entry);
    } else if (t == &r->plain) {
        r->cut |= t->cut;
        r->odd |= t->nul;
    }
}

/* A key of the table has a string. */
static void set_text(struct xds_node_reader *r, const struct entry *e)
{
    char *to = r->text[e->id];
    size_t room = room_of(e->id);
    size_t n = e->value_text.n;

    r->cut |= e->value_text.cut || n >= room;
    r->odd |= e->value_text.nul;
    if (n >= room) {
        n = utf8_whole_bytes(e->value, room - 1);
    }
    bool is_same = strlen(to) == n && memcmp(to, e->value, n) == 0;
    r->odd |= r->seen[e->id] != SPELLING_NONE && !is_same;
    memcpy(to, e->value, n);
    to[n] = '\0';
}

/* An entry of the metadata is complete. */
static void end_entry(struct xds_node_reader *r)
{
    const struct entry *e = &r->entry;

    r->odd |= e->odd;
    if (e->kind == KIND_STRUCT && is_labels(e)) {
        xds_labels_keep(&r->labels, e->id == KEY_LABELS ? XDS_OF_LABELS : XDS_OF_STATIC);
    } else if (e->kind == KIND_STRUCT) {
        xds_labels_drop(&r->labels);
    }
    if (e->id == KEYS) {
        return;
    }
    r->odd |= (r->seen[e->id] & e->written) != 0;
    if (e->id < XDS_NODE_TEXTS && e->kind == KIND_STRING) {
        set_text(r, e);
    } else {
        r->odd |= e->id < XDS_NODE_TEXTS || e->kind != KIND_STRUCT;
    }
    r->has_proxy_config |= e->id == KEY_PROXY_CONFIG && e->kind == KIND_STRUCT;
    r->seen[e->id] |= e->written;
}

/* An entry of a map that may be labels is complete. */
static void end_label(struct xds_node_reader *r)
{
    const struct entry *e = &r->label;

    r->labels.new_odd |= e->odd || e->key_text.nul || e->value_text.nul || e->kind != KIND_STRING;
    if (e->kind == KIND_STRING) {
        xds_labels_add(&r->labels, e->key, e->value);
    }
}

void xds_node_reader_end(struct xds_node_reader *r, uint32_t depth)
{
    if (r->taking != NULL) {
        end_text(r);
    } else if (depth == DEPTH_INSIDE) {
        end_entry(r);
    } else if (depth == DEPTH_LABELS) {
        end_label(r);
    }
}

/* ---- the result ---- */

/* As istiod writes it (LocalityToString() of pilot/pkg/networking/util): to the first that is
 * empty. */
static void write_locality(struct xds_node_reader *r)
{
    const char *zone = r->part[0][0] != '\0' ? r->part[1] : "";
    const char *sub_zone = zone[0] != '\0' ? r->part[2] : "";

    (void)snprintf(r->text[XDS_NODE_LOCALITY], XDS_NODE_TEXT_BYTES, "%s%s%s%s%s", r->part[0],
                   zone[0] != '\0' ? "/" : "", zone, sub_zone[0] != '\0' ? "/" : "", sub_zone);
}

/* The texts, one after the other, from `at` on; where each begins. Returns where the last ends. */
static size_t pack_texts(const struct xds_node_reader *r, char packed[XDS_NODE_BYTES], size_t at,
                         size_t starts[XDS_NODE_TEXTS])
{
    for (unsigned i = 0; i < XDS_NODE_TEXTS; i++) {
        size_t n = strlen(r->text[i]) + 1;
        memcpy(packed + at, r->text[i], n);
        starts[i] = at;
        at += n;
    }
    return at;
}

enum rc xds_node_reader_finish(struct xds_node_reader *r, struct xds_node **out)
{
    _Static_assert(sizeof(struct xds_node) + XDS_NODE_ID_BYTES + XDS_NODE_IPS_BYTES +
                           (XDS_NODE_TEXTS - 2) * XDS_NODE_TEXT_BYTES <=
                       XDS_NODE_BYTES,
                   "the texts fit, whatever they are");
    struct xds_node node = {.has_proxy_config = r->has_proxy_config};
    char packed[XDS_NODE_BYTES];
    size_t starts[XDS_NODE_TEXTS];
    uint32_t n_label_bytes = 0;

    if (r->bad) {
        return RC_PEER_MALFORMED;
    }
    write_locality(r);
    size_t n = pack_texts(r, packed, sizeof(node), starts);
    bool all =
        xds_labels_pack(&r->labels, packed + n, sizeof(packed) - n, &node.n_labels, &n_label_bytes);
    node.n_bytes = (uint32_t)n + n_label_bytes;
    node.cut = r->cut || r->labels.cut || !all;
    node.odd = r->odd || r->labels.odd;
    char *block = malloc(node.n_bytes);
    if (block == NULL) {
        return RC_NO_MEMORY;
    }
    for (unsigned i = 0; i < XDS_NODE_TEXTS; i++) {
        node.text[i] = block + starts[i];
    }
    node.labels = block + n;
    memcpy(packed, &node, sizeof(node));
    memcpy(block, packed, node.n_bytes);
    *out = (struct xds_node *)(void *)block;
    return RC_OK;
}
