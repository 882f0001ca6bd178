/* SPDX-License-Identifier: Apache-2.0 */
/* Kubeconfigs good and bad, pods, and files that change. The PEM texts are not real ones: what is
 * in them is looked at by OpenSSL, when it is used. */
#include "kube/access.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kube/access_internal.h"
#include "tests/support/pki.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* -----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n */
#define CERT_TEXT "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
#define CERT_DATA "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
#define KEY_TEXT "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
#define KEY_DATA "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCkFBQUEKLS0tLS1FTkQgUFJJVkFURSBLRVktLS0tLQo="
#define LOCKED_KEY_DATA                                                                        \
    "LS0tLS1CRUdJTiBFTkNSWVBURUQgUFJJVkFURSBLRVktLS0tLQpBQUFBCi0tLS0tRU5EIEVOQ1JZUFRFRCBQUklW" \
    "QVRFIEtFWS0tLS0tCg=="
#define SECRET "s3cret-s3cret"

struct fixture {
    char folder[64];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    snprintf(f->folder, sizeof(f->folder), "/tmp/xdsgate-access-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    unsetenv("KUBECONFIG");
    unsetenv("KUBERNETES_SERVICE_HOST");
    unsetenv("KUBERNETES_SERVICE_PORT");
    setenv("HOME", f->folder, 1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"config",     "token", "ca.crt",    "client.crt",
                                        "client.key", "new",   "namespace", ".kube/config"};
    struct fixture *f = *state;
    char path[128];

    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", f->folder, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/.kube", f->folder);
    rmdir(path);
    rmdir(f->folder);
    free(f);
    return 0;
}

static const char *in_folder(const struct fixture *f, const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    return path;
}

static void write_file(const struct fixture *f, const char *name, const char *text)
{
    pki_write_text(in_folder(f, name), text);
}

/* As Kubernetes and careful people do it: a new file in place of the old one. */
static void replace_file(const struct fixture *f, const char *name, const char *text)
{
    char from[128];

    write_file(f, "new", text);
    snprintf(from, sizeof(from), "%s", in_folder(f, "new"));
    assert_int_equal(rename(from, in_folder(f, name)), 0);
}

/* A kubeconfig with these lines in the cluster and in the user. */
static const char *make_config(const char *cluster, const char *user)
{
    static char text[8192];

    snprintf(text, sizeof(text),
             "apiVersion: v1\n"
             "kind: Config\n"
             "current-context: dev\n"
             "contexts:\n"
             "- name: other\n"
             "  context: {cluster: elsewhere, user: web}\n"
             "- name: dev\n"
             "  context: {cluster: lab, user: web, namespace: vms}\n"
             "clusters:\n"
             "- name: lab\n"
             "  cluster:\n"
             "    %s\n"
             "users:\n"
             "- name: web\n"
             "  user:\n"
             "    %s\n",
             cluster, user);
    return text;
}

static enum rc read_config(const char *text, struct kube_error *err, struct kube_access **out)
{
    return kube_access_from_text("/x/config", text, strlen(text), NULL, err, out);
}

#define CLUSTER "{server: 'https://10.0.0.1:6443', certificate-authority-data: " CERT_DATA "}"
#define USER "{token: " SECRET "}"

/* ---- good ones ---- */

static void test_access__token_and_ca_as_data__all_of_it(void **state)
{
    struct kube_error err;
    struct kube_access *a = NULL;
    (void)state;

    assert_int_equal(read_config(make_config(CLUSTER, USER), &err, &a), RC_OK);

    assert_string_equal(kube_access_server(a), "https://10.0.0.1:6443");
    assert_string_equal(kube_access_namespace(a), "vms");
    assert_string_equal(kube_access_origin(a), "/x/config: contexts[dev]");
    assert_string_equal(a->token.data, SECRET);
    assert_string_equal(a->authority.data, CERT_TEXT);
    assert_null(a->certificate.data);
    assert_null(a->tls_name);
    assert_null(a->proxy);
    kube_access_free(&a);
    assert_null(a);
}

static void test_access__certificate_name_and_proxy__all_of_it(void **state)
{
    struct kube_error err;
    struct kube_access *a = NULL;
    (void)state;

    assert_int_equal(read_config(make_config("{server: 'https://[fd00::1]/k8s/clusters/c-1/', "
                                             "tls-server-name: kubernetes, "
                                             "insecure-skip-tls-verify: false, "
                                             "proxy-url: 'socks5://10.0.0.9:1080'}",
                                             "{client-certificate-data: " CERT_DATA
                                             ", client-key-data: " KEY_DATA ", username: ''}"),
                                 &err, &a),
                     RC_OK);

    assert_string_equal(kube_access_server(a), "https://[fd00::1]:443/k8s/clusters/c-1");
    assert_string_equal(a->tls_name, "kubernetes");
    assert_string_equal(a->proxy, "socks5://10.0.0.9:1080");
    assert_string_equal(a->certificate.data, CERT_TEXT);
    assert_string_equal(a->key.data, KEY_TEXT);
    kube_access_free(&a);
}

static void test_access__relative_files__are_beside_the_kubeconfig(void **state)
{
    struct fixture *f = *state;
    struct kube_error err;
    struct kube_access *a = NULL;
    write_file(f, "ca.crt", CERT_TEXT);
    write_file(f, "client.crt", CERT_TEXT);
    write_file(f, "client.key", KEY_TEXT);
    write_file(f, "token", "  " SECRET "\n");
    write_file(f, "config",
               make_config("{server: 'https://k:6443', certificate-authority: ca.crt}",
                           "{client-certificate: client.crt, client-key: ./client.key, "
                           "tokenFile: token, token: old}"));

    assert_int_equal(kube_access_from_file(in_folder(f, "config"), NULL, &err, &a), RC_OK);

    assert_string_equal(a->token.data, SECRET);
    assert_string_equal(a->authority.data, CERT_TEXT);
    assert_string_equal(a->key.data, KEY_TEXT);
    kube_access_free(&a);
}

static void test_access__json__is_yaml_too(void **state)
{
    static const char text[] =
        "{\"current-context\": \"a\", \"contexts\": [{\"name\": \"a\", \"context\": {\"cluster\": "
        "\"b\", \"user\": \"c\"}}], \"clusters\": [{\"name\": \"b\", \"cluster\": {\"server\": "
        "\"https://k\"}}], \"users\": [{\"name\": \"c\", \"user\": {\"token\": \"t\"}}]}";
    struct kube_error err;
    struct kube_access *a = NULL;
    (void)state;

    assert_int_equal(read_config(text, &err, &a), RC_OK);

    assert_string_equal(kube_access_namespace(a), "default");
    kube_access_free(&a);
}

/* ---- bad ones ---- */

static void test_access__bad_kubeconfigs__say_file_key_and_cure(void **state)
{
    static const struct {
        const char *cluster;
        const char *user;
        const char *expected; /* a part of the error */
    } rows[] = {
        {"{server: 'http://10.0.0.1:8080'}", USER, "https://"},
        {"{server: '10.0.0.1:6443'}", USER, "server: it must begin with https://"},
        {"{server: 'https://me:pw@10.0.0.1'}", USER, "port"},
        {"{server: 'https://10.0.0.1:0'}", USER, "port"},
        {"{server: 'https://10.0.0.1:65536'}", USER, "port"},
        {"{server: 'https://10.0.0.1?x'}", USER, "HOST"},
        {"{server: 'https://[::1'}", USER, "HOST"},
        {"{server: 'https://[10.0.0.1]'}", USER, "HOST"},
        {"{server: 'https://h/a b'}", USER, "path"},
        {"{server: 'https://'}", USER, "HOST"},
        {"{server: [1]}", USER, "/x/config: clusters[lab].server: a text is expected"},
        {"{namespace: x}", USER, "/x/config: clusters[lab] has no server"},
        {"{server: 'https://k', insecure-skip-tls-verify: true}", USER,
         "certificate-authority-data"},
        {"{server: 'https://k', insecure-skip-tls-verify: 'true'}", USER,
         "certificate-authority-data"},
        {"{server: 'https://k', certificate-authority-data: '%%%%'}", USER,
         "/x/config: clusters[lab].certificate-authority-data is not base64"},
        {"{server: 'https://k', certificate-authority-data: AAAA}", USER,
         "certificate-authority-data is no certificate in PEM"},
        {"{server: 'https://k', certificate-authority-data: " KEY_DATA "}", USER,
         "is no certificate in PEM"},
        {"{server: 'https://k', certificate-authority: gone.crt}", USER,
         "/x/config: clusters[lab].certificate-authority: cannot read /x/gone.crt: No such file"},
        {"{server: 'https://k', tls-server-name: 'a b'}", USER, "tls-server-name"},
        {"{server: 'https://k', proxy-url: 'ftp://x'}", USER, "proxy-url must begin with"},
        {CLUSTER, "{}", "neither a token nor a certificate"},
        {CLUSTER, "{token: 'two words'}", "/x/config: users[web].token is no token"},
        {CLUSTER, "{token: \"a\\nb\"}", "users[web].token is no token"},
        {CLUSTER, "{token: 17}", "users[web].token: a text is expected"},
        {CLUSTER, "{tokenFile: gone}", "users[web].tokenFile: cannot read /x/gone"},
        {CLUSTER, "{client-certificate-data: " CERT_DATA "}", "belong together"},
        {CLUSTER, "{client-key-data: " KEY_DATA "}", "belong together"},
        {CLUSTER, "{client-certificate-data: " CERT_DATA ", client-key-data: " CERT_DATA "}",
         "client-key-data is no private key in PEM"},
        {CLUSTER, "{client-certificate-data: " CERT_DATA ", client-key-data: " LOCKED_KEY_DATA "}",
         "passphrase"},
        {CLUSTER, "{exec: {command: aws}}", "/x/config: users[web].exec: plug-ins are not run"},
        {CLUSTER, "{exec: {command: aws}, token: t}", "kubectl create token"},
        {CLUSTER, "{auth-provider: {name: gcp}}", "auth-provider"},
        {CLUSTER, "{username: me, password: " SECRET "}", "passwords"},
        {CLUSTER, "{token: t, as: root}", "users[web].as: acting as somebody else"},
        {CLUSTER, "{token: t, as-groups: [a]}", "as-groups"},
        {"[]", USER, "/x/config: clusters[lab] has no cluster"},
        {CLUSTER, "x", "/x/config: users[web] has no user"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kube_error err = {""};
        struct kube_access *a = NULL;
        enum rc rc = read_config(make_config(rows[i].cluster, rows[i].user), &err, &a);
        if (rc == RC_OK || a != NULL || strstr(err.text, rows[i].expected) == NULL ||
            strstr(err.text, SECRET) != NULL || strstr(err.text, "pw") != NULL) {
            fail_msg("row %zu: %d \"%s\", expected \"%s\"", i, (int)rc, err.text, rows[i].expected);
        }
    }
}

static void test_access__no_kubeconfig_at_all__says_where(void **state)
{
    static const char *const rows[][2] = {
        {"", "/x/config:"},
        {"a: [", "/x/config:"},
        {"a: 1\na: 2\n", "/x/config:2:"},
        {"[]", "/x/config: this is no kubeconfig"},
        {"just text", "/x/config: this is no kubeconfig"},
        {"kind: Config", "/x/config has no current-context"},
        {"current-context: a\ncontexts: []", "/x/config: contexts has no \"a\""},
        {"current-context: a\ncontexts: {a: 1}", "/x/config: contexts has no \"a\""},
        {"current-context: a\ncontexts: [{name: a, context: {user: b}}]",
         "/x/config: contexts[a] names no cluster"},
        {"current-context: a\ncontexts: [{name: a, context: {user: b, cluster: c}}]",
         "/x/config: clusters has no \"c\""},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kube_error err = {""};
        struct kube_access *a = NULL;
        enum rc rc = read_config(rows[i][0], &err, &a);
        if (rc != RC_INVALID || strstr(err.text, rows[i][1]) != err.text) {
            fail_msg("row %zu: %d \"%s\"", i, (int)rc, err.text);
        }
    }
}

static void test_access__another_context__is_looked_for(void **state)
{
    const char *text = make_config(CLUSTER, USER);
    struct kube_error err;
    struct kube_access *a = NULL;
    (void)state;

    assert_int_equal(kube_access_from_text("c", text, strlen(text), "other", &err, &a), RC_INVALID);
    assert_string_equal(err.text, "c: clusters has no \"elsewhere\"");
    assert_int_equal(kube_access_from_text("c", text, strlen(text), "no\n", &err, &a), RC_INVALID);
    assert_string_equal(err.text, "c: contexts has no \"no?\"");
}

static void test_access__every_cut_of_a_kubeconfig__an_error_or_an_access(void **state)
{
    const char *text = make_config(CLUSTER, USER);
    size_t whole = strlen(text);
    (void)state;

    for (size_t n = 0; n <= whole; n++) {
        char *copy = malloc(n > 0 ? n : 1);
        struct kube_error err = {""};
        struct kube_access *a = NULL;
        memcpy(copy, text, n);
        enum rc rc = kube_access_from_text("c", copy, n, NULL, &err, &a);
        assert_int_equal(rc == RC_OK, a != NULL);
        assert_int_equal(rc == RC_OK, err.text[0] == '\0');
        kube_access_free(&a);
        free(copy);
    }
}

static void test_access__file_too_large__is_refused(void **state)
{
    struct fixture *f = *state;
    struct kube_error err;
    struct kube_access *a = NULL;
    write_file(f, "config", "#");
    assert_int_equal(truncate(in_folder(f, "config"), KUBE_CONFIG_MAX_BYTES + 1), 0);

    assert_int_equal(kube_access_from_file(in_folder(f, "config"), NULL, &err, &a), RC_FULL);

    assert_non_null(strstr(err.text, "is larger than 1048576 bytes"));
}

/* Reading one would wait for its writer, for ever. */
static void test_access__pipe_as_a_file__is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    struct kube_error err;
    struct kube_access *a = NULL;
    assert_int_equal(mkfifo(in_folder(f, "config"), 0600), 0);

    assert_int_equal(kube_access_from_file(in_folder(f, "config"), NULL, &err, &a), RC_INVALID);

    assert_non_null(strstr(err.text, "it is not a regular file"));
}

static void *write_pipe(void *path)
{
    FILE *pipe = fopen(path, "we");

    assert_non_null(pipe);
    (void)fputs(make_config(CLUSTER, USER), pipe);
    (void)fclose(pipe);
    return NULL;
}

static void test_find__pipe_on_the_command_line__is_waited_for(void **state)
{
    struct fixture *f = *state;
    char *path = strdup(in_folder(f, "config"));
    struct kube_error err = {.text = ""};
    struct kube_access *a = NULL;
    pthread_t writer;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_pipe, path), 0);

    if (kube_access_find(path, NULL, &err, &a) != RC_OK) {
        fail_msg("%s", err.text);
    }

    assert_int_equal(pthread_join(writer, NULL), 0);
    kube_access_free(&a);
    free(path);
}

/* ---- where to look ---- */

static void test_find__nothing__says_what_was_tried(void **state)
{
    struct kube_error err;
    struct kube_access *a = NULL;
    (void)state;

    assert_int_equal(kube_access_find(NULL, NULL, &err, &a), RC_NOT_FOUND);

    assert_non_null(strstr(err.text, "$KUBECONFIG"));
}

static void test_find__the_named_file_then_the_variable_then_home(void **state)
{
    struct fixture *f = *state;
    struct kube_error err;
    struct kube_access *a = NULL;
    assert_int_equal(mkdir(in_folder(f, ".kube"), 0700), 0);
    write_file(f, ".kube/config", make_config("{server: 'https://home'}", USER));
    write_file(f, "config", make_config("{server: 'https://variable'}", USER));
    write_file(f, "new", make_config("{server: 'https://named'}", USER));

    assert_int_equal(kube_access_find(NULL, NULL, &err, &a), RC_OK);
    assert_string_equal(kube_access_server(a), "https://home:443");
    kube_access_free(&a);
    setenv("KUBECONFIG", in_folder(f, "config"), 1);
    assert_int_equal(kube_access_find(NULL, NULL, &err, &a), RC_OK);
    assert_string_equal(kube_access_server(a), "https://variable:443");
    kube_access_free(&a);
    assert_int_equal(kube_access_find(in_folder(f, "new"), NULL, &err, &a), RC_OK);
    assert_string_equal(kube_access_server(a), "https://named:443");
    kube_access_free(&a);
}

static void test_find__several_files_in_the_variable__says_how_to_make_them_one(void **state)
{
    struct kube_error err;
    struct kube_access *a = NULL;
    (void)state;
    setenv("KUBECONFIG", "/a:/b", 1);

    assert_int_equal(kube_access_find(NULL, NULL, &err, &a), RC_INVALID);

    assert_non_null(strstr(err.text, "--flatten"));
}

/* ---- pods ---- */

static void set_pod(const struct fixture *f, const char *host, const char *port)
{
    write_file(f, "token", SECRET "\n");
    write_file(f, "ca.crt", CERT_TEXT);
    write_file(f, "namespace", "istio-system\n");
    setenv("KUBERNETES_SERVICE_HOST", host, 1);
    setenv("KUBERNETES_SERVICE_PORT", port, 1);
}

static void test_pod__service_account__all_of_it(void **state)
{
    struct fixture *f = *state;
    struct kube_error err;
    struct kube_access *a = NULL;
    set_pod(f, "10.96.0.1", "443");

    assert_int_equal(kube_access_in_pod(f->folder, &err, &a), RC_OK);

    assert_string_equal(kube_access_server(a), "https://10.96.0.1:443");
    assert_string_equal(kube_access_namespace(a), "istio-system");
    assert_string_equal(a->token.data, SECRET);
    kube_access_free(&a);
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    assert_int_equal(kube_access_in_pod(f->folder, &err, &a), RC_OK);
    assert_string_equal(kube_access_server(a), "https://[fd00::1]:443");
    kube_access_free(&a);
}

static void test_pod__no_variables_or_no_files__says_so(void **state)
{
    struct fixture *f = *state;
    struct kube_error err;
    struct kube_access *a = NULL;

    assert_int_equal(kube_access_in_pod(f->folder, &err, &a), RC_NOT_FOUND);
    assert_non_null(strstr(err.text, "KUBERNETES_SERVICE_HOST"));
    set_pod(f, "10.96.0.1", "none");
    assert_int_equal(kube_access_in_pod(f->folder, &err, &a), RC_INVALID);
    assert_non_null(strstr(err.text, "port"));
    unlink(in_folder(f, "ca.crt"));
    assert_int_equal(kube_access_in_pod(f->folder, &err, &a), RC_NOT_FOUND);
    assert_non_null(strstr(err.text, "service account: cannot read"));
    assert_non_null(strstr(err.text, "ca.crt"));
}

/* ---- files that change ---- */

static void test_refresh__another_token__another_generation(void **state)
{
    struct fixture *f = *state;
    struct kube_error err;
    struct kube_access *a = NULL;
    set_pod(f, "10.96.0.1", "443");
    assert_int_equal(kube_access_in_pod(f->folder, &err, &a), RC_OK);
    uint64_t first = kube_access_generation(a);

    assert_int_equal(kube_access_refresh(a, &err), RC_OK);
    assert_int_equal(kube_access_generation(a), first);
    replace_file(f, "token", SECRET "\n");
    assert_int_equal(kube_access_refresh(a, &err), RC_OK);
    assert_int_equal(kube_access_generation(a), first);
    replace_file(f, "token", "another\n");
    assert_int_equal(kube_access_refresh(a, &err), RC_OK);
    assert_int_not_equal(kube_access_generation(a), first);
    assert_string_equal(a->token.data, "another");
    kube_access_free(&a);
}

static void test_refresh__file_gone_or_broken__the_old_stays_the_others_are_read(void **state)
{
    struct fixture *f = *state;
    struct kube_error err;
    struct kube_access *a = NULL;
    set_pod(f, "10.96.0.1", "443");
    assert_int_equal(kube_access_in_pod(f->folder, &err, &a), RC_OK);

    replace_file(f, "ca.crt", "broken");
    replace_file(f, "token", "another\n");
    assert_int_equal(kube_access_refresh(a, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "ca.crt is no certificate in PEM"));
    assert_string_equal(a->authority.data, CERT_TEXT);
    assert_string_equal(a->token.data, "another");
    unlink(in_folder(f, "ca.crt"));
    assert_int_equal(kube_access_refresh(a, &err), RC_NOT_FOUND);
    assert_string_equal(a->authority.data, CERT_TEXT);
    write_file(f, "ca.crt", CERT_TEXT);
    assert_int_equal(kube_access_refresh(a, &err), RC_OK);
    kube_access_free(&a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_access__token_and_ca_as_data__all_of_it),
        TEST(test_access__certificate_name_and_proxy__all_of_it),
        TEST(test_access__relative_files__are_beside_the_kubeconfig),
        TEST(test_access__json__is_yaml_too),
        TEST(test_access__bad_kubeconfigs__say_file_key_and_cure),
        TEST(test_access__no_kubeconfig_at_all__says_where),
        TEST(test_access__another_context__is_looked_for),
        TEST(test_access__every_cut_of_a_kubeconfig__an_error_or_an_access),
        TEST(test_access__file_too_large__is_refused),
        TEST(test_access__pipe_as_a_file__is_refused_at_once),
        TEST(test_find__pipe_on_the_command_line__is_waited_for),
        TEST(test_find__nothing__says_what_was_tried),
        TEST(test_find__the_named_file_then_the_variable_then_home),
        TEST(test_find__several_files_in_the_variable__says_how_to_make_them_one),
        TEST(test_pod__service_account__all_of_it),
        TEST(test_pod__no_variables_or_no_files__says_so),
        TEST(test_refresh__another_token__another_generation),
        TEST(test_refresh__file_gone_or_broken__the_old_stays_the_others_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
