/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target: bundle_render(). The input is YAML: the first document a WorkloadGroup, the second one a
 * mesh config. What is refused has a reason of one line; what is made has all files, an env that is
 * nothing but NAME='...' and a mesh.yaml that can be read.
 */
#include <string.h>

#include "bootstrap/render.h"
#include "core/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends behind the value that begins behind a quote: 'a'"'"'b' is one. */
static const char *skip_value(const char *s)
{
    static const char quote[] = "'\"'\"'";

    for (;;) {
        s = strchr(s, '\'');
        CHECK(s != NULL);
        if (strncmp(s, quote, sizeof(quote) - 1) != 0) {
            return s + 1;
        }
        s += sizeof(quote) - 1;
    }
}

static void check_env(const char *s)
{
    while (*s != '\0') {
        size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
        CHECK(n > 0 && (*s < '0' || *s > '9') && s[n] == '=' && s[n + 1] == '\'');
        s = skip_value(s + n + 2);
        CHECK(*s == '\n');
        s++;
    }
}

static void check_bundle(const struct bundle *b)
{
    struct doc_error err;
    json_t *mesh = NULL;
    const struct bundle_file *f = bundle_find(b, BUNDLE_MESH);

    CHECK(b->n == 5 && doc_parse_yaml(f->data, f->n, &err, &mesh) == RC_OK);
    CHECK(json_is_object(doc_at(mesh, "defaultConfig", "proxyMetadata", NULL)));
    json_decref(mesh);
    f = bundle_find(b, BUNDLE_ENV);
    CHECK(strlen(f->data) == f->n);
    check_env(f->data);
}

static void render(const json_t *group, const json_t *mesh)
{
    char why[200];
    struct bundle b;
    struct bundle_opts o = {.workload_group = group,
                            .mesh_config = mesh,
                            .root_cert = "-----BEGIN CERTIFICATE-----",
                            .token = "t",
                            .istio_namespace = "istio-system",
                            .gateways = {"192.0.2.1"},
                            .n_gateways = 1,
                            .autoregister = true,
                            .dns_capture = true};

    bundle_init(&b);
    enum rc rc = bundle_render(&o, &b, why, sizeof(why));
    CHECK(rc == RC_OK ? why[0] == '\0' : rc == RC_INVALID && why[0] != '\0');
    CHECK(strpbrk(why, "\n\r\t") == NULL);
    if (rc == RC_OK) {
        check_bundle(&b);
    }
    bundle_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct doc_error err;
    json_t *all = NULL;

    if (doc_parse_yaml_all((const char *)data, size, &err, &all) != RC_OK) {
        return 0;
    }
    if (json_array_size(all) == 2) {
        render(json_array_get(all, 0), json_array_get(all, 1));
    }
    json_decref(all);
    return 0;
}
