/* SPDX-License-Identifier: Apache-2.0 */
/* What is in it: pkg/bootstrap/config.go and pkg/model/proxy.go of Istio, base.proto of Envoy. */
#include "bench/load/node.h"

#include <stdio.h>
#include <string.h>

#include "bench/load/pb.h"
#include "core/base/check.h"

/** Of envoy.config.core.v3.Node. */
enum {
    NODE_ID = 1,
    NODE_CLUSTER = 2,
    NODE_METADATA = 3,
    NODE_LOCALITY = 4,
    NODE_AGENT = 6,
    NODE_BUILD = 8,
    NODE_EXTENSIONS = 9,
    NODE_FEATURES = 10
};

/** Of google.protobuf.Struct, the entries of its map, and google.protobuf.Value. */
enum { STRUCT_FIELDS = 1, ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { VALUE_NUMBER = 2, VALUE_TEXT = 3, VALUE_BOOL = 4, VALUE_STRUCT = 5, VALUE_LIST = 6 };

enum { FIRST_BYTE = 16, PER_LAST = 250, PER_SECOND = 62500 };

void node_address(uint32_t vm, struct addr *out)
{
    *out = (struct addr){.family = ADDR_V4};
    out->ip[0] = 127;
    out->ip[1] = (uint8_t)(FIRST_BYTE + vm / PER_SECOND);
    out->ip[2] = (uint8_t)(vm / PER_LAST % PER_LAST);
    out->ip[3] = (uint8_t)(vm % PER_LAST + 1);
}

/* ---- metadata ---- */

enum kind { TEXT, NUMBER, TRUE, STRUCT, LIST, ITEM, NAME, ADDRESS };

/** In the order in which they are written; what is inside of a STRUCT or LIST is one deeper. */
struct row {
    uint8_t depth;
    uint8_t kind;
    const char *key;
    const char *text;
    double number;
};

#define DEPTH_MAX 4

static const struct row metadata[] = {
    {0, TEXT, "AUTO_REGISTER_GROUP", "reviews", 0},
    {0, TEXT, "CLUSTER_ID", "Kubernetes", 0},
    {0, TEXT, "DNS_AUTO_ALLOCATE", "true", 0},
    {0, TEXT, "DNS_CAPTURE", "true", 0},
    {0, NUMBER, "ENVOY_PROMETHEUS_PORT", NULL, 15090},
    {0, NUMBER, "ENVOY_STATUS_PORT", NULL, 15021},
    {0, ADDRESS, "INSTANCE_IPS", NULL, 0},
    {0, TEXT, "INTERCEPTION_MODE", "REDIRECT", 0},
    {0, TEXT, "ISTIO_PROXY_SHA", "6d5a2a7b9c1e4f80b3d2c5e7a9f01b3c5d7e9f10", 0},
    {0, TEXT, "ISTIO_VERSION", "1.27.1", 0},
    {0, STRUCT, "LABELS", NULL, 0},
    {1, TEXT, "app", "reviews", 0},
    {1, TEXT, "app.kubernetes.io/managed-by", "platform-team", 0},
    {1, TEXT, "app.kubernetes.io/name", "reviews", 0},
    {1, TEXT, "app.kubernetes.io/part-of", "bookinfo", 0},
    {1, TEXT, "environment", "production", 0},
    {1, TEXT, "istio-locality", "eu-central-1.eu-central-1b.rack-17", 0},
    {1, TEXT, "service.istio.io/canonical-name", "reviews", 0},
    {1, TEXT, "service.istio.io/canonical-revision", "v2", 0},
    {1, TEXT, "topology.istio.io/network", "vm-net", 0},
    {1, TEXT, "version", "v2", 0},
    {0, TEXT, "MESH_ID", "cluster.local", 0},
    {0, NAME, "NAME", NULL, 0},
    {0, TEXT, "NAMESPACE", NODE_NAMESPACE, 0},
    {0, TEXT, "NETWORK", "vm-net", 0},
    {0, TEXT, "NODE_NAME", "hypervisor-17.eu-central-1b.example.com", 0},
    {0, LIST, "PILOT_SAN", NULL, 0},
    {1, ITEM, NULL, "istiod.istio-system.svc", 0},
    {0, TEXT, "POD_PORTS",
     "[{\"containerPort\":9080,\"protocol\":\"TCP\"},{\"containerPort\":9090,\"protocol\":\"TCP\"}"
     "]",
     0},
    {0, STRUCT, "PROXY_CONFIG", NULL, 0},
    {1, TEXT, "binaryPath", "/usr/local/bin/envoy", 0},
    {1, NUMBER, "concurrency", NULL, 2},
    {1, TEXT, "configPath", "./etc/istio/proxy", 0},
    {1, TEXT, "controlPlaneAuthPolicy", "MUTUAL_TLS", 0},
    {1, TEXT, "discoveryAddress", "istiod.istio-system.svc:15012", 0},
    {1, TEXT, "drainDuration", "45s", 0},
    {1, STRUCT, "proxyHeaders", NULL, 0},
    {2, STRUCT, "requestId", NULL, 0},
    {3, TRUE, "disabled", NULL, 0},
    {1, STRUCT, "proxyMetadata", NULL, 0},
    {2, TEXT, "CANONICAL_REVISION", "v2", 0},
    {2, TEXT, "CANONICAL_SERVICE", "reviews", 0},
    {2, TEXT, "ISTIO_META_AUTO_REGISTER_GROUP", "reviews", 0},
    {2, TEXT, "ISTIO_META_CLUSTER_ID", "Kubernetes", 0},
    {2, TEXT, "ISTIO_META_DNS_CAPTURE", "true", 0},
    {2, TEXT, "ISTIO_META_MESH_ID", "cluster.local", 0},
    {2, TEXT, "ISTIO_META_NETWORK", "vm-net", 0},
    {2, TEXT, "ISTIO_META_WORKLOAD_NAME", "reviews", 0},
    {2, TEXT, "POD_NAMESPACE", NODE_NAMESPACE, 0},
    {2, TEXT, "SERVICE_ACCOUNT", NODE_SERVICE_ACCOUNT, 0},
    {2, TEXT, "TRUST_DOMAIN", "cluster.local", 0},
    {1, NUMBER, "proxyAdminPort", NULL, 15000},
    {1, STRUCT, "readinessProbe", NULL, 0},
    {2, NUMBER, "failureThreshold", NULL, 3},
    {2, STRUCT, "httpGet", NULL, 0},
    {3, TEXT, "path", "/healthz", 0},
    {3, NUMBER, "port", NULL, 9080},
    {2, NUMBER, "periodSeconds", NULL, 10},
    {1, TEXT, "serviceCluster", "istio-proxy", 0},
    {1, NUMBER, "statNameLength", NULL, 189},
    {1, NUMBER, "statusPort", NULL, 15020},
    {1, TEXT, "terminationDrainDuration", "5s", 0},
    {1, STRUCT, "tracing", NULL, 0},
    {2, STRUCT, "zipkin", NULL, 0},
    {3, TEXT, "address", "zipkin.istio-system:9411", 0},
    {0, TEXT, "SERVICE_ACCOUNT", NODE_SERVICE_ACCOUNT, 0},
    {0, TEXT, "WORKLOAD_NAME", "reviews", 0},
    /* The agent makes top-level metadata of each label, too. */
    {0, TEXT, "app", "reviews", 0},
    {0, TEXT, "app.kubernetes.io/managed-by", "platform-team", 0},
    {0, TEXT, "app.kubernetes.io/name", "reviews", 0},
    {0, TEXT, "app.kubernetes.io/part-of", "bookinfo", 0},
    {0, TEXT, "environment", "production", 0},
    {0, TEXT, "istio-locality", "eu-central-1.eu-central-1b.rack-17", 0},
    {0, TEXT, "service.istio.io/canonical-name", "reviews", 0},
    {0, TEXT, "service.istio.io/canonical-revision", "v2", 0},
    {0, TEXT, "topology.istio.io/network", "vm-net", 0},
    {0, TEXT, "version", "v2", 0},
};

static const struct row build[] = {
    {0, TEXT, "build.label", "release/1.27", 0},
    {0, TEXT, "build.type", "RELEASE", 0},
    {0, TEXT, "revision.sha", "8e2a4c6b0d1f3a5c7e9b1d3f5a7c9e0b2d4f6a8c", 0},
    {0, TEXT, "revision.status", "Clean", 0},
    {0, TEXT, "ssl.version", "BoringSSL", 0},
};

/** What of it is the VM's own. */
struct own {
    char name[24];
    char address[ADDR_TEXT_BYTES];
};

static const char *text_of(const struct row *row, const struct own *own)
{
    return row->kind == NAME ? own->name : row->kind == ADDRESS ? own->address : row->text;
}

/* A value that nothing is inside of. */
static void write_value(struct pb *p, const struct row *row, const struct own *own)
{
    if (row->kind == NUMBER) {
        pb_double(p, VALUE_NUMBER, row->number);
    } else if (row->kind == TRUE) {
        pb_number(p, VALUE_BOOL, 1);
    } else {
        pb_text(p, VALUE_TEXT, text_of(row, own));
    }
}

/** What is open around the next row: each takes three, an entry, its value, and the struct or list
 * that this is. */
struct open {
    size_t entry;
    size_t value;
    size_t inside;
};

static void begin_row(struct pb *p, const struct row *row, const struct own *own, struct open *o)
{
    o->entry = pb_open(p, STRUCT_FIELDS);
    if (row->kind == ITEM) { /* field 1 of a list is the value itself */
        write_value(p, row, own);
        pb_close(p, o->entry);
        return;
    }
    pb_text(p, ENTRY_KEY, row->key);
    o->value = pb_open(p, ENTRY_VALUE);
    if (row->kind == STRUCT || row->kind == LIST) {
        o->inside = pb_open(p, row->kind == STRUCT ? VALUE_STRUCT : VALUE_LIST);
        return;
    }
    write_value(p, row, own);
    pb_close(p, o->value);
    pb_close(p, o->entry);
}

static void end_row(struct pb *p, const struct open *o)
{
    pb_close(p, o->inside);
    pb_close(p, o->value);
    pb_close(p, o->entry);
}

static void write_struct(struct pb *p, uint32_t field, const struct row *rows, size_t n,
                         const struct own *own)
{
    struct open open[DEPTH_MAX] = {{0, 0, 0}};
    size_t begun = pb_open(p, field);
    size_t depth = 0;

    for (size_t i = 0; i < n; i++) {
        while (depth > rows[i].depth) {
            end_row(p, &open[--depth]);
        }
        begin_row(p, &rows[i], own, &open[depth]);
        depth += rows[i].kind == STRUCT || rows[i].kind == LIST ? 1 : 0;
        CHECK(depth < DEPTH_MAX);
    }
    while (depth > 0) {
        end_row(p, &open[--depth]);
    }
    pb_close(p, begun);
}

/* ---- the rest ---- */

static void write_locality(struct pb *p)
{
    size_t begun = pb_open(p, NODE_LOCALITY);

    pb_text(p, 1, "eu-central-1");
    pb_text(p, 2, "eu-central-1b");
    pb_text(p, 3, "rack-17");
    pb_close(p, begun);
}

static void write_build(struct pb *p)
{
    size_t begun = pb_open(p, NODE_BUILD);
    size_t version = pb_open(p, 1);

    pb_number(p, 1, 1);
    pb_number(p, 2, 35);
    pb_number(p, 3, 3);
    pb_close(p, version);
    write_struct(p, 2, build, sizeof(build) / sizeof(build[0]), NULL);
    pb_close(p, begun);
}

/* Name, category and the type of its configuration, as Envoy lists those it is built with. */
static void write_extension(struct pb *p, uint32_t i)
{
    char text[96];
    size_t begun = pb_open(p, NODE_EXTENSIONS);

    (void)snprintf(text, sizeof(text), "envoy.filters.http.extension_%04u", i);
    pb_text(p, 1, text);
    pb_text(p, 2, "envoy.filters.http");
    (void)snprintf(text, sizeof(text), "envoy.extensions.filters.http.extension_%04u.v3.Config", i);
    pb_text(p, 6, text);
    pb_close(p, begun);
}

static void write_features(struct pb *p)
{
    pb_text(p, NODE_FEATURES, "envoy.lb.does_not_support_overprovisioning");
    pb_text(p, NODE_FEATURES, "envoy.lrs.supports_send_all_clusters");
}

/* While the features, which come last, have still room. */
static void write_extensions(struct pb *p, size_t bytes)
{
    uint8_t room[256];
    struct pb features = {room, sizeof(room), 0};
    struct pb one = {room, sizeof(room), 0};

    write_features(&features);
    write_extension(&one, 0); /* all have the same length */
    for (uint32_t i = 0; p->n + one.n + features.n <= bytes; i++) {
        write_extension(p, i);
    }
}

size_t node_write(uint32_t vm, size_t bytes, uint8_t out[NODE_BYTES_MAX])
{
    struct pb p = {out, NODE_BYTES_MAX, 0};
    struct addr address;
    struct own own;
    char id[128];

    CHECK(bytes <= NODE_BYTES_MAX);
    node_address(vm, &address);
    (void)addr_format_ip(&address, own.address);
    (void)snprintf(own.name, sizeof(own.name), "vm-%u", vm);
    (void)snprintf(id, sizeof(id), "sidecar~%s~%s.%s~%s.svc.cluster.local", own.address, own.name,
                   NODE_NAMESPACE, NODE_NAMESPACE);
    pb_text(&p, NODE_ID, id);
    pb_text(&p, NODE_CLUSTER, "reviews." NODE_NAMESPACE);
    write_struct(&p, NODE_METADATA, metadata, sizeof(metadata) / sizeof(metadata[0]), &own);
    write_locality(&p);
    pb_text(&p, NODE_AGENT, "envoy");
    write_build(&p);
    write_extensions(&p, bytes);
    write_features(&p);
    return p.n;
}

bool node_whose(const uint8_t head[NODE_HEAD_BYTES], uint32_t *vm)
{
    static const char type[] = "sidecar~";
    const size_t n_before = 2 + strlen(type); /* tag and length, too */
    char text[NODE_HEAD_BYTES];
    struct addr a;

    memcpy(text, head, sizeof(text));
    text[sizeof(text) - 1] = '\0';
    text[n_before + strcspn(text + n_before, "~")] = '\0';
    if (memcmp(head + 2, type, strlen(type)) != 0 || addr_parse_ip(text + n_before, &a) != RC_OK ||
        a.family != ADDR_V4 || a.ip[1] < FIRST_BYTE || a.ip[2] >= PER_LAST || a.ip[3] == 0 ||
        a.ip[3] > PER_LAST) {
        return false;
    }
    *vm = (uint32_t)(a.ip[1] - FIRST_BYTE) * PER_SECOND + a.ip[2] * PER_LAST + a.ip[3] - 1u;
    return true;
}
