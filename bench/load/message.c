/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/message.h"

#include <stdio.h>
#include <string.h>

#include "bench/load/pb.h"
#include "core/base/check.h"

/** Of DeltaDiscoveryRequest and DeltaDiscoveryResponse. */
enum { REQUEST_NODE = 1, REQUEST_URL = 2, REQUEST_NAMES = 3, REQUEST_NONCE = 6 };
enum { RESPONSE_VERSION = 1, RESPONSE_RESOURCES = 2, RESPONSE_URL = 4, RESPONSE_NONCE = 5 };

/** A name of a cluster, and a cluster of Istio's: one to two kilobytes. */
#define NAME_BYTES 48
#define RESOURCE_BYTES 1500

/** What a VM asks for by name: the clusters with endpoints of their own, the routes. */
static const uint16_t names_of[MESSAGE_TYPES] = {[MESSAGE_EDS] = 60, [MESSAGE_RDS] = 20};

/* ---- what messages are made of ---- */

void message_home_init(struct message_home *h, uint32_t node_bytes)
{
    h->node_bytes = node_bytes;
    h->node_wanted = 0;
    for (size_t i = 0; i < sizeof(h->pattern); i++) {
        h->pattern[i] = (uint8_t)('!' + i % MESSAGE_PERIOD % 94); /* printable: also in names */
    }
}

const uint8_t *message_node(struct message_home *h, uint32_t vm, size_t bytes, size_t *n)
{
    if (h->node_wanted != bytes || h->node_vm != vm) {
        h->n_node = node_write(vm, bytes, h->node);
        h->node_wanted = bytes;
        h->node_vm = vm;
    }
    *n = h->n_node;
    return h->node;
}

const uint8_t *message_pattern_at(const struct message_home *h, uint32_t at, size_t *n)
{
    uint32_t offset = at % MESSAGE_PERIOD;
    *n = sizeof(h->pattern) - offset;
    return h->pattern + offset;
}

const char *message_url(enum message_type t)
{
    static const char *const urls[MESSAGE_TYPES] = {
        [MESSAGE_CDS] = "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        [MESSAGE_EDS] = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        [MESSAGE_LDS] = "type.googleapis.com/envoy.config.listener.v3.Listener",
        [MESSAGE_RDS] = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        [MESSAGE_NDS] = "type.googleapis.com/istio.networking.nds.v1.NameTable",
    };

    return urls[t];
}

#define NONCE_HEAD MESSAGE_VERSION
#define NONCE_MIDDLE "-3c1d-4e5f-8a6b-"

const char *message_nonce_text(uint32_t nonce, char buf[MESSAGE_TEXT_BYTES])
{
    (void)snprintf(buf, MESSAGE_TEXT_BYTES, "%s%08x%s%012x", NONCE_HEAD, ~nonce, NONCE_MIDDLE,
                   nonce);
    return buf;
}

bool message_nonce_parse(const char *text, uint32_t *nonce)
{
    static const char digits[] = "0123456789abcdef";
    char expected[MESSAGE_TEXT_BYTES];
    size_t n = strlen(text);
    uint32_t value = 0;

    for (size_t i = n < 8 ? 0 : n - 8; i < n; i++) {
        const char *digit = memchr(digits, text[i], sizeof(digits) - 1);
        value = value << 4 | (digit != NULL ? (uint32_t)(digit - digits) : 0);
    }
    *nonce = value;
    return value != 0 && strcmp(message_nonce_text(value, expected), text) == 0;
}

/* ---- layout ---- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/** Names or resources, all as long but the last. Written without being held. */
struct units {
    uint8_t tag;
    uint8_t kind;    /* the first byte of the first one */
    uint32_t bytes;  /* of each with tag and length */
    uint32_t n_full; /* and one more with the rest */
    uint32_t total;
};

/** A message in pieces: framing and what comes first, the Node, more, the units, what comes last.
 */
struct layout {
    uint8_t front[MESSAGE_FRAMING_BYTES + MESSAGE_TEXT_BYTES];
    uint8_t middle[MESSAGE_TEXT_BYTES];
    uint8_t tail[2 * MESSAGE_TEXT_BYTES];
    size_t n_front;
    size_t n_middle;
    size_t n_tail;
    const uint8_t *node; /* borrowed */
    size_t n_node;
    struct units units;
    uint32_t bytes; /* with framing */
};

/* The shortest unit: tag, length, and the kind. */
#define UNIT_MIN_BYTES 3u

static void lay_units(struct layout *l, uint8_t field, enum message_kind kind, uint32_t unit,
                      uint32_t total)
{
    struct units *u = &l->units;

    CHECK(total == 0 || total >= UNIT_MIN_BYTES);
    u->tag = (uint8_t)(field << 3 | 2);
    u->kind = (uint8_t)kind;
    u->bytes = 1 + (uint32_t)pb_varint_bytes(unit) + unit;
    u->n_full = total == 0 ? 0 : (total - UNIT_MIN_BYTES) / u->bytes;
    u->total = total;
}

/* What is given minus what the rest takes. */
static uint32_t left_for_units(const struct layout *l, uint32_t bytes)
{
    size_t used = l->n_front - MESSAGE_FRAMING_BYTES + l->n_middle + l->n_tail;

    CHECK(bytes > used);
    return bytes - (uint32_t)used;
}

static void lay_request(struct layout *l, struct pb *front, struct pb *middle, struct pb *tail,
                        const struct outbox *o, const struct message *m)
{
    char nonce[MESSAGE_TEXT_BYTES];

    if (m->kind == MESSAGE_FIRST) {
        l->node = message_node(o->home, o->vm, o->home->node_bytes, &l->n_node);
        pb_tag(front, REQUEST_NODE);
        pb_varint(front, l->n_node);
    }
    pb_text(middle, REQUEST_URL, message_url(m->type));
    if (m->nonce != 0) {
        pb_text(tail, REQUEST_NONCE, message_nonce_text(m->nonce, nonce));
    }
}

static void lay_response(struct pb *front, struct pb *tail, const struct message *m)
{
    char nonce[MESSAGE_TEXT_BYTES];

    pb_text(front, RESPONSE_VERSION, MESSAGE_VERSION);
    pb_text(tail, RESPONSE_URL, message_url(m->type));
    pb_text(tail, RESPONSE_NONCE, message_nonce_text(m->nonce, nonce));
}

static void lay_out(struct layout *l, const struct outbox *o, const struct message *m)
{
    struct pb front = {l->front, sizeof(l->front), MESSAGE_FRAMING_BYTES};
    struct pb middle = {l->middle, sizeof(l->middle), 0};
    struct pb tail = {l->tail, sizeof(l->tail), 0};
    bool is_request = o->nonces == NULL;

    l->n_node = 0;
    if (is_request) {
        lay_request(l, &front, &middle, &tail, o, m);
    } else {
        lay_response(&front, &tail, m);
    }
    l->n_front = front.n;
    l->n_middle = middle.n;
    l->n_tail = tail.n;
    uint32_t names = m->kind == MESSAGE_SUBSCRIBE ? names_of[m->type] * (NAME_BYTES + 2u) : 0;
    uint32_t units = m->bytes > 0 ? left_for_units(l, m->bytes) : names;
    lay_units(l, is_request ? REQUEST_NAMES : RESPONSE_RESOURCES, m->kind,
              is_request ? NAME_BYTES : RESOURCE_BYTES, units);
    l->bytes = (uint32_t)(l->n_front + l->n_node + l->n_middle + units + l->n_tail);
    uint32_t n = l->bytes - MESSAGE_FRAMING_BYTES;
    const uint8_t framing[] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                               (uint8_t)n};
    memcpy(l->front, framing, sizeof(framing));
}

/* ---- writing ---- */

/* Tag and length of a unit of so many bytes in all. Returns how many bytes these are. */
static size_t unit_head(const struct units *u, uint32_t bytes, uint8_t head[4])
{
    if (bytes <= 0x7f + 2) {
        head[0] = u->tag;
        head[1] = (uint8_t)(bytes - 2);
        return 2;
    }
    head[0] = u->tag;
    head[1] = (uint8_t)((bytes - 3) | 0x80);
    head[2] = (uint8_t)((bytes - 3) >> 7); /* 0 for 130 bytes in all, which no shorter length has */
    return 3;
}

/* From the byte `at` of all units; position: of that byte in the message. Writes 1 byte or more. */
static size_t write_units(const struct message_home *h, const struct units *u, uint32_t at,
                          uint32_t position, uint8_t *buf, size_t max)
{
    uint32_t index = at / u->bytes < u->n_full ? at / u->bytes : u->n_full;
    uint32_t bytes = index < u->n_full ? u->bytes : u->total - u->n_full * u->bytes;
    uint32_t inside = at - index * u->bytes;
    uint8_t head[4];
    size_t n_head = unit_head(u, bytes, head);
    size_t there;

    if (index == 0) {
        head[n_head++] = u->kind;
    }
    if (inside < n_head) {
        size_t n = least(max, n_head - inside);
        memcpy(buf, head + inside, n);
        return n;
    }
    const uint8_t *from = message_pattern_at(h, position, &there);
    size_t n = least(least(max, bytes - inside), there);
    memcpy(buf, from, n);
    return n;
}

/* Copy from a piece which begins at the offset *at of the message; moves on when it is behind it.
 */
static size_t write_piece(const uint8_t *piece, size_t n_piece, size_t *at, uint8_t *buf,
                          size_t max)
{
    if (*at >= n_piece) {
        *at -= n_piece;
        return 0;
    }
    size_t n = least(max, n_piece - *at);
    memcpy(buf, piece + *at, n);
    return n;
}

/* Write from the byte `from` on, 1 byte or more. */
static size_t write_some(const struct message_home *h, const struct layout *l, uint32_t from,
                         uint8_t *buf, size_t max)
{
    size_t at = from;
    size_t n = write_piece(l->front, l->n_front, &at, buf, max);

    if (n == 0) {
        n = write_piece(l->node, l->n_node, &at, buf, max);
    }
    if (n == 0) {
        n = write_piece(l->middle, l->n_middle, &at, buf, max);
    }
    if (n == 0 && at < l->units.total) {
        return write_units(h, &l->units, (uint32_t)at, from - MESSAGE_FRAMING_BYTES, buf, max);
    }
    if (n == 0) {
        at -= l->units.total;
        n = write_piece(l->tail, l->n_tail, &at, buf, max);
    }
    return n;
}

/* ---- the outbox ---- */

void outbox_init(struct outbox *o, struct message_home *home, uint32_t vm, uint32_t *nonces)
{
    *o = (struct outbox){.home = home, .vm = vm, .nonces = nonces};
}

static struct message_run *run_at(struct outbox *o, uint32_t i)
{
    return &o->runs[(o->first + i) % OUTBOX_RUNS];
}

static uint32_t bytes_of(const struct outbox *o, const struct message *m)
{
    struct layout l;

    lay_out(&l, o, m);
    return l.bytes;
}

static bool is_same(const struct message *a, const struct message *b)
{
    return a->kind == b->kind && a->type == b->type && a->nonce == b->nonce && a->bytes == b->bytes;
}

bool outbox_add(struct outbox *o, const struct message *m)
{
    struct message_run *last = o->n_runs == 0 ? NULL : run_at(o, o->n_runs - 1);

    CHECK(m->bytes == 0 || (m->bytes >= MESSAGE_MIN_BYTES && m->bytes <= MESSAGE_MAX_BYTES));
    if (last != NULL && is_same(&last->message, m) && last->count < UINT32_MAX) {
        last->count++;
    } else if (o->n_runs < OUTBOX_RUNS) {
        o->n_runs++;
        *run_at(o, o->n_runs - 1) = (struct message_run){*m, 1};
    } else {
        return false;
    }
    o->bytes += bytes_of(o, m);
    return true;
}

void outbox_drop(struct outbox *o)
{
    struct message_run *first = run_at(o, 0);
    bool begun = o->n_runs > 0 && o->sent > 0;

    o->n_runs = begun ? 1 : 0;
    o->bytes = 0;
    if (begun) {
        first->count = 1;
        o->bytes = bytes_of(o, &first->message) - o->sent;
    }
}

/* The message that is to be sent now. */
static struct message current(struct outbox *o)
{
    struct message m = run_at(o, 0)->message;

    if (o->nonces == NULL) {
        return m;
    }
    if (o->sent == 0) {
        uint32_t push = m.kind == MESSAGE_PUSH ? MESSAGE_NONCE_PUSH : 0;
        *o->nonces += MESSAGE_NONCE_PUSH + 1;
        o->nonce = *o->nonces | push;
    }
    m.nonce = o->nonce;
    return m;
}

static void end_message(struct outbox *o)
{
    o->sent = 0;
    if (--run_at(o, 0)->count == 0) {
        o->first = (o->first + 1) % OUTBOX_RUNS;
        o->n_runs--;
    }
}

size_t outbox_read(struct outbox *o, uint8_t *buf, size_t max)
{
    size_t wrote = 0;

    while (wrote < max && o->n_runs > 0) {
        struct message m = current(o);
        struct layout l;
        lay_out(&l, o, &m);
        while (wrote < max && o->sent < l.bytes) {
            size_t n = write_some(o->home, &l, o->sent, buf + wrote, max - wrote);
            wrote += n;
            o->sent += (uint32_t)n;
        }
        if (o->sent == l.bytes) {
            end_message(o);
        }
    }
    o->bytes -= wrote;
    return wrote;
}
