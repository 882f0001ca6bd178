/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle's inputs for tests. Include after cmocka.h. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "bootstrap/render.h"

#define ROOT_PEM "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
#define MESH "defaultConfig: {discoveryAddress: 'istiod.istio-system.svc:15012'}\ntrustDomain: td\n"
#define GROUP                                                   \
    "apiVersion: networking.istio.io/v1\nkind: WorkloadGroup\n" \
    "metadata: {name: vm, namespace: vms}\nspec:\n  template: {serviceAccount: sa}\n"

static inline json_t *yaml_of(const char *text)
{
    struct doc_error err = {.line = 0};
    json_t *v = NULL;
    if (doc_parse_yaml(text, strlen(text), &err, &v) != RC_OK) {
        print_error("%u:%u: %s in\n%s\n", err.line, err.column, err.text, text);
    }
    assert_non_null(v);
    return v;
}

/** Options with every needed input; free mesh_config and workload_group with free_opts(). */
static inline struct bundle_opts opts_of(const char *group, const char *mesh)
{
    return (struct bundle_opts){
        .workload_group = yaml_of(group),
        .mesh_config = yaml_of(mesh),
        .root_cert = ROOT_PEM,
        .token = "the.secret.token",
        .istio_namespace = "istio-system",
        .gateways = {"192.0.2.1"},
        .n_gateways = 1,
        .dns_capture = true,
    };
}

static inline void free_opts(struct bundle_opts *o)
{
    json_decref((json_t *)(uintptr_t)o->workload_group);
    json_decref((json_t *)(uintptr_t)o->mesh_config);
}

/** The bundle must be refused for this reason, and stay empty. */
static inline void refuse_opts(const struct bundle_opts *o, const char *what)
{
    char why[300] = "";
    struct bundle b;
    bundle_init(&b);
    enum rc rc = bundle_render(o, &b, why, sizeof(why));
    if (rc != RC_INVALID || strstr(why, what) == NULL) {
        print_error("expected: %s\nsaid: %s\n", what, why);
    }
    assert_int_equal(rc, RC_INVALID);
    assert_non_null(strstr(why, what));
    assert_null(strstr(why, "secret"));
    assert_int_equal(b.n, 0);
    bundle_fini(&b);
}

/** The bundle must be made; the caller frees it. */
static inline void accept_opts(const struct bundle_opts *o, struct bundle *b)
{
    char why[300] = "x";
    bundle_init(b);
    enum rc rc = bundle_render(o, b, why, sizeof(why));
    if (rc != RC_OK) {
        print_error("said: %s\n", why);
    }
    assert_int_equal(rc, RC_OK);
    assert_string_equal(why, "");
}
