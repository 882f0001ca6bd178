/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles beside those of the real istioctl: golden/CASE/case.yaml in, golden/CASE/expected out.
 * golden/regenerate.py makes them anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>

#include <cmocka.h>

#include "bootstrap/render.h"

/* Owned by the caller; NULL: there is no such file. */
static char *read_file(const char *name, const char *file)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s/%s", GOLDEN_DIR, name, file);
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        return NULL;
    }
    char *text = calloc(1, 65536);
    assert_non_null(text);
    assert_in_range(fread(text, 1, 65535, f), 0, 65534);
    assert_int_equal(fclose(f), 0);
    return text;
}

static json_t *read_yaml(const char *text)
{
    struct doc_error err = {.line = 0};
    json_t *v = NULL;
    if (doc_parse_yaml(text, strlen(text), &err, &v) != RC_OK) {
        print_error("%u:%u: %s in\n%s", err.line, err.column, err.text, text);
        fail();
    }
    return v;
}

static bool option_on(const json_t *options, const char *name, bool otherwise)
{
    const json_t *v = json_object_get(options, name);
    return v == NULL ? otherwise : json_is_true(v);
}

static void render_case(const char *name, const json_t *c, struct bundle *b)
{
    char why[300];
    const json_t *options = json_object_get(c, "options");
    char *root = read_file("", "root-cert.pem");
    const char *gateway = doc_text(options, "gateway", NULL);
    json_t *mesh = read_yaml(doc_text(c, "mesh", NULL));
    json_t *group = read_yaml(doc_text(c, "group", NULL));
    struct bundle_opts o = {
        .workload_group = group,
        .mesh_config = mesh,
        .injector_values = json_object_get(c, "injector"),
        .root_cert = root,
        .token = "a.token.of-istio",
        .revision = doc_text(options, "revision", NULL),
        .istio_namespace = "istio-system",
        .cluster_id = doc_text(options, "clusterID", NULL),
        .internal_ip = doc_text(options, "internalIP", NULL),
        .external_ip = doc_text(options, "externalIP", NULL),
        .gateways = {gateway != NULL ? gateway : "192.0.2.1"},
        .n_gateways = 1,
        .autoregister = option_on(options, "autoregister", false),
        .dns_capture = option_on(options, "captureDNS", true),
    };
    enum rc rc = bundle_render(&o, b, why, sizeof(why));
    if (rc != RC_OK) {
        print_error("%s: %s\n", name, why);
    }
    assert_int_equal(rc, RC_OK);
    json_decref(mesh);
    json_decref(group);
    free(root);
}

static void assert_same_text(const char *name, const char *file, const char *ours,
                             const char *theirs)
{
    if (strcmp(ours, theirs) != 0) {
        print_error("%s/%s: ours:\n%s\nistioctl's:\n%s\n", name, file, ours, theirs);
    }
    assert_string_equal(ours, theirs);
}

static int compare_numbers(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* istioctl writes ports in Go's random order of maps: puts the numbers of that line in order. */
static void sort_inbound_ports(char *env)
{
    int numbers[16];
    size_t n = 0;
    char *line = strstr(env, "ISTIO_INBOUND_PORTS='");
    assert_non_null(line);
    char *at = line + strlen("ISTIO_INBOUND_PORTS='");
    for (char *s = at; *s >= '0' && *s <= '9' && n < 16;) {
        numbers[n++] = (int)strtol(s, &s, 10);
        s += *s == ',';
    }
    qsort(numbers, n, sizeof(numbers[0]), compare_numbers);
    for (size_t i = 0; i < n; i++) {
        char text[16];
        int len = snprintf(text, sizeof(text), "%s%d", i > 0 ? "," : "", numbers[i]);
        for (int j = 0; j < len; j++) {
            *at++ = text[j];
        }
    }
}

static void compare_documents(const char *name, const char *ours, const char *theirs)
{
    json_t *a = read_yaml(ours);
    json_t *b = read_yaml(theirs);
    if (json_equal(a, b) != 1) {
        print_error("%s/mesh.yaml: ours:\n%s\nistioctl's:\n%s\n", name, ours, theirs);
    }
    assert_int_equal(json_equal(a, b), 1);
    json_decref(a);
    json_decref(b);
}

static void compare_file(const char *name, const json_t *c, const struct bundle_file *f)
{
    char path[64];
    const char *said = doc_text(c, "ours", f->name, NULL);
    (void)snprintf(path, sizeof(path), "expected/%s", f->name);
    char *theirs = read_file(name, path);
    assert_non_null(theirs);
    if (said != NULL) {
        assert_string_not_equal(said, theirs);
        assert_same_text(name, f->name, f->data, said);
    } else if (strcmp(f->name, BUNDLE_MESH) == 0) {
        compare_documents(name, f->data, theirs);
    } else if (strcmp(f->name, BUNDLE_ENV) == 0) {
        sort_inbound_ports(f->data);
        sort_inbound_ports(theirs);
        assert_same_text(name, f->name, f->data, theirs);
    } else {
        assert_same_text(name, f->name, f->data, theirs);
    }
    free(theirs);
}

static void compare_case(const char *name)
{
    static const char *const order[] = {BUNDLE_MESH, BUNDLE_ENV, BUNDLE_ROOT, BUNDLE_TOKEN,
                                        BUNDLE_HOSTS};
    struct bundle b;
    char *text = read_file(name, "case.yaml");
    assert_non_null(text);
    json_t *c = read_yaml(text);
    bundle_init(&b);
    render_case(name, c, &b);
    assert_int_equal(b.n, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(b.files[i].name, order[i]);
        assert_int_equal(b.files[i].mode, i == 3 ? 0600 : 0644);
        assert_int_equal(strlen(b.files[i].data), b.files[i].n);
        compare_file(name, c, &b.files[i]);
    }
    bundle_fini(&b);
    json_decref(c);
    free(text);
}

static void test_bundle__each_case__equals_istioctl(void **state)
{
    size_t n = 0;
    DIR *dir = opendir(GOLDEN_DIR);
    (void)state;
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (strchr(e->d_name, '.') == NULL) {
            compare_case(e->d_name);
            n++;
        }
    }
    assert_int_equal(closedir(dir), 0);
    assert_in_range(n, 25, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bundle__each_case__equals_istioctl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
