/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata keys of a Node that decide about identity, registration and names. */
#include "integration/sandbox/istiod/node.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "google/protobuf/struct.pb-c.h"
#include "integration/sandbox/common/text.h"

static char *metadata(const Google__Protobuf__Struct *s, const char *key)
{
    for (size_t i = 0; s != NULL && i < s->n_fields; i++) {
        const Google__Protobuf__Value *v = s->fields[i]->value;

        if (strcmp(s->fields[i]->key, key) == 0 && v != NULL &&
            v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE) {
            return sbx_strdup(v->string_value);
        }
    }
    return sbx_strdup("");
}

static bool is_address(const char *s)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, s, bytes) == 1 || inet_pton(AF_INET6, s, bytes) == 1;
}

/* First of INSTANCE_IPS when all of them are addresses, else the id's; NULL when neither is. */
static char *read_address(const char *instance_ips, const char *id_address)
{
    struct names ips = {0};
    char *address = NULL;
    bool ok;

    names_split(&ips, instance_ips, ',');
    ok = ips.n > 0;
    for (size_t i = 0; i < ips.n; i++) {
        ok = ok && is_address(ips.v[i]);
    }
    if (ok) {
        address = sbx_strdup(ips.v[0]);
    } else if (is_address(id_address)) {
        address = sbx_strdup(id_address);
    }
    names_fini(&ips);
    return address;
}

static char *domain_namespace(const char *domain)
{
    return sbx_strndup(domain, strcspn(domain, "."));
}

const char *node_read(struct node *out, const Envoy__Config__Core__V3__Node *from)
{
    struct names parts = {0};
    char *ips;
    char *address;

    if (from == NULL || from->id[0] == '\0') {
        return "missing node information";
    }
    names_split(&parts, from->id, '~');
    if (parts.n != 4) {
        names_fini(&parts);
        return "missing parts in the service node";
    }
    ips = metadata(from->metadata, "INSTANCE_IPS");
    address = read_address(ips, parts.v[1]);
    free(ips);
    if (address == NULL) {
        names_fini(&parts);
        return "no valid IP address in the service node id or metadata";
    }
    *out = (struct node){
        .id = sbx_strdup(from->id),
        .name = sbx_strdup(parts.v[2]),
        .name_space = metadata(from->metadata, "NAMESPACE"),
        .service_account = metadata(from->metadata, "SERVICE_ACCOUNT"),
        .group = metadata(from->metadata, "AUTO_REGISTER_GROUP"),
        .workload_entry = metadata(from->metadata, "WORKLOAD_ENTRY"),
        .address = address,
        .network = metadata(from->metadata, "NETWORK"),
        .cluster_id = metadata(from->metadata, "CLUSTER_ID"),
        .istio_version = metadata(from->metadata, "ISTIO_VERSION"),
        .n_extensions = from->n_extensions,
    };
    if (out->name_space[0] == '\0') {
        free(out->name_space);
        out->name_space = domain_namespace(parts.v[3]);
    }
    names_fini(&parts);
    return NULL;
}

void node_fini(struct node *n)
{
    free(n->id);
    free(n->name);
    free(n->name_space);
    free(n->service_account);
    free(n->group);
    free(n->workload_entry);
    free(n->address);
    free(n->network);
    free(n->cluster_id);
    free(n->istio_version);
    *n = (struct node){0};
}
