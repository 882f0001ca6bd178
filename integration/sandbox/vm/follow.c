/* SPDX-License-Identifier: Apache-2.0 */
/* Which endpoints a cluster wants and which routes a listener names, as Envoy would ask next. */
#include "integration/sandbox/vm/follow.h"

#include <string.h>

#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/config/listener/v3/listener.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/hcm.pb-c.h"
#include "integration/sandbox/common/wire.h"

#define HCM(name) envoy__extensions__filters__network__http_connection_manager__v3__##name

typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager
    manager;

static void refer(struct follower *f, const char *name)
{
    if (name[0] != '\0' && !names_has(&f->refers_to, name)) {
        names_add(&f->refers_to, name);
    }
}

static void follow_cluster(struct follower *f, const Google__Protobuf__Any *any)
{
    Envoy__Config__Cluster__V3__Cluster *c =
        envoy__config__cluster__v3__cluster__unpack(NULL, any->value.len, any->value.data);

    if (c == NULL) {
        f->malformed++;
        return;
    }
    if (c->type == ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__EDS) {
        bool named =
            c->eds_cluster_config != NULL && c->eds_cluster_config->service_name[0] != '\0';

        refer(f, named ? c->eds_cluster_config->service_name : c->name);
    }
    envoy__config__cluster__v3__cluster__free_unpacked(c, NULL);
}

static void follow_manager(struct follower *f, const Google__Protobuf__Any *any)
{
    manager *m = HCM(http_connection_manager__unpack)(NULL, any->value.len, any->value.data);

    if (m == NULL) {
        f->malformed++;
        return;
    }
    if (m->rds != NULL) {
        refer(f, m->rds->route_config_name);
    }
    HCM(http_connection_manager__free_unpacked)(m, NULL);
}

static void follow_chain(struct follower *f, const Envoy__Config__Listener__V3__FilterChain *chain)
{
    for (size_t i = 0; chain != NULL && i < chain->n_filters; i++) {
        const Google__Protobuf__Any *any = chain->filters[i]->typed_config;

        if (any != NULL && strcmp(any->type_url, TYPE_HCM) == 0) {
            follow_manager(f, any);
        }
    }
}

static void follow_listener(struct follower *f, const Google__Protobuf__Any *any)
{
    Envoy__Config__Listener__V3__Listener *l =
        envoy__config__listener__v3__listener__unpack(NULL, any->value.len, any->value.data);

    if (l == NULL) {
        f->malformed++;
        return;
    }
    for (size_t i = 0; i < l->n_filter_chains; i++) {
        follow_chain(f, l->filter_chains[i]);
    }
    follow_chain(f, l->default_filter_chain);
    envoy__config__listener__v3__listener__free_unpacked(l, NULL);
}

void follow_resource(struct follower *f, const Google__Protobuf__Any *any)
{
    f->n_resources++;
    if (any == NULL) {
        return;
    }
    f->n_bytes += any->value.len;
    if (strcmp(any->type_url, TYPE_CLUSTER) == 0) {
        follow_cluster(f, any);
    } else if (strcmp(any->type_url, TYPE_LISTENER) == 0) {
        follow_listener(f, any);
    }
}

void names_diff(const struct names *a, const struct names *b, struct names *out)
{
    for (size_t i = 0; i < a->n; i++) {
        if (!names_has(b, a->v[i])) {
            names_add(out, a->v[i]);
        }
    }
}

void names_copy(struct names *to, const struct names *from)
{
    for (size_t i = 0; i < from->n; i++) {
        names_add(to, from->v[i]);
    }
}
