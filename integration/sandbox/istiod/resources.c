/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration that the sandbox pushes. Names and references are as in a small mesh
 * (clusters by EDS, listeners whose connection manager asks for a route); one string of each
 * resource is filled up to the wanted size.
 */
#include "integration/sandbox/istiod/resources.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/config/endpoint/v3/endpoint.pb-c.h"
#include "envoy/config/listener/v3/listener.pb-c.h"
#include "envoy/config/route/v3/route.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/hcm.pb-c.h"
#include "integration/sandbox/common/os.h"

#define HCM(name) Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__##name
#define HCM_INIT(name) \
    envoy__extensions__filters__network__http_connection_manager__v3__##name##__init

static const char *const services[] = {"reviews", "ratings", "details", "productpage"};
static const char *const ports[] = {"80", "8080"};

#define N_SERVICES (sizeof(services) / sizeof(services[0]))
#define N_PORTS (sizeof(ports) / sizeof(ports[0]))

static char *cluster_name(size_t i)
{
    struct text t = {0};

    text_addf(&t, "outbound|9080||%s.shop.svc.cluster.local", services[i]);
    return text_take(&t);
}

/* A text of n characters that says where it comes from. */
static char *filler(size_t n)
{
    static const char unit[] = "sandbox-";
    char *s = sbx_alloc(n + 1);

    for (size_t i = 0; i < n; i++) {
        s[i] = unit[i % (sizeof(unit) - 1)];
    }
    return s;
}

static void put(struct resource_set *set, enum xds_type type, const char *name,
                const ProtobufCMessage *message)
{
    struct resource *r = &set->of[type][set->n[type]++];

    r->name = sbx_strdup(name);
    r->n_bytes = protobuf_c_message_get_packed_size(message);
    r->bytes = sbx_alloc(r->n_bytes);
    (void)protobuf_c_message_pack(message, r->bytes);
}

static void make_cluster(struct resource_set *set, size_t i, char *fill)
{
    Envoy__Config__Cluster__V3__Cluster c;
    Envoy__Config__Cluster__V3__Cluster__EdsClusterConfig eds;
    Envoy__Config__Core__V3__ConfigSource source;
    Envoy__Config__Core__V3__AggregatedConfigSource ads;
    char *name = cluster_name(i);

    envoy__config__cluster__v3__cluster__init(&c);
    envoy__config__cluster__v3__cluster__eds_cluster_config__init(&eds);
    envoy__config__core__v3__config_source__init(&source);
    envoy__config__core__v3__aggregated_config_source__init(&ads);
    source.ads = &ads;
    source.resource_api_version = 2;
    eds.eds_config = &source;
    eds.service_name = name;
    c.name = name;
    c.type = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__EDS;
    c.eds_cluster_config = &eds;
    c.alt_stat_name = fill;
    put(set, XDS_CDS, name, &c.base);
    free(name);
}

static void make_endpoints(struct resource_set *set, size_t i, char *fill)
{
    Envoy__Config__Endpoint__V3__ClusterLoadAssignment cla;
    Envoy__Config__Endpoint__V3__LocalityLbEndpoints locality;
    Envoy__Config__Endpoint__V3__LbEndpoint lb;
    Envoy__Config__Endpoint__V3__Endpoint endpoint;
    Envoy__Config__Core__V3__Address address;
    Envoy__Config__Core__V3__SocketAddress socket;
    Envoy__Config__Endpoint__V3__LocalityLbEndpoints *localities = &locality;
    Envoy__Config__Endpoint__V3__LbEndpoint *lbs = &lb;
    char *name = cluster_name(i);
    char ip[] = "10.244.0.10";

    envoy__config__endpoint__v3__cluster_load_assignment__init(&cla);
    envoy__config__endpoint__v3__locality_lb_endpoints__init(&locality);
    envoy__config__endpoint__v3__lb_endpoint__init(&lb);
    envoy__config__endpoint__v3__endpoint__init(&endpoint);
    envoy__config__core__v3__address__init(&address);
    envoy__config__core__v3__socket_address__init(&socket);
    ip[10] = (char)('0' + i % 10);
    socket.address = ip;
    socket.port_value = 9080;
    address.socket_address = &socket;
    endpoint.address = &address;
    endpoint.hostname = fill;
    lb.endpoint = &endpoint;
    locality.n_lb_endpoints = 1;
    locality.lb_endpoints = &lbs;
    cla.cluster_name = name;
    cla.n_endpoints = 1;
    cla.endpoints = &localities;
    put(set, XDS_EDS, name, &cla.base);
    free(name);
}

/* The packed connection manager of a listener. Owned by the caller. */
static uint8_t *pack_manager(const char *route, size_t *n_bytes)
{
    HCM(HttpConnectionManager) hcm;
    HCM(Rds) rds;
    Envoy__Config__Core__V3__ConfigSource source;
    Envoy__Config__Core__V3__AggregatedConfigSource ads;
    char *name = sbx_strdup(route);
    uint8_t *bytes;

    HCM_INIT(http_connection_manager)(&hcm);
    HCM_INIT(rds)(&rds);
    envoy__config__core__v3__config_source__init(&source);
    envoy__config__core__v3__aggregated_config_source__init(&ads);
    source.ads = &ads;
    source.resource_api_version = 2;
    rds.config_source = &source;
    rds.route_config_name = name;
    hcm.stat_prefix = name;
    hcm.rds = &rds;
    *n_bytes = protobuf_c_message_get_packed_size(&hcm.base);
    bytes = sbx_alloc(*n_bytes);
    (void)protobuf_c_message_pack(&hcm.base, bytes);
    free(name);
    return bytes;
}

static void make_listener(struct resource_set *set, size_t i, char *fill)
{
    Envoy__Config__Listener__V3__Listener l;
    Envoy__Config__Listener__V3__FilterChain chain;
    Envoy__Config__Listener__V3__Filter filter;
    Google__Protobuf__Any any;
    Envoy__Config__Listener__V3__FilterChain *chains = &chain;
    Envoy__Config__Listener__V3__Filter *filters = &filter;
    char type[] = TYPE_HCM;
    char filter_name[] = "envoy.filters.network.http_connection_manager";
    struct text name = {0};

    envoy__config__listener__v3__listener__init(&l);
    envoy__config__listener__v3__filter_chain__init(&chain);
    envoy__config__listener__v3__filter__init(&filter);
    google__protobuf__any__init(&any);
    text_addf(&name, "0.0.0.0_%s", ports[i]);
    any.type_url = type;
    any.value.data = pack_manager(ports[i], &any.value.len);
    filter.name = filter_name;
    filter.typed_config = &any;
    chain.n_filters = 1;
    chain.filters = &filters;
    l.name = name.p;
    l.n_filter_chains = 1;
    l.filter_chains = &chains;
    l.stat_prefix = fill;
    put(set, XDS_LDS, name.p, &l.base);
    free(any.value.data);
    text_fini(&name);
}

static void make_route(struct resource_set *set, size_t i, char *fill)
{
    Envoy__Config__Route__V3__RouteConfiguration route;
    Envoy__Config__Route__V3__VirtualHost host;
    Envoy__Config__Route__V3__VirtualHost *hosts = &host;
    char *name = sbx_strdup(ports[i]);

    envoy__config__route__v3__route_configuration__init(&route);
    envoy__config__route__v3__virtual_host__init(&host);
    host.name = fill;
    route.name = name;
    route.n_virtual_hosts = 1;
    route.virtual_hosts = &hosts;
    put(set, XDS_RDS, name, &route.base);
    free(name);
}

static char *make_version(uint64_t counter)
{
    struct text t = {0};
    time_t now = (time_t)os_wall_s();
    struct tm tm;
    char when[32];

    (void)gmtime_r(&now, &tm);
    (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    text_addf(&t, "%s/%llu", when, (unsigned long long)counter);
    return text_take(&t);
}

void resources_make(struct resource_set *out, uint64_t counter, size_t push_bytes)
{
    char *per_service = filler(push_bytes / N_SERVICES);
    char *per_port = filler(push_bytes / N_PORTS);

    *out = (struct resource_set){.version = make_version(counter)};
    out->of[XDS_CDS] = sbx_alloc(N_SERVICES * sizeof(struct resource));
    out->of[XDS_EDS] = sbx_alloc(N_SERVICES * sizeof(struct resource));
    out->of[XDS_LDS] = sbx_alloc(N_PORTS * sizeof(struct resource));
    out->of[XDS_RDS] = sbx_alloc(N_PORTS * sizeof(struct resource));
    for (size_t i = 0; i < N_SERVICES; i++) {
        make_cluster(out, i, per_service);
        make_endpoints(out, i, per_service);
    }
    for (size_t i = 0; i < N_PORTS; i++) {
        make_listener(out, i, per_port);
        make_route(out, i, per_port);
    }
    free(per_service);
    free(per_port);
}

void resources_fini(struct resource_set *set)
{
    for (int type = 0; type < XDS_TYPES; type++) {
        for (size_t i = 0; i < set->n[type]; i++) {
            free(set->of[type][i].name);
            free(set->of[type][i].bytes);
        }
        free(set->of[type]);
    }
    free(set->version);
    *set = (struct resource_set){0};
}
