/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are refused. A caret stands where the error is expected, in order; there must be no
 * other error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/config/fixture.h"

struct refused {
    const char *text;
    const char *what; /**< in the first error */
};

static void refuse_all(struct fixture *f, const struct refused *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fixture_refuse(f, cases[i].text, cases[i].what);
    }
}

#define REFUSE_ALL(state, cases) refuse_all(*(state), cases, sizeof(cases) / sizeof((cases)[0]))

/* Pieces of files. */
#define LISTENER(route)                                                                        \
    "version: 1\n"                                                                             \
    "trust_domain: cluster.local\n"                                                            \
    "listeners:\n"                                                                             \
    "- name: a\n"                                                                              \
    "  bind: [127.0.0.1:1]\n"                                                                  \
    "  tls: {certificates: [{certificate: @/tls.crt, private_key: @/tls.key}], client_roots: " \
    "[@/root.pem]}\n"                                                                          \
    "  vm_identities: [ns/vms/sa/*]\n"                                                         \
    "  routes:\n" route "upstreams:\n"
#define PLAIN(more)                                                                                \
    "version: 1\n"                                                                                 \
    "listeners:\n"                                                                                 \
    "- {name: a, bind: [127.0.0.1:1], routes: [{sni: [\"*\"], mode: passthrough, upstream: u" more \
    "}]}\n"
#define UPSTREAM(more) "upstreams:\n- {name: u, endpoints: [\"10.0.0.1:1\"]" more "}\n"
#define TLS ", tls: {server_name: istiod, roots: [@/root.pem]}"
#define ALL(mode, upstream) "  - {sni: [\"*\"], mode: " mode ", upstream: " upstream "}\n"

/* ---- source_address ---- */

/* x speaks by header, p passes through. */
#define TWO(x, p)                                                     \
    LISTENER("  - {sni: [x.example], mode: terminate, upstream: x}\n" \
             "  - {sni: [\"*\"], mode: passthrough, upstream: p}\n")  \
    "- {name: x, identity: xfcc" TLS ", " x "}\n"                     \
    "- {name: p, " p "}\n"
#define X_OK "endpoints: [\"10.0.0.1:1\"], source_address: [10.7.0.2]"

static void test_rules__source_address__every_rule_refuses(void **state)
{
    static const struct refused cases[] = {
        /* an xfcc upstream says its address */
        {LISTENER(ALL("terminate",
                      "x")) "- {name: x, endpoints: [\"10.0.0.1:1\"], identity: ^xfcc" TLS "}\n",
         "needs an explicit `source_address`"},
        /* so does an upstream of a passthrough route, also when its endpoints look harmless */
        {LISTENER("  - {sni: [x.example], mode: terminate, upstream: x}\n" ALL(
             "passthrough", "p")) "- {name: x, identity: xfcc" TLS ", " X_OK "}\n"
                                  "- ^{name: p, endpoints: [\"192.168.1.1:1\"]}\n",
         "needs an explicit `source_address` for every upstream of a passthrough route"},
        /* also in another listener, and when the xfcc upstream is used by none */
        {PLAIN("") "upstreams:\n"
                   "- ^{name: u, endpoints: [\"10.0.0.1:1\"]}\n"
                   "- {name: x, identity: xfcc" TLS ", " X_OK "}\n",
         "needs an explicit `source_address` for every upstream of a passthrough route"},
        /* another address than the xfcc upstream's */
        {TWO(X_OK, "endpoints: [\"10.0.0.1:1\"], source_address: [^10.7.0.2]"),
         "leave from the address of the xfcc upstream"},
        /* in each family */
        {TWO("endpoints: [\"10.0.0.1:1\", \"[fd00::1]:1\"], source_address: [10.7.0.2, "
             "\"fd00::2\"]",
             "endpoints: [\"10.0.0.1:1\", \"[fd00::1]:1\"], source_address: [10.7.0.3, "
             "^\"fd00:0::2\"]"),
         "leave from the address of the xfcc upstream"},
        {TWO("endpoints: [a.example:1], source_address: [10.7.0.2, \"fd00::2\"]",
             "endpoints: [a.example:1], source_address: [^\"::ffff:10.7.0.2\", ^\"fd00::2\"]"),
         "leave from the address of the xfcc upstream"},
        /* no endpoint of a family without a source, where the kernel would choose */
        {TWO(X_OK, "endpoints: [\"10.0.0.1:1\", ^\"[fd00::1]:1\"], source_address: [10.7.0.3]"),
         "is an IPv6 address"},
        {TWO(X_OK, "endpoints: [^\"10.0.0.1:1\", ^\"[::ffff:10.0.0.2]:1\"], source_address: "
                   "[\"fd00::3\"]"),
         "is an IPv4 address"},
        {TWO("endpoints: [^\"[fd00::1]:1\"], source_address: [10.7.0.2]",
             "endpoints: [a.example:1], source_address: [10.7.0.3]"),
         "is an IPv6 address"},
        /* at most one of a family */
        {TWO("endpoints: [\"10.0.0.1:1\"], source_address: [10.7.0.2, ^10.7.0.4]",
             "endpoints: [a.example:1], source_address: [10.7.0.3]"),
         "second IPv4 address"},
        {TWO(X_OK, "endpoints: [\"10.0.0.1:1\"], source_address: [10.7.0.3, ^\"::ffff:10.7.0.4\"]"),
         "second IPv4 address"},
        {TWO(X_OK, "endpoints: [\"[fd00::1]:1\"], source_address: [\"fd00::3\", ^\"fd00::4\"]"),
         "second IPv6 address"},
        /* nor does passthrough leave from loopback */
        {TWO(X_OK, "endpoints: [a.example:1], source_address: [^127.0.0.3, ^\"::1\"]"),
         "must not leave from loopback"},
        {TWO(X_OK, "endpoints: [a.example:1], source_address: [^\"::ffff:127.9.0.3\"]"),
         "must not leave from loopback"},
        /* the xfcc upstream itself is not for passthrough */
        {LISTENER(ALL("passthrough", "^x")) "- {name: x, identity: xfcc" TLS ", " X_OK "}\n",
         "would let any VM write the header"},
        {LISTENER("  - {sni: [x.example], mode: terminate, upstream: x}\n" ALL(
             "passthrough", "^x")) "- {name: x, identity: xfcc" TLS ", " X_OK "}\n",
         "would let any VM write the header"},
    };
    REFUSE_ALL(state, cases);
}

static void test_rules__source_address__no_passthrough_to_loopback(void **state)
{
    static const char *const hosts[] = {
        "127.0.0.1:1",          "127.8.9.10:1",       "[::1]:1",     "0.0.0.0:1",   "[::]:1",
        "[::ffff:127.0.0.1]:1", "[::ffff:0.0.0.0]:1", "localhost:1", "LocalHost:1", "localhost.:1",
        "istiod.localhost:1",   "a.b.localhost.:1",   NULL};
    for (const char *const *host = hosts; *host != NULL; host++) {
        char text[2048];
        (void)snprintf(text, sizeof(text), TWO("%s", "%s^\"%s\"%s"), X_OK, "endpoints: [", *host,
                       "], source_address: [10.7.0.3, \"fd00::3\"]");
        fixture_refuse(*state, text, "must not reach loopback");
    }
}

static void test_rules__source_address__unusable_addresses(void **state)
{
    static const char *const sources[] = {
        "0.0.0.0",          "0.1.2.3",   "224.0.0.1",   "239.1.1.1",  "240.0.0.1",
        "255.255.255.255",  "::",        "ff02::1",     "fe80::1",    "::ffff:0.0.0.0",
        "::ffff:224.0.0.1", "10.7.0",    "10.7.0.3/32", "10.7.0.3:0", "[fd00::3]",
        "host.example",     "010.7.0.3", "0x0a070003",  NULL};
    for (const char *const *s = sources; *s != NULL; s++) {
        char text[2048];
        (void)snprintf(text, sizeof(text),
                       TWO("%s", "endpoints: [a.example:1], source_address: [^\"%s\"]"), X_OK, *s);
        fixture_refuse(*state, text, "`source_address`: ");
    }
}

static void test_rules__source_address__safe_files_accepted(void **state)
{
    static const char *const files[] = {
        TWO(X_OK, "endpoints: [\"10.0.0.1:1\"], source_address: [10.7.0.3]"),
        TWO(X_OK, "endpoints: [a.example:1], source_address: [\"fd00::3\"]"),
        TWO("endpoints: [localhost:1], source_address: [127.0.0.2]",
            "endpoints: [notlocalhost:1], source_address: [10.7.0.3]"),
        /* who only terminates and forwards tokens needs no address */
        LISTENER("  - {sni: [x.example], mode: terminate, upstream: x}\n" ALL(
            "terminate", "f")) "- {name: x, identity: xfcc" TLS ", " X_OK "}\n"
                               "- {name: f, endpoints: [\"127.0.0.1:1\", \"[::1]:1\"]" TLS "}\n"
                               "- {name: unused, endpoints: [localhost:1]}\n",
        /* without xfcc there is nothing to protect */
        PLAIN("") "upstreams:\n- {name: u, endpoints: [\"127.0.0.1:1\", \"[::1]:1\"], "
                  "source_address: [127.0.0.2]}\n",
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct config *c = fixture_accept(*state, files[i]);
        config_free(&c);
    }
}

/* ---- routes and listeners ---- */

static void test_rules__terminate__needs_what_it_needs(void **state)
{
    static const char terminating[] = "version: 1\n"
                                      "listeners:\n"
                                      "- {name: a, bind: [127.0.0.1:1], routes: [{sni: [\"*\"], "
                                      "mode: ^^^terminate, upstream: u}]}\n" UPSTREAM(TLS);
    static const struct refused cases[] = {
        {terminating, "listener's `tls`"},
        {LISTENER("  - {sni: [\"*\"], mode: terminate, upstream: ^u}\n") "- {name: u, endpoints: "
                                                                         "[a:1]}\n",
         "needs TLS to its upstream"},
        {LISTENER(
             "  - {sni: [\"*\"], mode: terminate, upstream: ^u}\n") "- {name: u, endpoints: [a:1], "
                                                                    "proxy_protocol: v2" TLS "}\n",
         "works with passthrough only"},
        {PLAIN(", anonymous: ^allow, methods: ^[\"*\"], headers: ^all") UPSTREAM(""),
         "no meaning with `mode: passthrough`"},
        {PLAIN("") UPSTREAM(", identity: ^xfcc, source_address: [10.7.0.2]"),
         "needs the upstream's `tls`"},
    };
    fixture_refuse(*state, cases[0].text, cases[0].what);
    for (size_t i = 1; i < 4; i++) {
        fixture_refuse(*state, cases[i].text, cases[i].what);
    }
    fixture_refuse(*state,
                   "version: 1\nlisteners:\n- {name: a, bind: [127.0.0.1:1], routes: [{sni: "
                   "[\"*\"], mode: passthrough, upstream: "
                   "v}]}\nupstreams:\n- {name: u, endpoints: [a:1], identity: ^xfcc, "
                   "source_address: [10.7.0.2]}\n"
                   "- {name: v, endpoints: [a:1], source_address: [10.7.0.3]}\n",
                   cases[4].what);
}

#define ITEM(more) "- {name: u, endpoints: [\"10.0.0.1:1\"]" more "}\n"

static void test_rules__token__needs_tls_and_kubernetes(void **state)
{
    static const struct refused cases[] = {
        {LISTENER(ALL("terminate", "u")) ITEM(TLS ", identity: ^token"),
         "needs `kubernetes` at the top"},
        {PLAIN("") UPSTREAM(", identity: ^token") "kubernetes: {}\n",
         "`identity: token` needs the upstream's `tls`"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture_refuse(*state, cases[i].text, cases[i].what);
    }
}

static void test_rules__token__cluster_id_goes_to_its_upstreams(void **state)
{
    static const char text[] =
        LISTENER(ALL("terminate", "u")) ITEM(TLS ", identity: token") "- {name: v, endpoints: "
                                                                      "[\"10.0.0.1:1\"]}\n"
                                                                      "kubernetes: {cluster_id: "
                                                                      "edge-1}\n";
    struct config *c = fixture_accept(*state, text);

    assert_true(c->kubernetes.on);
    assert_null(c->kubernetes.kubeconfig);
    assert_int_equal(c->upstreams[0].opts.identity, UPSTREAM_TOKEN);
    assert_string_equal(c->upstreams[0].opts.cluster_id, "edge-1");
    assert_null(c->upstreams[1].opts.cluster_id);
    config_free(&c);
}

static void test_rules__istio_namespace__is_where_the_endpoints_are_unless_it_is_said(void **state)
{
#define IN_MESH ", discovery: {kubernetes: {namespace: mesh}}"
    static const char *const rows[][2] = {
        {PLAIN("") UPSTREAM("") "kubernetes: {}\n", "istio-system"},
        {PLAIN("") "upstreams:\n- {name: u" IN_MESH "}\nkubernetes: {}\n", "mesh"},
        {PLAIN("") "upstreams:\n- {name: u" IN_MESH "}\nkubernetes: {istio_namespace: other}\n",
         "other"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config *c = fixture_accept(*state, rows[i][0]);
        assert_string_equal(c->kubernetes.istio_namespace, rows[i][1]);
        assert_false(c->kubernetes.follow_roots);
        config_free(&c);
    }
}

/* ---- discovery ---- */

#define ONE(what) PLAIN("") "upstreams:\n- {name: u" what "}\nkubernetes: {}\n"
#define SERVICE(what) ONE(", discovery: {kubernetes: {" what "}}")

static void test_rules__discovery__is_istiods_service_by_default(void **state)
{
    struct config *c = fixture_accept(*state, SERVICE(""));
    const struct upstream_opts *o = &c->upstreams[0].opts;

    assert_int_equal(o->n_endpoints, 0);
    assert_true(o->discovery.on);
    assert_string_equal(o->discovery.service, "istiod");
    assert_string_equal(o->discovery.ns, "istio-system");
    assert_string_equal(o->discovery.port, "15012");
    assert_int_equal(o->discovery.addresses, UPSTREAM_PODS);
    assert_int_equal(o->discovery.node_address, UPSTREAM_INTERNAL_IP);
    config_free(&c);
}

static void test_rules__discovery__port_by_name(void **state)
{
    struct config *c = fixture_accept(*state, SERVICE("port: https-dns"));

    assert_string_equal(c->upstreams[0].opts.discovery.port, "https-dns");
    config_free(&c);
}

static void test_rules__discovery__or_endpoints_and_needs_kubernetes(void **state)
{
    static const struct refused cases[] = {
        {PLAIN("") "upstreams:\n- ^{name: u}\n", "needs the key `endpoints`"},
        {ONE(", endpoints: [\"a:1\"], discovery: ^{kubernetes: {}}"), "leave one of the two out"},
        {PLAIN("") "upstreams:\n- {name: u, discovery: ^{kubernetes: {}}}\n",
         "`discovery` needs `kubernetes` at the top"},
        {ONE(", discovery: ^{}"), "needs the key `kubernetes`"},
        {ONE(", discovery: ^[a]"), "must be a mapping"},
        {ONE(", discovery: {kubernetes: ^istiod}"), "must be a mapping"},
        {SERVICE("^selector: a"), "unknown key"},
        {SERVICE("node_address: ^ExternalIP"), "add `addresses: nodes`"},
        {SERVICE("node_address: ^ExternalIP, addresses: pods"), "add `addresses: nodes`"},
        {SERVICE("node_address: ^external, addresses: nodes"), "write InternalIP or ExternalIP"},
        {SERVICE("addresses: ^services"), "write pods or nodes"},
    };
    REFUSE_ALL(state, cases);
}

static void test_rules__discovery__names_that_cannot_be(void **state)
{
    static const char *const values[] = {"service: ^Istiod",
                                         "service: ^a/b",
                                         "service: ^\"..\"",
                                         "service: ^5",
                                         "service: ^istiod.x",
                                         "namespace: ^a?b",
                                         "namespace: ^\"\"",
                                         "namespace: ^[a]",
                                         "port: ^0",
                                         "port: ^65536",
                                         "port: ^-1",
                                         "port: ^015012",
                                         "port: ^\"15012\"",
                                         "port: ^15012.0",
                                         "port: ^true",
                                         "port: ^~",
                                         "port: ^HTTPS",
                                         "port: ^sixteen-letters-",
                                         "port: ^a-name-too-long-",
                                         "port: ^\"a\\0\"",
                                         "port: ^[15012]",
                                         NULL};

    for (const char *const *v = values; *v != NULL; v++) {
        char text[1024];
        (void)snprintf(text, sizeof(text), SERVICE("%s"), *v);
        fixture_refuse(*state, text, "`");
    }
}

static void test_rules__names__unique_and_known(void **state)
{
    static const struct refused cases[] = {
        {PLAIN("") "upstreams:\n- {name: u, endpoints: [a:1]}\n- {name: ^u, endpoints: [b:1]}\n",
         "already used on line 5"},
        {"version: 1\nlisteners:\n"
         "- {name: a, bind: [127.0.0.1:1], routes: [{sni: [\"*\"], mode: passthrough, upstream: "
         "u}]}\n"
         "- {name: ^a, bind: [127.0.0.1:2], routes: [{sni: [\"*\"], mode: passthrough, upstream: "
         "u}]}\n" UPSTREAM(""),
         "already used on line 3"},
        {"version: 1\nlisteners:\n"
         "- {name: a, bind: [127.0.0.1:1], routes: [{sni: [\"*\"], mode: passthrough, upstream: "
         "^v}]}\n" UPSTREAM(""),
         "there is no upstream \"v\""},
        {PLAIN("") "upstreams:\n- {name: u, endpoints: [\"a:1\", \"b:1\", ^\"A:1\"]}\n", "twice"},
    };
    REFUSE_ALL(state, cases);
}

static void test_rules__addresses__bound_once(void **state)
{
    static const struct refused cases[] = {
        {"version: 1\nlisteners:\n"
         "- {name: a, bind: [\"[::1]:1\", ^\"[0::1]:1\"], routes: [{sni: [\"*\"], mode: "
         "passthrough, upstream: u}]}\n" UPSTREAM(""),
         "already used on line 3"},
        {"version: 1\nlisteners:\n"
         "- {name: a, bind: [127.0.0.1:1], routes: [{sni: [\"*\"], mode: passthrough, upstream: "
         "u}]}\n"
         "- {name: b, bind: [127.0.0.1:2, ^127.0.0.1:1], routes: [{sni: [\"*\"], mode: "
         "passthrough, upstream: u}]}\n" UPSTREAM(""),
         "already used on line 3"},
        {PLAIN("") UPSTREAM("") "admin: {bind: ^127.0.0.1:1}\n", "already used on line 3"},
        {PLAIN("") UPSTREAM("") "admin: {bind: 127.0.0.1:2}\nmetrics: {bind: ^127.0.0.1:2}\n",
         "already used on line 6"},
    };
    REFUSE_ALL(state, cases);
}

static void test_rules__admin__remote_only_when_written(void **state)
{
    static const struct refused cases[] = {
        {PLAIN("") UPSTREAM("") "admin: {bind: ^10.0.0.1:2}\n", "allow_remote: true"},
        {PLAIN("") UPSTREAM("") "admin: {bind: ^0.0.0.0:2}\n", "allow_remote: true"},
        {PLAIN("") UPSTREAM("") "admin: {bind: ^\"[::]:2\", allow_remote: false}\n",
         "allow_remote: true"},
        {PLAIN("") UPSTREAM("") "admin: {socket_mode: ^\"0660\"}\n", "without `socket`"},
    };
    REFUSE_ALL(state, cases);
    static const char *const accepted[] = {
        PLAIN("") UPSTREAM("") "admin: {bind: 10.0.0.1:2, allow_remote: true}\n",
        PLAIN("") UPSTREAM("") "admin: {bind: \"[::1]:2\"}\n",
        PLAIN("") UPSTREAM("") "admin: {bind: 127.0.0.9:2}\nmetrics: {bind: 0.0.0.0:2}\n",
    };
    for (size_t i = 0; i < 3; i++) {
        struct config *c = fixture_accept(*state, accepted[i]);
        config_free(&c);
    }
}

#define ROUTE(from, sni) "  - {" from "sni: [" sni "], mode: passthrough, upstream: u}\n"
#define NEVER(from, sni) "  - ^{" from "sni: [" sni "], mode: passthrough, upstream: u}\n"
#define ROUTES(routes) \
    "version: 1\nlisteners:\n- name: a\n  bind: [127.0.0.1:1]\n  routes:\n" routes UPSTREAM("")

static void test_rules__routes__that_never_match(void **state)
{
    static const struct refused cases[] = {
        {ROUTES(ROUTE("", "\"*\"") NEVER("", "a.b")),
         "the route on line 6 already takes all of it"},
        {ROUTES(ROUTE("", "\"*\"") NEVER("from: [10.0.0.0/8], ", "\"*\"")), "can never match"},
        {ROUTES(ROUTE("", "\"*.b\"") NEVER("", "a.b, x.y.B, \"*.a.b\", \"*.b\"")),
         "can never match"},
        {ROUTES(ROUTE("", "a") ROUTE("", "b") NEVER("", "a, b")), "the route on line 7"},
        {ROUTES(ROUTE("from: [10.0.0.0/8], ", "\"*\"")
                    NEVER("from: [10.1.0.0/16, 10.2.3.4], ", "a")),
         "can never match"},
        {ROUTES(ROUTE("from: [0.0.0.0/0, \"::/0\"], ", "a") NEVER("", "a")), "can never match"},
    };
    REFUSE_ALL(state, cases);
    static const char *const accepted[] = {
        ROUTES(ROUTE("", "\"*.b\"") ROUTE("", "b") ROUTE("", "\"*\"")),
        ROUTES(ROUTE("", "\"*.b\"") ROUTE("", "a.b, c") ROUTE("", "xb")),
        ROUTES(ROUTE("from: [10.0.0.0/8], ", "\"*\"") ROUTE("from: [10.0.0.0/7], ", "\"*\"")
                   ROUTE("", "\"*\"")),
        ROUTES(ROUTE("from: [0.0.0.0/0], ", "\"*\"") ROUTE("", "a")),
        ROUTES(ROUTE("from: [10.0.0.0/8], ", "a") ROUTE("from: [\"fd00::/8\"], ", "a")),
    };
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        struct config *c = fixture_accept(*state, accepted[i]);
        config_free(&c);
    }
}

/* ---- single values ---- */

static void test_rules__values__of_a_route(void **state)
{
    static const struct refused cases[] = {
        {LISTENER(
             "  - {sni: [\"*\"], mode: ^pass, upstream: u}\n") "- {name: u, endpoints: [a:1]}\n",
         "write passthrough or terminate"},
        {PLAIN(", from: [^10.0.0.1/8]") UPSTREAM(""), "no bit behind the prefix"},
        {PLAIN(", from: [^host]") UPSTREAM(""), "is no network"},
        {PLAIN(", from: ^[]") UPSTREAM(""), "is empty"},
        {ROUTES(ROUTE("", "^\"*foo\"")), "is no host name"},
        {ROUTES(ROUTE("", "^\"a..b\"")), "is no host name"},
        {ROUTES(ROUTE("", "^\"*.*.b\"")), "is no host name"},
        {ROUTES(ROUTE("", "^\"a.\"")), "is no host name"},
        {ROUTES(ROUTE("", "^\"10.0.0.1\"")), "is no host name"},
        {ROUTES(ROUTE("", "a, ^A")), "twice"},
        {LISTENER(
             "  - {sni: [a], mode: terminate, upstream: u, methods: [/a/b, ^\"*\"]}\n") "- {name: "
                                                                                        "u, "
                                                                                        "endpoints:"
                                                                                        " [a:1]" TLS
                                                                                        "}\n",
         "alone"},
        {LISTENER("  - {sni: [a], mode: terminate, upstream: u, methods: [^a/b, ^/a, ^/a/, ^//b, "
                  "^/a/b/c, ^/a/b.c]}\n") "- {name: u, endpoints: [a:1]" TLS "}\n",
         "is no gRPC method"},
        {LISTENER("  - {sni: [a], mode: terminate, upstream: u, headers: ^[x-a]}\n") "- {name: u, "
                                                                                     "endpoints: "
                                                                                     "[a:1]" TLS
                                                                                     "}\n",
         "[agent, x-extra]"},
        {LISTENER("  - {sni: [a], mode: terminate, upstream: u, headers: [agent, ^X-A, ^\":path\", "
                  "^\"a b\", ^all, ^te, "
                  "^authorization, ^x-forwarded-client-cert]}\n") "- {name: u, endpoints: [a:1]" TLS
                                                                  "}\n",
         "in lower case"},
        {LISTENER("  - {sni: [a], mode: terminate, upstream: u, headers: ^none}\n") "- {name: u, "
                                                                                    "endpoints: "
                                                                                    "[a:1]" TLS
                                                                                    "}\n",
         "write agent or all"},
    };
    REFUSE_ALL(state, cases);
}

static void test_rules__values__of_listener_and_upstream(void **state)
{
    static const struct refused cases[] = {
        {"version: 1\nlisteners:\n- {name: ^a b, bind: [^127.0.0.1, ^\"127.0.0.1:0\", ^host:1, "
         "^\"::1:1\"], routes: [{sni: [\"*\"], "
         "mode: passthrough, upstream: u}]}\n" UPSTREAM(""),
         "is no name"},
        {"version: 1\ntrust_domain: ^Cluster.local\nlisteners:\n- {name: a, bind: [127.0.0.1:1], "
         "trust_domain: ^a/b, vm_identities: "
         "[^ns/istio-system/sa/*, ^ns/kube-system/sa/a, ^ns/vms, ^\"ns/v*/sa/a\", "
         "^spiffe://a/ns/b/sa/c], routes: [{sni: [\"*\"], "
         "mode: passthrough, upstream: u}]}\n" UPSTREAM(""),
         "is no trust domain"},
        {PLAIN("") "upstreams:\n- {name: u, endpoints: [^a, ^\"a:0\", ^\"a:65536\", ^\":1\", ^\"a "
                   "b:1\", ^\"::1:1\", ^\"a:b\"]}\n",
         "is not HOST:PORT"},
        {PLAIN("") "upstreams:\n- {name: u, endpoints: [^\"127.1:1\", ^\"2130706433:1\", "
                   "^\"0x7f000001:1\", ^\"10.0.0.256:1\", "
                   "^\"a.0x:1\", ^\"[fe80::1%nosuch]:1\", ^\"-a:1\", ^\"a..:1\"]}\n",
         "is not HOST:PORT"},
        {PLAIN("") UPSTREAM(", identity: ^tokens"), "write forward, xfcc or token"},
        {PLAIN("") UPSTREAM("") "kubernetes: {cluster_id: ^\"a b\", kubeconfig: ^[a]}\n",
         "is no cluster ID"},
        {PLAIN("") UPSTREAM("") "kubernetes: {istio_namespace: ^a/b, follow_roots: ^yes}\n",
         "is no namespace"},
        {PLAIN("") UPSTREAM("") "kubernetes: {context: ^mesh}\n", "add `kubeconfig`"},
        {PLAIN("") UPSTREAM("") "kubernetes: {^token: x}\n", "token"},
        {PLAIN("") UPSTREAM("") "kubernetes: {kubeconfig: ^@/none}\n", "none"},
        {PLAIN("") UPSTREAM("") "kubernetes: {kubeconfig: ^@/text.pem}\n", "text.pem"},
        {PLAIN("") UPSTREAM("") "kubernetes: {kubeconfig: ^@/kubeconfig, context: other}\n",
         "other"},
        {PLAIN("") UPSTREAM(
             ", proxy_protocol: ^v1, max_new_streams_per_second: ^none, token_audiences: ^[]"),
         "write off or v2"},
        {PLAIN("") UPSTREAM(", tls: {server_name: ^10.0.0.1, roots: ^[@/root.pem, @/root.pem]}"),
         "is no host name"},
        {PLAIN("") UPSTREAM(", tls: ^{}"), "needs the key `server_name`"},
        {PLAIN("") UPSTREAM("") "admin: {socket: a, socket_mode: ^0660}\n", "write \"0660\""},
        {PLAIN("") UPSTREAM("") "admin: {socket: a, socket_mode: ^\"0680\"}\n", "write \"0660\""},
        {PLAIN("") UPSTREAM("") "log: {level: ^warn, format: ^xml, file: ^5}\n",
         "debug, info, warning or error"},
        {PLAIN("") UPSTREAM("") "admin: {allow_remote: ^yes}\n", "takes true or false"},
        {PLAIN("") UPSTREAM("") "log: {file: ^\"a\\nb\"}\n", "control characters"},
        {PLAIN("") UPSTREAM("") "log: {file: ^@/none/log}\n",
         "/none/log\" cannot be written: No such file"},
        {PLAIN("") UPSTREAM("") "log: {file: ^@}\n", "cannot be written: Is a directory"},
        {PLAIN("") UPSTREAM("") "log: {file: ^@/text.pem/log}\n", "Not a directory"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (strstr(cases[i].text, "tls: ^{}") == NULL) {
            fixture_refuse(*state, cases[i].text, cases[i].what);
        }
    }
    fixture_refuse(*state, PLAIN("") UPSTREAM(", tls: ^^{}"), "needs the key `server_name`");
}

static void test_rules__version__is_one(void **state)
{
    static const char file[] = PLAIN("") UPSTREAM("");
    const char *after_version = strchr(file, '\n');
    static const char *const versions[] = {"2", "\"1\"", "1.0", "true", "[1]", "01", "~", NULL};
    for (const char *const *v = versions; *v != NULL; v++) {
        char text[1024];
        (void)snprintf(text, sizeof(text), "version: ^%s%s", *v, after_version);
        fixture_refuse(*state, text, "must be the number 1");
    }
}

/* ---- files ---- */

#define FILES(pairs, roots)                                      \
    "version: 1\n"                                               \
    "trust_domain: cluster.local\n"                              \
    "listeners:\n"                                               \
    "- name: a\n"                                                \
    "  bind: [127.0.0.1:1]\n"                                    \
    "  vm_identities: [ns/vms/sa/*]\n"                           \
    "  routes: [{sni: [\"*\"], mode: terminate, upstream: u}]\n" \
    "  tls:\n"                                                   \
    "    certificates:\n" pairs "    client_roots:\n" roots      \
    UPSTREAM(TLS)
#define PAIR "    - certificate: @/tls.crt\n      private_key: @/tls.key\n"
#define ROOT "    - @/root.pem\n"

static void test_rules__files__blamed_where_they_are_named(void **state)
{
    static const struct refused cases[] = {
        {FILES(PAIR "    - certificate: ^@/none.crt\n      private_key: ^@/none.key\n",
               ROOT "    - ^@/none.pem\n"),
         "cannot be opened"},
        {FILES(PAIR "    - certificate: @/tls.crt\n      private_key: ^@/other.key\n", ROOT),
         "does not belong to the certificate"},
        {FILES("    - certificate: ^@/text.pem\n      private_key: @/tls.key\n", ROOT),
         "has no PEM certificate"},
        {FILES("    - certificate: @/tls.crt\n      private_key: ^@/text.pem\n" PAIR,
               "    - ^@/text.pem\n" ROOT),
         "private key"},
        {FILES("    - certificate: ^@\n      private_key: @/tls.key\n", ROOT),
         "not a regular file"},
        {PLAIN("") UPSTREAM(", tls: {server_name: a, roots: [^@/none.pem]}"), "cannot be opened"},
        {PLAIN("") UPSTREAM(", tls: {server_name: a, roots: [^@/tls.key]}"), "tls.key\" "},
    };
    REFUSE_ALL(state, cases);
}

/* ---- many errors in one file ---- */

static void test_rules__many_mistakes__all_reported_once_in_order(void **state)
{
    fixture_refuse(*state,
                   "version: ^2\n"
                   "listeners:\n"
                   "- ^nam: a\n"
                   "  bind: ^127.0.0.1:1\n"
                   "  routes:\n"
                   "  - sni: [^5]\n"
                   "    mode: passthrough\n"
                   "    upstream: ^v\n"
                   "    ^colour: red\n"
                   "  - ^upstream: u\n"
                   "    mode: passthrough\n"
                   "upstreams:\n"
                   "- name: u\n"
                   "  endpoints: [^10.0.0.1]\n"
                   "  ^name: u\n"
                   "workers: ^0\n",
                   "must be the number 1");
}

static void test_rules__misspelt_key__no_second_error(void **state)
{
    fixture_refuse(
        *state,
        LISTENER(
            "  - {sni: [a], mode: terminate, upstream: x}\n") "- {name: x, endpoints: "
                                                              "[\"10.0.0.1:1\"], identity: xfcc" TLS
                                                              ", ^source_adress: [10.7.0.2]}\n",
        "did you mean `source_address`?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules__source_address__every_rule_refuses),
        cmocka_unit_test(test_rules__source_address__no_passthrough_to_loopback),
        cmocka_unit_test(test_rules__source_address__unusable_addresses),
        cmocka_unit_test(test_rules__source_address__safe_files_accepted),
        cmocka_unit_test(test_rules__terminate__needs_what_it_needs),
        cmocka_unit_test(test_rules__token__needs_tls_and_kubernetes),
        cmocka_unit_test(test_rules__token__cluster_id_goes_to_its_upstreams),
        cmocka_unit_test(test_rules__istio_namespace__is_where_the_endpoints_are_unless_it_is_said),
        cmocka_unit_test(test_rules__discovery__is_istiods_service_by_default),
        cmocka_unit_test(test_rules__discovery__port_by_name),
        cmocka_unit_test(test_rules__discovery__or_endpoints_and_needs_kubernetes),
        cmocka_unit_test(test_rules__discovery__names_that_cannot_be),
        cmocka_unit_test(test_rules__names__unique_and_known),
        cmocka_unit_test(test_rules__addresses__bound_once),
        cmocka_unit_test(test_rules__admin__remote_only_when_written),
        cmocka_unit_test(test_rules__routes__that_never_match),
        cmocka_unit_test(test_rules__values__of_a_route),
        cmocka_unit_test(test_rules__values__of_listener_and_upstream),
        cmocka_unit_test(test_rules__version__is_one),
        cmocka_unit_test(test_rules__files__blamed_where_they_are_named),
        cmocka_unit_test(test_rules__many_mistakes__all_reported_once_in_order),
        cmocka_unit_test(test_rules__misspelt_key__no_second_error),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
