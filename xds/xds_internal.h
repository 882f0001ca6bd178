/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a Node inside of a request: xds_request.c gives its fields to xds_node_read.c. */
#pragma once

#include "xds/pb_scan.h"
#include "xds/xds_node.h"

/** A Node that is being read. When it comes twice in a message, the parts are merged, as protocol
 * buffers want it. Not shared. */
struct xds_node_reader;

/** out: owned. RC_NO_MEMORY. */
enum rc xds_node_reader_new(struct xds_node_reader **out) MUST_USE;

/** Nulls the pointer, which may be NULL. */
void xds_node_reader_free(struct xds_node_reader **r);

/** A field of the Node (depth 0) or of a message inside of it: what to do with it. */
enum pb_do xds_node_reader_field(struct xds_node_reader *r, const struct pb_field *f);

/** Bytes of the field that is taken. */
void xds_node_reader_bytes(struct xds_node_reader *r, const uint8_t *data, size_t n);

/** A field is over, of a message at this depth. */
void xds_node_reader_end(struct xds_node_reader *r, uint32_t depth);

/** The Node is complete. out: owned, free(). RC_OK; RC_PEER_MALFORMED: a text that is no UTF-8;
 * RC_NO_MEMORY. */
enum rc xds_node_reader_finish(struct xds_node_reader *r, struct xds_node **out) MUST_USE;

/** Labels in which maps they were; bits. */
#define XDS_OF_LABELS 1U
#define XDS_OF_STATIC 2U

/** Bytes of labels that are looked at; how many of them fit into the Node depends on its texts. */
#define XDS_LABELS_BYTES 6144

/** A label "KEY=VALUE" in its set. */
struct xds_label {
    uint16_t at;    /**< where its text begins */
    uint16_t n;     /**< its length */
    uint16_t n_key; /**< of it the key */
    uint8_t from;   /**< XDS_OF_LABELS, XDS_OF_STATIC */
    bool is_new;    /**< of the map that is being read */
};

/**
 * Labels of a Node. A map is read before it is known whose it is, because its key may come after
 * it: its labels are new until xds_labels_keep() or xds_labels_drop().
 */
struct xds_labels {
    struct xds_label label[XDS_NODE_LABELS];
    uint32_t n;      /**< with the new ones, which come last */
    uint32_t n_read; /**< with those that were there, or dropped */
    uint32_t n_kept; /**< without those that only the new map has */
    bool cut; /**< there were more, or longer ones; so of what is kept, below of what is new */
    bool odd; /**< a key twice in one map, or one with a "=" */
    bool new_cut;
    bool new_odd;
    char text[XDS_LABELS_BYTES + XDS_LABEL_BYTES]; /**< room for one more than is kept */
};

/** No labels. */
void xds_labels_init(struct xds_labels *s);

/** One more of the new map; key and value zero-terminated. */
void xds_labels_add(struct xds_labels *s, const char *key, const char *value);

/** The new map is `from`: XDS_OF_LABELS or XDS_OF_STATIC. Ends it. */
void xds_labels_keep(struct xds_labels *s, unsigned from);

/** The new map is something else. Ends it. */
void xds_labels_drop(struct xds_labels *s);

/** Write those of LABELS and then the others to `to`, each with its zero, as many as fit into room
 * bytes; n, n_bytes: how many. False: not all. */
bool xds_labels_pack(const struct xds_labels *s, char *to, size_t room, uint32_t *n,
                     uint32_t *n_bytes);
