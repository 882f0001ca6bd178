/* SPDX-License-Identifier: Apache-2.0 */
/* What istioctl does not check, and where we differ from it. What is equal: golden_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/bootstrap/render_fixture.h"

static void test_render__bad_group__refused_by_field(void **state)
{
    static const struct {
        const char *group;
        const char *what;
    } cases[] = {
        {"[1]", "WorkloadGroup: it must be a mapping"},
        {"kind: ServiceEntry\n", "this is a ServiceEntry"},
        {"apiVersion: v1\nmetadata: {name: a}\n", "apiVersion must be networking.istio.io/v1"},
        {"metadata: {namespace: vms}\nspec: {}\n", "metadata.name is missing"},
        {"metadata: {name: vm}\nspec: {}\n", "metadata.namespace is missing"},
        {"metadata: {name: vm, namespace: vms}\n", "spec is missing"},
        {"metadata: {name: vm, namespace: vms}\nspec: 5\n", "spec is missing"},
        {"metadata: {name: 'v m', namespace: vms}\nspec: {}\n", "metadata.name v m is no name"},
        {"metadata: {name: vm, namespace: ../x}\nspec: {}\n", "metadata.namespace ../x is no name"},
        {"metadata: {name: vm, namespace: vms}\nspec: {template: 5}\n",
         "spec.template must be a mapping"},
        {"metadata: {name: vm, namespace: vms}\nspec: {template: {serviceAccount: 5}}\n",
         "spec.template.serviceAccount must be a text"},
        {"metadata: {name: vm, namespace: vms}\nspec: {template: {serviceAccount: a/b}}\n",
         "spec.template.serviceAccount a/b is no name"},
        {"metadata: {name: vm, namespace: vms}\nspec: {template: {ports: {http: 0}}}\n",
         "spec.template.ports.http must be from 1 to 65535"},
        {"metadata: {name: vm, namespace: vms}\nspec: {template: {ports: {http: 65536}}}\n",
         "spec.template.ports.http must be from 1 to 65535"},
        {"metadata: {name: vm, namespace: vms}\nspec: {template: {ports: {http: x}}}\n",
         "spec.template.ports.http must be a whole number"},
        {"metadata: {name: vm, namespace: vms}\nspec: {metadata: {labels: {a: 1}}}\n",
         "spec.metadata.labels.a must be a text"},
        {"metadata: {name: vm, namespace: vms}\nspec: {metadata: {labels: {a: \"x\\0\"}}}\n",
         "spec.metadata.labels.a holds a NUL"},
        {"metadata: {name: vm, namespace: vms}\nspec: {probe: {periodSeconds: 1.5}}\n",
         "spec.probe.periodSeconds must be a whole number"},
        {"metadata: {name: vm, namespace: vms}\nspec: {probe: {exec: {command: sh}}}\n",
         "spec.probe.exec.command must be a list"},
        {"metadata: {name: vm, namespace: vms}\nspec: {probe: {httpGet: {httpHeaders: [1]}}}\n",
         "spec.probe.httpGet.httpHeaders.[0] must be a mapping"},
        {"metadata: {name: vm, namespace: vms, annotations: {proxy.istio.io/config: 'a: *b'}}\n"
         "spec: {}\n",
         "annotation proxy.istio.io/config: line 1, column 4: aliases"},
        {"metadata: {name: vm, namespace: vms, annotations: {proxy.istio.io/config: '5'}}\n"
         "spec: {}\n",
         "annotation proxy.istio.io/config: it must be a mapping"},
        {"metadata: {name: vm, namespace: vms, annotations: {proxy.istio.io/config: "
         "\"--- {}\\n--- {}\"}}\nspec: {}\n",
         "it holds two documents"},
        {"metadata: {name: vm, namespace: vms}\nspec: {metadata: {annotations: "
         "{proxy.istio.io/config: 'concurrency: x'}}}\n",
         "annotation proxy.istio.io/config: concurrency must be a whole number"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bundle_opts o = opts_of(cases[i].group, MESH);
        refuse_opts(&o, cases[i].what);
        free_opts(&o);
    }
}

static void test_render__bad_mesh__refused_by_field(void **state)
{
    static const struct {
        const char *mesh;
        const char *what;
    } cases[] = {
        {"[]", "mesh config: it must be a mapping"},
        {"defaultConfig: 5\n", "mesh config: defaultConfig must be a mapping"},
        {"trustDomain: 5\n", "mesh config: trustDomain must be a text"},
        {"defaultConfig: {drainDuration: 45}\n", "defaultConfig.drainDuration must be a duration"},
        {"defaultConfig: {interceptionMode: TPROX}\n",
         "defaultConfig.interceptionMode has a value that Istio does not know"},
        {"defaultConfig: {proxyMetadata: {A: 1}}\n",
         "defaultConfig.proxyMetadata.A must be a text: put it in quotes"},
        {"defaultConfig: {proxyMetadata: {'A B; id #': x}}\n",
         "key \"A B; id #\" is no name of a variable"},
        {"defaultConfig: {proxyMetadata: {\"A\\nB\": x}}\n", "key \"A?B\" is no name"},
        {"defaultConfig: {proxyMetadata: {'': x}}\n", "key \"\" is no name"},
        {"defaultConfig: {sds: {enabled: 'yes'}}\n", "sds.enabled must be true or false"},
        {"defaultConfig: {tracing: {sampling: x}}\n", "tracing.sampling must be a number"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bundle_opts o = opts_of(GROUP, cases[i].mesh);
        refuse_opts(&o, cases[i].what);
        free_opts(&o);
    }
}

/* A WorkloadGroup's editor could be root on the VM otherwise. */
static void test_render__annotation_with_a_variable_for_root__refused(void **state)
{
    static const char *const names[] = {
        "EXEC_USER", "USER",       "ISTIO_SVC_IP",      "POD_NAME",
        "PATH",      "LD_PRELOAD", "ISTIO_AGENT_FLAGS", "ISTIO_INBOUND_INTERCEPTION_MODE",
        "BASH_ENV",  "IFS",        "ISTIO_LOG_DIR",     "ISTIO_BIN_BASE",
        "SHELL",     "HOME",       "DRY_RUN_FILE_PATH", "XTABLES_LIBDIR",
    };
    static const char *const places[][2] = {
        {"metadata: {name: vm, namespace: vms, annotations: {proxy.istio.io/config: "
         "'proxyMetadata: {A: b, ",
         ": c}'}}\nspec: {}\n"},
        {"metadata: {name: vm, namespace: vms}\nspec: {metadata: {annotations: "
         "{proxy.istio.io/config: 'proxyMetadata: {A: b, ",
         ": c}'}}}\n"},
    };
    char group[300];
    char what[100];
    (void)state;
    for (size_t i = 0; i < 2 * sizeof(names) / sizeof(names[0]); i++) {
        const char *name = names[i / 2];
        snprintf(group, sizeof(group), "%s%s%s", places[i % 2][0], name, places[i % 2][1]);
        snprintf(what, sizeof(what), "proxyMetadata.%s: root on the VM acts on it", name);
        struct bundle_opts o = opts_of(group, MESH);
        refuse_opts(&o, what);
        free_opts(&o);
    }
}

static void test_render__annotation_with_settings_of_the_agent__taken(void **state)
{
    struct bundle_opts o =
        opts_of("metadata: {name: vm, namespace: vms, annotations: {proxy.istio.io/config: "
                "'proxyMetadata: {CA_ADDR: \"a:1\", ISTIO_META_X: $(id), SECRET_TTL: 1h}'}}\n"
                "spec: {}\n",
                MESH);
    struct bundle b;
    (void)state;
    accept_opts(&o, &b);
    assert_non_null(strstr(bundle_find(&b, BUNDLE_ENV)->data, "\nISTIO_META_X='$(id)'\n"));
    bundle_fini(&b);
    free_opts(&o);
}

/* Expanded by istio-start.sh without quotes; single quotes in cluster.env change nothing there. */
static void test_render__mesh_with_a_command_where_it_is_expanded__refused(void **state)
{
    static const char *const bad[] = {"$(id)", "`id`", "a;b", "a b", "a|b", "a>b", "\\\"", "a\\nb"};
    static const char *const names[] = {"EXEC_USER", "ISTIO_BIN_BASE", "ISTIO_LOG_DIR",
                                        "ISTIO_SVC_IP", "POD_NAME"};
    char mesh[200];
    char what[100];
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (size_t j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
            snprintf(mesh, sizeof(mesh), "defaultConfig: {proxyMetadata: {%s: \"%s\"}}\n", names[i],
                     bad[j]);
            snprintf(what, sizeof(what), "proxyMetadata.%s: istio-start.sh makes", names[i]);
            struct bundle_opts o = opts_of(GROUP, mesh);
            refuse_opts(&o, what);
            free_opts(&o);
        }
    }
    struct bundle_opts o =
        opts_of(GROUP, "defaultConfig: {proxyMetadata: {EXEC_USER: root, ISTIO_SVC_IP: 'fd00::1', "
                       "ISTIO_AGENT_FLAGS: '--log_output_level=all:debug --domain x'}}\n");
    struct bundle b;
    accept_opts(&o, &b);
    bundle_fini(&b);
    free_opts(&o);
}

static void test_render__bad_options__refused(void **state)
{
    struct bundle_opts good = opts_of(GROUP, MESH);
    struct bundle_opts o = good;
    (void)state;
    o.mesh_config = NULL;
    refuse_opts(&o, "mesh config: there is none");
    o = good;
    o.root_cert = NULL;
    refuse_opts(&o, "root certificate: it holds no PEM");
    o.root_cert = "geheim";
    refuse_opts(&o, "root certificate: it holds no PEM");
    o = good;
    o.group = "other";
    refuse_opts(&o, "metadata.name is vm, but other is asked for");
    o = good;
    o.name_space = "other";
    refuse_opts(&o, "metadata.namespace is vms, but other is asked for");
    o = good;
    o.revision = "a;b";
    refuse_opts(&o, "revision a;b is no name");
    o = good;
    o.istio_namespace = "";
    refuse_opts(&o, "istio's namespace  is no name");
    o = good;
    o.internal_ip = "10.0.0.1";
    o.external_ip = "10.0.0.1";
    refuse_opts(&o, "exclude each other");
    o = good;
    o.token = " \n";
    refuse_opts(&o, "token: it is empty");
    o.token = "the.secret\n.token";
    refuse_opts(&o, "token: it must be one word");
    o.token = "the.secret\xc3\xa4";
    refuse_opts(&o, "token: it must be one word");
    free_opts(&good);
}

static void test_render__address_that_means_something_else_everywhere__refused(void **state)
{
    static const struct {
        const char *text;
        const char *what;
    } cases[] = {
        {"127.0.0.1", "loopback"},
        {"127.9.9.9", "loopback"},
        {"::1", "loopback"},
        {"169.254.1.1", "link-local"},
        {"fe80::1", "link-local"},
        {"0.0.0.0", "unspecified"},
        {"0.1.2.3", "unspecified"},
        {"::", "unspecified"},
        {"224.0.0.1", "group"},
        {"255.255.255.255", "group"},
        {"ff02::1", "group"},
        {"::ffff:10.0.0.1", "IPv4 in"},
        {"", "no IP address"},
        {"gate.example", "no IP address"},
        {"10.0.0.1:1", "no IP"},
        {"10.0.0", "no IP address"},
        {"10.0.0.1 ", "no IP address"},
        {"fe80::1%eth0", "no IP"},
    };
    struct bundle_opts good = opts_of(GROUP, MESH);
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bundle_opts o = good;
        o.gateways[0] = cases[i].text;
        refuse_opts(&o, cases[i].what);
        o = good;
        o.internal_ip = cases[i].text;
        refuse_opts(&o, cases[i].what);
        o = good;
        o.external_ip = cases[i].text;
        refuse_opts(&o, cases[i].what);
    }
    free_opts(&good);
}

static void assert_hosts(const struct bundle_opts *o, const char *expected)
{
    struct bundle b;
    accept_opts(o, &b);
    assert_string_equal(bundle_find(&b, BUNDLE_HOSTS)->data, expected);
    bundle_fini(&b);
}

static void test_hosts__gateways__a_line_each(void **state)
{
    struct bundle_opts o = opts_of(GROUP, MESH);
    (void)state;
    o.n_gateways = 0;
    refuse_opts(&o, "no address of a gateway");
    o.n_gateways = 3;
    o.gateways[1] = "2001:DB8:0:0::1";
    o.gateways[2] = "192.0.2.2";
    assert_hosts(&o, "192.0.2.1 istiod.istio-system.svc\n2001:db8::1 istiod.istio-system.svc\n"
                     "192.0.2.2 istiod.istio-system.svc\n");
    o.revision = "canary";
    o.n_gateways = 1;
    assert_hosts(&o, "192.0.2.1 istiod-canary.istio-system.svc istiod.istio-system.svc\n");
    o.n_gateways = 4;
    o.gateways[3] = "2001:db8::0001";
    refuse_opts(&o, "gateway: 2001:db8::1 is given twice");
    free_opts(&o);
}

/* The name that the agent dials is only added when nothing else could resolve it. */
static void test_hosts__discovery_address__added_when_of_the_cluster(void **state)
{
    static const char *const cases[][2] = {
        {"other.ns.svc:15012", " other.ns.svc"},
        {"other.ns.svc.cluster.local:15012", " other.ns.svc.cluster.local"},
        {"istiod.istio-system.svc:15012", ""},
        {"istiod.example.com:15012", ""},
        {"istiod.svcs.example.com:15012", ""},
        {"10.0.0.1:15012", ""},
        {"[2001:db8::1]:15012", ""},
        {"a b.svc:1", ""},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char mesh[200];
        char hosts[200];
        (void)snprintf(mesh, sizeof(mesh), "defaultConfig: {discoveryAddress: '%s'}\n",
                       cases[i][0]);
        (void)snprintf(hosts, sizeof(hosts), "192.0.2.1 istiod.istio-system.svc%s\n", cases[i][1]);
        struct bundle_opts o = opts_of(GROUP, mesh);
        assert_hosts(&o, hosts);
        free_opts(&o);
    }
}

/* What the agent reads of it, in the file that it reads it from. */
static void assert_gateway(const struct bundle_opts *o, const char *address, const char *hosts)
{
    struct bundle b;
    accept_opts(o, &b);
    json_t *mesh = yaml_of(bundle_find(&b, BUNDLE_MESH)->data);
    const char *env = bundle_find(&b, BUNDLE_ENV)->data;
    char line[300];
    assert_string_equal(doc_text(mesh, "defaultConfig", "discoveryAddress", NULL), address);
    (void)snprintf(line, sizeof(line), "CA_ADDR='%s'\n", address);
    assert_non_null(strstr(env, line));
    assert_null(strstr(env, "PILOT"));
    assert_null(strstr(env, "ISTIOD_SAN"));
    assert_string_equal(bundle_find(&b, BUNDLE_HOSTS)->data, hosts);
    json_decref(mesh);
    bundle_fini(&b);
}

static void test_gateway_name__whatever_else_is_said__agent_calls_it(void **state)
{
    struct bundle_opts o = opts_of(GROUP, MESH);
    (void)state;
    o.gateway_name = "gw.example.com";
    assert_gateway(&o, "gw.example.com:15012",
                   "192.0.2.1 istiod.istio-system.svc gw.example.com\n");
    o.revision = "canary";
    o.gateway_name = "gw.example.com:443";
    assert_gateway(&o, "gw.example.com:443",
                   "192.0.2.1 istiod-canary.istio-system.svc gw.example.com\n");
    free_opts(&o);

    o = opts_of(
        "metadata: {name: vm, namespace: vms, annotations: {proxy.istio.io/config: "
        "'{discoveryAddress: \"a.svc:1\", proxyMetadata: {CA_ADDR: \"b:2\"}}'}}\nspec: {}\n",
        "defaultConfig: {discoveryAddress: 'c.svc:3', proxyMetadata: {PILOT_ADDRESS: 'd:4', "
        "ISTIO_PILOT_PORT: '5', ISTIOD_SAN: e}}\n");
    o.gateway_name = "istiod.istio-system.svc:31012";
    assert_gateway(&o, "istiod.istio-system.svc:31012", "192.0.2.1 istiod.istio-system.svc\n");
    free_opts(&o);
}

static void test_gateway_name__no_name_and_port__refused(void **state)
{
    static const char *const cases[][2] = {
        {"", "write a DNS name"},
        {"gw_1.example.com", "write a DNS name"},
        {"GW.example.com", "write a DNS name"},
        {"gw.example.com:", "and its port"},
        {"gw.example.com:0", "and its port"},
        {"gw.example.com:65536", "and its port"},
        {"gw.example.com:15012x", "and its port"},
        {"gw.example.com:1:2", "and its port"},
        {"[2001:db8::1]:15012", "write a DNS name"},
        {"2001:db8::1", "write a DNS name"},
        {"192.0.2.1", "that is an address"},
        {"192.0.2.1:15012", "that is an address"},
        {"gw.example.com:15010", "without TLS"},
    };
    struct bundle_opts o = opts_of(GROUP, MESH);
    char long_name[300];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        o.gateway_name = cases[i][0];
        refuse_opts(&o, cases[i][1]);
    }
    memset(long_name, 'a', sizeof(long_name));
    long_name[sizeof(long_name) - 1] = '\0';
    o.gateway_name = long_name;
    refuse_opts(&o, "write a DNS name");
    free_opts(&o);
}

static void test_gateway_root__with_or_without_a_name__file_and_variables(void **state)
{
    struct bundle_opts o = opts_of(GROUP, MESH);
    struct bundle b;
    (void)state;
    o.gateway_root = ROOT_PEM;
    accept_opts(&o, &b);
    const char *env = bundle_find(&b, BUNDLE_ENV)->data;
    assert_non_null(strstr(env, "\nXDS_ROOT_CA='" BUNDLE_GATEWAY_ROOT_PATH "'\n"));
    assert_non_null(strstr(env, "CA_ROOT_CA='" BUNDLE_GATEWAY_ROOT_PATH "'\n"));
    assert_null(strstr(env, "CA_ADDR"));
    assert_string_equal(bundle_find(&b, BUNDLE_GATEWAY_ROOT)->data, ROOT_PEM);
    assert_int_equal(bundle_find(&b, BUNDLE_GATEWAY_ROOT)->mode, 0644);
    bundle_fini(&b);
    assert_hosts(&o, "192.0.2.1 istiod.istio-system.svc\n");

    o.gateway_name = "gw.example.com";
    assert_gateway(&o, "gw.example.com:15012",
                   "192.0.2.1 istiod.istio-system.svc gw.example.com\n");
    o.gateway_root = "no certificate";
    refuse_opts(&o, "the gateway's root certificate: it holds no PEM certificate");
    free_opts(&o);
}

static void test_render__token__trimmed_or_left_out(void **state)
{
    struct bundle_opts o = opts_of(GROUP, MESH);
    struct bundle b;
    (void)state;
    o.token = "a.b.c\n";
    accept_opts(&o, &b);
    assert_string_equal(bundle_find(&b, BUNDLE_TOKEN)->data, "a.b.c");
    assert_int_equal(bundle_find(&b, BUNDLE_TOKEN)->mode, 0600);
    bundle_fini(&b);
    o.token = NULL;
    accept_opts(&o, &b);
    assert_null(bundle_find(&b, BUNDLE_TOKEN));
    assert_int_equal(b.n, 4);
    bundle_fini(&b);
    free_opts(&o);
}

/* istioctl ends with a nil dereference here. */
static void test_render__no_metadata_but_annotation__merged(void **state)
{
    struct bundle_opts o =
        opts_of("metadata: {name: vm, namespace: vms, annotations: {proxy.istio.io/config: "
                "'proxyMetadata: {A: b}'}}\nspec: {}\n",
                "defaultConfig: {meshId: m}\n");
    struct bundle b;
    (void)state;
    accept_opts(&o, &b);
    assert_non_null(strstr(bundle_find(&b, BUNDLE_ENV)->data, "\nCANONICAL_SERVICE='vm'\n"));
    assert_ptr_equal(strstr(bundle_find(&b, BUNDLE_ENV)->data, "A='b'\n"),
                     bundle_find(&b, BUNDLE_ENV)->data);
    assert_non_null(strstr(bundle_find(&b, BUNDLE_ENV)->data, "\nSERVICE_ACCOUNT='default'\n"));
    bundle_fini(&b);
    free_opts(&o);
}

/* A field of an Istio that is newer than our table reaches the agent. */
static void test_render__unknown_fields__passed_on(void **state)
{
    struct bundle_opts o = opts_of(GROUP, "defaultConfig: {brandNew: {a: [0, '']}, tracing: {b: 0}}"
                                          "\nalsoNew: 1\n");
    struct bundle b;
    (void)state;
    accept_opts(&o, &b);
    json_t *v = yaml_of(bundle_find(&b, BUNDLE_MESH)->data);
    assert_int_equal(json_object_size(v), 1);
    assert_int_equal(json_array_size(doc_at(v, "defaultConfig", "brandNew", "a", NULL)), 2);
    assert_non_null(doc_at(v, "defaultConfig", "tracing", "b", NULL));
    json_decref(v);
    bundle_fini(&b);
    free_opts(&o);
}

static void test_renewal__only_what_runs_out__in_the_bundle(void **state)
{
    struct bundle_opts o = opts_of(GROUP, MESH);
    char why[300] = "x";
    struct bundle b;
    (void)state;
    o.n_gateways = 0;
    bundle_init(&b);

    assert_int_equal(bundle_render_renewal(&o, &b, why, sizeof(why)), RC_OK);

    assert_string_equal(why, "");
    assert_int_equal(b.n, 2);
    assert_string_equal(bundle_find(&b, BUNDLE_ROOT)->data, ROOT_PEM);
    assert_string_equal(bundle_find(&b, BUNDLE_TOKEN)->data, "the.secret.token");
    assert_int_equal(bundle_find(&b, BUNDLE_TOKEN)->mode, 0600);
    bundle_fini(&b);
    free_opts(&o);
}

static void test_renewal__root_of_the_gateway__comes_along(void **state)
{
    struct bundle_opts o = opts_of(GROUP, MESH);
    char why[300] = "x";
    struct bundle b;
    (void)state;
    o.gateway_root = "of the gateway\n" ROOT_PEM;
    bundle_init(&b);

    assert_int_equal(bundle_render_renewal(&o, &b, why, sizeof(why)), RC_OK);

    assert_int_equal(b.n, 3);
    assert_string_equal(bundle_find(&b, BUNDLE_GATEWAY_ROOT)->data, o.gateway_root);
    assert_int_equal(bundle_find(&b, BUNDLE_GATEWAY_ROOT)->mode, 0644);
    bundle_fini(&b);
    o.token = NULL;
    bundle_init(&b);
    assert_int_equal(bundle_render_renewal(&o, &b, why, sizeof(why)), RC_OK);
    assert_int_equal(b.n, 2);
    assert_null(bundle_find(&b, BUNDLE_TOKEN));
    bundle_fini(&b);
    free_opts(&o);
}

static void test_gateway_address__with_or_without_a_port__has_one(void **state)
{
    char address[BUNDLE_ADDRESS_BYTES];
    char why[300] = "";
    (void)state;

    assert_int_equal(bundle_gateway_address("gw.example.com", address, why, sizeof(why)), RC_OK);
    assert_string_equal(address, "gw.example.com:15012");
    assert_int_equal(bundle_gateway_address("gw:31012", address, why, sizeof(why)), RC_OK);
    assert_string_equal(address, "gw:31012");
    assert_string_equal(why, "");
    assert_int_equal(bundle_gateway_address("gw:0", address, why, sizeof(why)), RC_INVALID);
    assert_non_null(strstr(why, "gateway's name gw:0: write a DNS name"));
    assert_string_equal(address, "gw:31012");
}

static void refuse_renewal(const struct bundle_opts *o, const char *what)
{
    char why[300] = "";
    struct bundle b;

    bundle_init(&b);
    assert_int_equal(bundle_render_renewal(o, &b, why, sizeof(why)), RC_INVALID);
    assert_non_null(strstr(why, what));
    assert_null(strstr(why, "secret"));
    assert_int_equal(b.n, 0);
}

/* Both run out at 2000; of vms/sa, and of vms/db. */
#define OF_SA               \
    "eyJhbGciOiJSUzI1NiJ9." \
    "eyJleHAiOjIwMDAsInN1YiI6InN5c3RlbTpzZXJ2aWNlYWNjb3VudDp2bXM6c2EifQ.c2ln"
#define OF_DB               \
    "eyJhbGciOiJSUzI1NiJ9." \
    "eyJleHAiOjIwMDAsInN1YiI6InN5c3RlbTpzZXJ2aWNlYWNjb3VudDp2bXM6ZGIifQ.c2ln"

static void test_render__token_that_is_looked_into__good_until_it_runs_out(void **state)
{
    struct bundle_opts o = opts_of(GROUP, MESH);
    char why[300] = "";
    struct bundle b;
    (void)state;
    o.token = OF_SA "\n";
    o.now_s = 2000;

    bundle_init(&b);
    assert_int_equal(bundle_render(&o, &b, why, sizeof(why)), RC_OK);
    assert_string_equal(bundle_find(&b, BUNDLE_TOKEN)->data, OF_SA);
    bundle_fini(&b);
    o.now_s = 2000 + 7200;
    refuse_opts(&o, "token: it ran out 2 h ago");
    refuse_renewal(&o, "token: it ran out 2 h ago");
    o.now_s = 0;
    bundle_init(&b);
    assert_int_equal(bundle_render(&o, &b, why, sizeof(why)), RC_OK);
    bundle_fini(&b);
    free_opts(&o);
}

static void test_render__token_of_another_account__refused(void **state)
{
    struct bundle_opts o = opts_of(GROUP, MESH);
    (void)state;
    o.token = OF_DB;
    o.now_s = 1000;

    refuse_opts(&o, "token: it is for system:serviceaccount:vms:db, but the WorkloadGroup says "
                    "system:serviceaccount:vms:sa");
    refuse_renewal(&o, "token: it is for system:serviceaccount:vms:db");
    free_opts(&o);
}

static void test_renewal__bad_input__refused_by_name(void **state)
{
    struct bundle_opts o = opts_of(GROUP, MESH);
    (void)state;

    o.root_cert = "no certificate";
    refuse_renewal(&o, "root certificate: it holds no PEM certificate");
    o.root_cert = ROOT_PEM;
    o.gateway_root = "no certificate";
    refuse_renewal(&o, "the gateway's root certificate: it holds no PEM certificate");
    o.gateway_root = NULL;
    o.token = "the.secret\n.token";
    refuse_renewal(&o, "token: it must be one word");
    o.token = "the.secret.token";
    o.group = "other";
    refuse_renewal(&o, "metadata.name is vm, but other is asked for");
    free_opts(&o);
}

static void test_service_account__of_any_object__never_null(void **state)
{
    static const char *const cases[][2] = {
        {"spec: {template: {serviceAccount: sa}}", "sa"},
        {"spec: {template: {service_account: sa}}", "sa"},
        {"spec: {template: {serviceAccount: ''}}", "default"},
        {"spec: {template: {serviceAccount: 5}}", "default"},
        {"spec: {}", "default"},
        {"5", "default"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *v = yaml_of(cases[i][0]);
        assert_string_equal(bundle_service_account(v), cases[i][1]);
        json_decref(v);
    }
    assert_string_equal(bundle_service_account(NULL), "default");
}

static void test_bundle__ninth_file__full(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct bundle b;
    (void)state;
    bundle_init(&b);
    for (size_t i = 0; i < BUNDLE_FILES_MAX; i++) {
        assert_int_equal(bundle_add(&b, names[i], "x\0y", 3, 0644), RC_OK);
    }
    assert_int_equal(bundle_find(&b, "h")->n, 3);
    assert_int_equal(bundle_add(&b, "i", "", 0, 0644), RC_FULL);
    assert_null(bundle_find(&b, "i"));
    bundle_fini(&b);
    assert_int_equal(b.n, 0);
    bundle_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_render__bad_group__refused_by_field),
        cmocka_unit_test(test_render__bad_mesh__refused_by_field),
        cmocka_unit_test(test_render__annotation_with_a_variable_for_root__refused),
        cmocka_unit_test(test_render__annotation_with_settings_of_the_agent__taken),
        cmocka_unit_test(test_render__mesh_with_a_command_where_it_is_expanded__refused),
        cmocka_unit_test(test_render__bad_options__refused),
        cmocka_unit_test(test_render__address_that_means_something_else_everywhere__refused),
        cmocka_unit_test(test_hosts__gateways__a_line_each),
        cmocka_unit_test(test_hosts__discovery_address__added_when_of_the_cluster),
        cmocka_unit_test(test_gateway_name__whatever_else_is_said__agent_calls_it),
        cmocka_unit_test(test_gateway_name__no_name_and_port__refused),
        cmocka_unit_test(test_gateway_root__with_or_without_a_name__file_and_variables),
        cmocka_unit_test(test_render__token__trimmed_or_left_out),
        cmocka_unit_test(test_render__token_that_is_looked_into__good_until_it_runs_out),
        cmocka_unit_test(test_render__token_of_another_account__refused),
        cmocka_unit_test(test_render__no_metadata_but_annotation__merged),
        cmocka_unit_test(test_render__unknown_fields__passed_on),
        cmocka_unit_test(test_renewal__only_what_runs_out__in_the_bundle),
        cmocka_unit_test(test_renewal__root_of_the_gateway__comes_along),
        cmocka_unit_test(test_gateway_address__with_or_without_a_port__has_one),
        cmocka_unit_test(test_renewal__bad_input__refused_by_name),
        cmocka_unit_test(test_service_account__of_any_object__never_null),
        cmocka_unit_test(test_bundle__ninth_file__full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
