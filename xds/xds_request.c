/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two kinds of requests have the same fields under other numbers. Of a field that comes twice
 * the last one counts, as in Go's proto.Unmarshal(); a message that comes twice is merged; both are
 * told, because nobody who means well writes such a thing.
 */
#include "xds/xds_request.h"

#include <stdlib.h>
#include <string.h>

#include "xds/pb_scan.h"
#include "xds/xds_internal.h"
#include "xds/xds_text.h"

enum part {
    PART_NONE,
    PART_NODE,
    PART_URL,
    PART_NONCE,
    PART_ERROR,
    PART_SUBSCRIBE,
    PART_UNSUBSCRIBE,
    PART_INITIAL
};

/** By field number (discovery.proto of Envoy). */
static const uint8_t sotw_parts[] = {
    [2] = PART_NODE, [3] = PART_SUBSCRIBE, [4] = PART_URL, [5] = PART_NONCE, [6] = PART_ERROR,
};
static const uint8_t delta_parts[] = {
    [1] = PART_NODE,    [2] = PART_URL,   [3] = PART_SUBSCRIBE, [4] = PART_UNSUBSCRIBE,
    [5] = PART_INITIAL, [6] = PART_NONCE, [7] = PART_ERROR,
};

/** Of google.rpc.Status. */
enum { STATUS_CODE = 1, STATUS_MESSAGE = 2 };

struct reader {
    struct xds_node_reader *node; /**< owned; NULL: there was none */
    enum xds_variant variant;
    enum part in; /**< which field of the request is open */
    enum rc rc;   /**< the first thing that went wrong */
    bool seen[PART_ERROR + 1];
    bool seen_message;    /**< of error_detail */
    struct xds_text text; /**< the one that is being taken */
    struct xds_request out;
};

/** What has to be cleared of them, and copied: the rest is a text that few requests have. */
#define REQUEST_BYTES (offsetof(struct xds_request, error_text) + 1)
#define READER_BYTES (offsetof(struct reader, out) + REQUEST_BYTES)

static void copy_request(struct xds_request *to, const struct xds_request *from)
{
    memcpy(to, from, REQUEST_BYTES);
    memcpy(to->error_text, from->error_text, strlen(from->error_text) + 1);
}

static enum part part_of(enum xds_variant variant, uint32_t number)
{
    const uint8_t *parts = variant == XDS_SOTW ? sotw_parts : delta_parts;
    size_t n = variant == XDS_SOTW ? sizeof(sotw_parts) : sizeof(delta_parts);

    return number < n ? (enum part)parts[number] : PART_NONE;
}

/* A field that may be there once. */
static void note_once(struct reader *r, enum part part)
{
    r->out.odd |= r->seen[part];
    r->seen[part] = true;
    r->in = part;
}

static enum pb_do enter_node(struct reader *r)
{
    if (r->node == NULL) {
        enum rc rc = xds_node_reader_new(&r->node);
        if (rc != RC_OK) {
            r->rc = rc;
            return PB_SKIP;
        }
    }
    note_once(r, PART_NODE);
    return PB_ENTER;
}

static enum pb_do top_field(struct reader *r, const struct pb_field *f)
{
    enum part part = f->wire == PB_BYTES ? part_of(r->variant, f->number) : PART_NONE;

    switch (part) {
    case PART_NODE:
        return enter_node(r);
    case PART_URL:
    case PART_NONCE:
        note_once(r, part);
        r->text = (struct xds_text){0};
        return PB_TAKE;
    case PART_ERROR:
        note_once(r, part);
        r->out.has_error = true;
        return PB_ENTER;
    case PART_SUBSCRIBE:
        r->out.n_subscribe++;
        return PB_SKIP;
    case PART_UNSUBSCRIBE:
        r->out.n_unsubscribe++;
        return PB_SKIP;
    case PART_INITIAL:
        r->out.n_initial++;
        return PB_SKIP;
    default:
        return PB_SKIP;
    }
}

static enum pb_do status_field(struct reader *r, const struct pb_field *f)
{
    if (f->number == STATUS_CODE && f->wire == PB_VARINT) {
        r->out.error_code = (int32_t)(uint32_t)f->value; /* Go cuts it, too */
    }
    if (f->number != STATUS_MESSAGE || f->wire != PB_BYTES) {
        return PB_SKIP;
    }
    r->out.odd |= r->seen_message;
    r->seen_message = true;
    r->text = (struct xds_text){0};
    return PB_TAKE;
}

static enum pb_do on_field(void *arg, const struct pb_field *f)
{
    struct reader *r = arg;

    if (f->depth == 0) {
        return top_field(r, f);
    }
    if (r->in == PART_ERROR) {
        return status_field(r, f);
    }
    struct pb_field inner = *f;
    inner.depth--;
    return xds_node_reader_field(r->node, &inner);
}

/* Where the text of the open field goes. */
static char *room_of(struct reader *r, size_t *room)
{
    if (r->in == PART_URL) {
        *room = sizeof(r->out.url);
        return r->out.url;
    }
    if (r->in == PART_NONCE) {
        *room = sizeof(r->out.nonce);
        return r->out.nonce;
    }
    *room = sizeof(r->out.error_text);
    return r->out.error_text;
}

static void on_bytes(void *arg, const uint8_t *data, size_t n)
{
    struct reader *r = arg;
    size_t room;

    if (r->in == PART_NODE) {
        xds_node_reader_bytes(r->node, data, n);
        return;
    }
    char *to = room_of(r, &room);
    xds_text_add(&r->text, to, room, data, n);
}

static void on_end(void *arg, uint32_t depth)
{
    struct reader *r = arg;
    bool is_message = depth == 0 && (r->in == PART_NODE || r->in == PART_ERROR);
    size_t room;

    if (r->in == PART_NODE && depth > 0) {
        xds_node_reader_end(r->node, depth - 1);
        return;
    }
    if (is_message) {
        return;
    }
    if (!xds_text_end(&r->text, room_of(r, &room))) {
        r->rc = RC_PEER_MALFORMED;
    }
    r->out.odd |= r->in != PART_ERROR && (r->text.cut || r->text.nul);
    if (r->in == PART_URL) {
        r->out.type = xds_type_of(r->out.url, r->text.n);
    }
}

static const struct pb_ops ops = {on_field, on_bytes, on_end};

static enum rc read_pieces(struct reader *r, const struct xds_piece *pieces, size_t n)
{
    struct pb_scan scan;
    uint64_t n_bytes = 0;

    for (size_t i = 0; i < n; i++) {
        n_bytes += pieces[i].n;
    }
    if (n_bytes > UINT32_MAX) {
        return RC_PEER_MALFORMED;
    }
    pb_scan_begin(&scan, (uint32_t)n_bytes);
    for (size_t i = 0; i < n && r->rc == RC_OK; i++) {
        enum rc rc = pb_scan_feed(&scan, &ops, r, pieces[i].data, pieces[i].n);
        if (rc != RC_OK) {
            return rc;
        }
    }
    return r->rc; /* that something is missing at the end, the scan says itself */
}

enum rc xds_request_read(enum xds_variant variant, const struct xds_piece *pieces, size_t n,
                         struct xds_request *out)
{
    struct reader r;

    memset(&r, 0, READER_BYTES);
    r.variant = variant;
    r.rc = RC_OK;
    r.out.type = XDS_OTHER;
    enum rc rc = read_pieces(&r, pieces, n);
    if (rc == RC_OK && r.node != NULL) {
        rc = xds_node_reader_finish(r.node, &r.out.node);
    }
    xds_node_reader_free(&r.node);
    if (rc == RC_OK) {
        copy_request(out, &r.out);
    }
    return rc;
}
