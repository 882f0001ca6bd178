/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes for tests, read as xds_request_read() reads them. */
#pragma once

#include "tests/xds/pb_out.h"
#include "xds/xds_node.h"

/** Field numbers of Node and of Value. */
#define NODE_METADATA 3
#define NODE_LOCALITY 4
#define VALUE_STRUCT 5

/** Read a request with this Node, cut into two pieces; NULL: malformed. Owned by the caller. */
struct xds_node *node_read_split(const struct pb_out *node, size_t cut);

/** Read a Node, which must be good, and free what it was read from. */
struct xds_node *node_read(struct pb_out *node);

/** So with metadata only. */
struct xds_node *node_read_metadata(struct pb_out *metadata);

/** metadata KEY: the Struct `map`, which is freed. */
void node_put_map(struct pb_out *metadata, const char *key, struct pb_out *map);

/** So with labels key0, key1 ..., whose values have n_value bytes, at most XDS_LABEL_BYTES. */
void node_put_labels(struct pb_out *metadata, const char *key, unsigned n, size_t n_value);

/** The labels, one after the other, are "a=1 b=2 ". */
void node_assert_labels(const struct xds_node *node, const char *expected);
