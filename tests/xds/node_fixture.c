/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/xds/node_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "xds/xds_request.h"

struct xds_node *node_read_split(const struct pb_out *node, size_t cut)
{
    struct pb_out o = {0};
    struct xds_request r;

    pb_bytes(&o, 2, node->data, node->n);
    cut = cut < o.n ? cut : o.n;
    uint8_t *first = malloc(cut + 1);
    uint8_t *second = malloc(o.n - cut + 1);
    memcpy(first, o.data, cut);
    memcpy(second, o.data + cut, o.n - cut);
    const struct xds_piece pieces[] = {{first, cut}, {second, o.n - cut}};
    enum rc rc = xds_request_read(XDS_SOTW, pieces, 2, &r);
    assert_true(rc == RC_OK || rc == RC_PEER_MALFORMED);
    free(first);
    free(second);
    pb_free(&o);
    return rc == RC_OK ? r.node : NULL;
}

struct xds_node *node_read(struct pb_out *node)
{
    struct xds_node *out = node_read_split(node, 0);

    assert_non_null(out);
    assert_true(out->n_bytes <= XDS_NODE_BYTES);
    pb_free(node);
    return out;
}

struct xds_node *node_read_metadata(struct pb_out *metadata)
{
    struct pb_out node = {0};

    pb_message(&node, NODE_METADATA, metadata);
    return node_read(&node);
}

void node_put_map(struct pb_out *metadata, const char *key, struct pb_out *map)
{
    struct pb_out value = {0};

    pb_message(&value, VALUE_STRUCT, map);
    pb_value_entry(metadata, key, &value);
}

/* The labels as one text, "a=1 b=2 ". */
static const char *labels_of(const struct xds_node *node, char text[XDS_NODE_BYTES])
{
    const char *label = node->labels;
    size_t n = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < node->n_labels; i++) {
        n += (size_t)snprintf(text + n, XDS_NODE_BYTES - n, "%s ", label);
        label += strlen(label) + 1;
    }
    return text;
}

void node_assert_labels(const struct xds_node *node, const char *expected)
{
    char text[XDS_NODE_BYTES];

    assert_string_equal(labels_of(node, text), expected);
}

void node_put_labels(struct pb_out *metadata, const char *name, unsigned n, size_t n_value)
{
    char value[XDS_LABEL_BYTES + 1];
    struct pb_out map = {0};

    memset(value, 'v', sizeof(value));
    value[n_value] = '\0';
    for (unsigned i = 0; i < n; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key%u", i);
        pb_string_entry(&map, key, value);
    }
    node_put_map(metadata, name, &map);
}
