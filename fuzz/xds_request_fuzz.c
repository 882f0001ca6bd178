/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: xds_request_read(), xds_node_id_parse(), xds_node_label(). A request means the same in
 * any pieces; its texts are UTF-8 and have their bounds. */
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/utf8.h"
#include "xds/xds_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PIECES_MAX 64

static void check_text(const char *text, size_t room)
{
    struct utf8_scan s = {0};
    size_t n = strnlen(text, room);

    CHECK(n < room);
    CHECK(utf8_feed(&s, (const uint8_t *)text, n) && utf8_is_whole(&s));
}

static void check_node(const struct xds_node *node)
{
    const char *end = (const char *)node + node->n_bytes;
    const char *label = node->labels;
    struct xds_node_id id;

    CHECK(node->n_bytes <= XDS_NODE_BYTES && node->n_labels <= XDS_NODE_LABELS);
    for (size_t i = 0; i < XDS_NODE_TEXTS; i++) {
        check_text(node->text[i], i == XDS_NODE_ID             ? XDS_NODE_ID_BYTES
                                  : i == XDS_NODE_INSTANCE_IPS ? XDS_NODE_IPS_BYTES
                                                               : XDS_NODE_TEXT_BYTES);
    }
    for (uint32_t i = 0; i < node->n_labels; i++) {
        CHECK(label < end);
        check_text(label, XDS_LABEL_BYTES);
        CHECK(strchr(label, '=') != NULL);
        label += strlen(label) + 1;
    }
    CHECK(label == end);
    if (xds_node_id_parse(node->text[XDS_NODE_ID], &id) == RC_OK) {
        CHECK(id.n_type + id.n_ip + id.n_name + id.n_domain + 3 == strlen(node->text[XDS_NODE_ID]));
    }
    const char *app = xds_node_label(node, "app");
    CHECK(app == NULL || (app > node->labels && app < end));
}

static void check_same_nodes(const struct xds_node *a, const struct xds_node *b)
{
    CHECK((a == NULL) == (b == NULL));
    if (a != NULL) {
        size_t n = a->n_bytes - sizeof(*a);
        CHECK(a->n_bytes == b->n_bytes && a->n_labels == b->n_labels);
        CHECK(memcmp(a + 1, b + 1, n) == 0);
        CHECK(a->odd == b->odd && a->cut == b->cut);
        CHECK(a->has_proxy_config == b->has_proxy_config);
    }
}

static void check_same(const struct xds_request *a, const struct xds_request *b)
{
    CHECK(a->type == b->type && strcmp(a->url, b->url) == 0 && strcmp(a->nonce, b->nonce) == 0);
    CHECK(a->has_error == b->has_error && a->error_code == b->error_code);
    CHECK(strcmp(a->error_text, b->error_text) == 0 && a->odd == b->odd);
    CHECK(a->n_subscribe == b->n_subscribe && a->n_unsubscribe == b->n_unsubscribe);
    CHECK(a->n_initial == b->n_initial);
    check_same_nodes(a->node, b->node);
}

static enum rc read_in_pieces(enum xds_variant variant, const uint8_t *data, size_t size,
                              size_t piece, struct xds_request *out)
{
    struct xds_piece pieces[PIECES_MAX];
    size_t n = 0;

    while (size > 0) {
        size_t take = size < piece || n == PIECES_MAX - 1 ? size : piece;
        pieces[n++] = (struct xds_piece){data, take};
        data += take;
        size -= take;
    }
    return xds_request_read(variant, pieces, n, out);
}

static void try_variant(enum xds_variant variant, const uint8_t *data, size_t size)
{
    size_t piece = size > 0 ? data[size - 1] % 32 + 1 : 1;
    struct xds_request once;
    struct xds_request often;

    enum rc a = read_in_pieces(variant, data, size, size, &once);
    enum rc b = read_in_pieces(variant, data, size, piece, &often);
    CHECK(a == b && (a == RC_OK || a == RC_PEER_MALFORMED));
    if (a != RC_OK) {
        return;
    }
    check_same(&once, &often);
    check_text(once.url, sizeof(once.url));
    check_text(once.nonce, sizeof(once.nonce));
    check_text(once.error_text, sizeof(once.error_text));
    if (once.node != NULL) {
        check_node(once.node);
    }
    free(once.node);
    free(often.node);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_variant(XDS_SOTW, data, size);
    try_variant(XDS_DELTA, data, size);
    return 0;
}
