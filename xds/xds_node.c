/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/xds_node.h"

#include <string.h>

#define ID_PARTS 4

enum rc xds_node_id_parse(const char *id, struct xds_node_id *out)
{
    const char *part[ID_PARTS];
    size_t n[ID_PARTS];

    for (size_t i = 0; i < ID_PARTS; i++) {
        part[i] = id;
        n[i] = strcspn(id, "~");
        id += n[i];
        if ((*id == '\0') != (i == ID_PARTS - 1)) {
            return RC_PEER_MALFORMED;
        }
        id++;
    }
    *out = (struct xds_node_id){part[0], n[0], part[1], n[1], part[2], n[2], part[3], n[3]};
    return RC_OK;
}

const char *xds_node_label(const struct xds_node *node, const char *key)
{
    const char *label = node->labels;
    size_t n = strlen(key);

    for (uint32_t i = 0; i < node->n_labels; i++) {
        if (strncmp(label, key, n) == 0 && label[n] == '=') {
            return label + n + 1;
        }
        label += strlen(label) + 1;
    }
    return NULL;
}
