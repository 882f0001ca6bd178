/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/formats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/certs/ca_fixture.h"

#define NOW INT64_C(1800000000)
#define MESH "defaultConfig: {}\n"
#define ENV "ISTIO_NAMESPACE=vms\n"
#define HOSTS "10.0.0.5 istiod.istio-system.svc\n"
#define TOKEN "aGVhZGVy.Y2xhaW1z.c2ln"

static const struct format_opts opts = {.title = "web in vms", .now_s = NOW};

static struct ca_fixture *fixture(void **state)
{
    return *state;
}

/* A bundle whose file `name` has this content, or is missing when that is NULL. */
static struct bundle make_bundle(void **state, const char *name, const char *content)
{
    const struct ca_fixture *f = fixture(state);
    struct cert_bytes root = ca_fixture_pem_of(f, &f->root);
    char pem[4096];
    snprintf(pem, sizeof(pem), "%.*s", (int)root.n, (const char *)root.data);
    cert_bytes_fini(&root);
    const char *const files[][2] = {{BUNDLE_MESH, MESH},
                                    {BUNDLE_ENV, ENV},
                                    {BUNDLE_ROOT, pem},
                                    {BUNDLE_TOKEN, TOKEN},
                                    {BUNDLE_HOSTS, HOSTS}};
    struct bundle b;
    bundle_init(&b);

    for (size_t i = 0; i < 5; i++) {
        const char *text = name != NULL && strcmp(files[i][0], name) == 0 ? content : files[i][1];
        if (text != NULL) {
            mode_t mode = strcmp(files[i][0], BUNDLE_TOKEN) == 0 ? 0600 : 0644;
            assert_int_equal(bundle_add(&b, files[i][0], text, strlen(text), mode), RC_OK);
        }
    }
    return b;
}

/* Render; the text with a final NUL, owned. NULL: refused, and why says it. */
static char *render(enum bundle_format f, struct bundle *b, const struct format_opts *o,
                    char why[FORMAT_WHY_BYTES], size_t *n)
{
    struct text t;
    char *copy = NULL;

    text_init(&t);
    enum rc rc = format_render(f, b, o, &t, why, FORMAT_WHY_BYTES);
    if (rc == RC_OK) {
        copy = calloc(1, t.n + 1);
        memcpy(copy, t.data, t.n);
        *n = t.n;
    } else {
        assert_int_equal(rc, RC_INVALID);
    }
    text_fini(&t);
    bundle_fini(b);
    return copy;
}

static char *render_good(enum bundle_format f, struct bundle b, const struct format_opts *o)
{
    char why[FORMAT_WHY_BYTES] = "";
    size_t n = 0;
    char *text = render(f, &b, o, why, &n);

    assert_string_equal(why, "");
    assert_non_null(text);
    return text;
}

static void expect_refused(struct bundle b, const char *said)
{
    static const enum bundle_format all[] = {FORMAT_TAR, FORMAT_SCRIPT, FORMAT_CLOUD_INIT,
                                             FORMAT_ANSIBLE};
    char why[FORMAT_WHY_BYTES];
    struct text t;

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        why[0] = '\0';
        text_init(&t);
        assert_int_equal(format_render(all[i], &b, &opts, &t, why, sizeof(why)), RC_INVALID);
        assert_non_null(strstr(why, said));
        text_fini(&t);
    }
    why[0] = '\0';
    assert_int_equal(format_write(FORMAT_DIR, &b, &opts, "nowhere/at/all", why, sizeof(why)),
                     RC_INVALID);
    assert_non_null(strstr(why, said));
    bundle_fini(&b);
}

static void test_formats__names__as_on_the_command_line(void **state)
{
    (void)state;

    assert_string_equal(format_name(FORMAT_DIR), "dir");
    assert_string_equal(format_name(FORMAT_TAR), "tar");
    assert_string_equal(format_name(FORMAT_SCRIPT), "script");
    assert_string_equal(format_name(FORMAT_CLOUD_INIT), "cloud-init");
    assert_string_equal(format_name(FORMAT_ANSIBLE), "ansible");
}

static void test_formats__file_missing__refused_by_name(void **state)
{
    expect_refused(make_bundle(state, BUNDLE_MESH, NULL), "mesh.yaml: missing");
    expect_refused(make_bundle(state, BUNDLE_ENV, NULL), "cluster.env: missing");
    expect_refused(make_bundle(state, BUNDLE_ROOT, NULL), "root-cert.pem: missing");
    expect_refused(make_bundle(state, BUNDLE_HOSTS, NULL), "hosts: missing");
}

static void test_formats__no_token__is_fine(void **state)
{
    char *script = render_good(FORMAT_SCRIPT, make_bundle(state, BUNDLE_TOKEN, NULL), &opts);

    assert_null(strstr(script, "istio-token) cat"));
    free(script);
}

static void test_formats__unknown_file__refused(void **state)
{
    struct bundle b = make_bundle(state, NULL, NULL);
    assert_int_equal(bundle_add(&b, "other", "x", 1, 0644), RC_OK);

    expect_refused(b, "other: not a file of a bundle");
}

static void test_formats__token_of_several_lines_or_odd_bytes__refused(void **state)
{
    static const char *const bad[] = {"", "\n", "a\nb", "a b", "a\n\n", "\ta", "a\x7f", "\xc3\xa4"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        expect_refused(make_bundle(state, BUNDLE_TOKEN, bad[i]), "istio-token: not one word");
    }
}

static void test_formats__token_with_a_last_newline__is_fine(void **state)
{
    free(render_good(FORMAT_SCRIPT, make_bundle(state, BUNDLE_TOKEN, TOKEN "\n"), &opts));
}

static void test_formats__hosts__needs_a_line_with_an_address(void **state)
{
    expect_refused(make_bundle(state, BUNDLE_HOSTS, ""), "hosts: names no gateway");
    expect_refused(make_bundle(state, BUNDLE_HOSTS, "\n # 10.0.0.5 x\n"), "hosts: names no");
    free(render_good(FORMAT_SCRIPT, make_bundle(state, BUNDLE_HOSTS, "# x\n  ::1 x"), &opts));
}

static void test_formats__roots__are_certificates_and_no_key(void **state)
{
    const struct ca_fixture *f = fixture(state);
    struct cert_bytes key = ca_fixture_key_of(f, &f->root, NULL);
    char text[4096];
    snprintf(text, sizeof(text), "%.*s", (int)key.n, (const char *)key.data);
    cert_bytes_fini(&key);

    expect_refused(make_bundle(state, BUNDLE_ROOT, "nothing"), "root-cert.pem has neither");
    expect_refused(make_bundle(state, BUNDLE_ROOT, ""), "root-cert.pem");
    expect_refused(make_bundle(state, BUNDLE_ROOT, text), "root-cert.pem has a private key");

    struct cert_bytes root = ca_fixture_pem_of(f, &f->root);
    snprintf(text, sizeof(text),
             "%.*s-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
             (int)root.n, (const char *)root.data);
    cert_bytes_fini(&root);
    expect_refused(make_bundle(state, BUNDLE_ROOT, text), "root-cert.pem has a private key");
}

static void test_formats__root_of_the_gateway__may_be_there_and_is_certificates(void **state)
{
    struct bundle b = make_bundle(state, NULL, NULL);
    const struct bundle_file *root = bundle_find(&b, BUNDLE_ROOT);
    assert_int_equal(bundle_add(&b, BUNDLE_GATEWAY_ROOT, root->data, root->n, 0644), RC_OK);
    char *script = render_good(FORMAT_SCRIPT, b, &opts);
    assert_non_null(strstr(script, "    gateway-root.pem) cat"));
    free(script);

    b = make_bundle(state, NULL, NULL);
    assert_int_equal(bundle_add(&b, BUNDLE_GATEWAY_ROOT, "nothing", 7, 0644), RC_OK);
    expect_refused(b, "gateway-root.pem has neither");
}

/* A number of a header. */
static unsigned long octal(const char *field, size_t n)
{
    char text[16] = "";
    memcpy(text, field, n);
    return strtoul(text, NULL, 8);
}

static void test_tar__first_header__as_posix_has_it(void **state)
{
    struct bundle b = make_bundle(state, NULL, NULL);
    char why[FORMAT_WHY_BYTES];
    size_t n = 0;
    char *tar = render(FORMAT_TAR, &b, &opts, why, &n);
    assert_non_null(tar);

    assert_int_equal(n % 10240, 0);
    assert_string_equal(tar, "mesh.yaml");
    assert_int_equal(octal(tar + 100, 8), 0644);
    assert_int_equal(octal(tar + 124, 12), strlen(MESH));
    assert_int_equal(octal(tar + 136, 12), NOW);
    assert_memory_equal(tar + 257,
                        "ustar\0"
                        "00",
                        8);
    unsigned long sum = 8 * ' ';
    for (size_t i = 0; i < 512; i++) {
        sum += i >= 148 && i < 156 ? 0 : (unsigned char)tar[i];
    }
    assert_int_equal(octal(tar + 148, 8), sum);
    assert_memory_equal(tar + 512, MESH, strlen(MESH));
    assert_string_equal(tar + 1024, "cluster.env");
    free(tar);
}

static void test_script__title_with_odd_characters__they_become_question_marks(void **state)
{
    const struct format_opts odd = {.title = "a'; rm -rf /\n\"$(x)`{{y}}\xc3", .now_s = NOW};
    char *script = render_good(FORMAT_SCRIPT, make_bundle(state, NULL, NULL), &odd);
    char *playbook = render_good(FORMAT_ANSIBLE, make_bundle(state, NULL, NULL), &odd);

    assert_non_null(strstr(script, "\nbundle_title='a\?\? rm -rf /\?\?\?\?x\?\?\?\?y\?\?\?'\n"));
    assert_non_null(strstr(playbook, "mesh: a\?\? rm -rf /\?\?\?\?x\?\?\?\?y\?\?\?\"\n"));
    free(script);
    free(playbook);
}

static void test_script__dates__of_the_roots_and_the_token(void **state)
{
    /* {"exp":1900000000} */
    const char *token = "e30.eyJleHAiOjE5MDAwMDAwMDB9.c2ln\n";
    char *script = render_good(FORMAT_SCRIPT, make_bundle(state, BUNDLE_TOKEN, token), &opts);
    char *other = render_good(FORMAT_SCRIPT, make_bundle(state, NULL, NULL), &opts);

    assert_non_null(strstr(script, "\nbundle_created=1800000000\n"));
    assert_non_null(strstr(script, "\nbundle_token_until=1900000000\n"));
    assert_non_null(strstr(other, "\nbundle_token_until=0\n"));
    const char *from = strstr(script, "\nbundle_roots_from=");
    const char *until = strstr(script, "\nbundle_roots_until=");
    assert_non_null(from);
    assert_non_null(until);
    long long first = strtoll(strchr(from, '=') + 1, NULL, 10);
    long long last = strtoll(strchr(until, '=') + 1, NULL, 10);
    assert_true(first > 1600000000 && last > first);
    free(script);
    free(other);
}

/* ---- a renewal ---- */

static const struct format_renewal of_web = {.account = "/ns/vms/sa/web"};
static const struct format_opts renewal = {.title = "web in vms", .now_s = NOW, .renewal = &of_web};

/* Token and roots, but for `name`, which has this content, or is missing when that is NULL. */
static struct bundle make_renewal(void **state, const char *name, const char *content)
{
    struct bundle all = make_bundle(state, name, content);
    struct bundle b;

    bundle_init(&b);
    for (size_t i = 0; i < all.n; i++) {
        const struct bundle_file *f = &all.files[i];
        bool needed = strcmp(f->name, BUNDLE_TOKEN) == 0 || strcmp(f->name, BUNDLE_ROOT) == 0;
        if (needed || (name != NULL && strcmp(f->name, name) == 0)) {
            assert_int_equal(bundle_add(&b, f->name, f->data, f->n, f->mode), RC_OK);
        }
    }
    bundle_fini(&all);
    return b;
}

static void expect_renewal_refused(struct bundle b, const char *said)
{
    char why[FORMAT_WHY_BYTES] = "";
    size_t n = 0;

    assert_null(render(FORMAT_SCRIPT, &b, &renewal, why, &n));
    assert_string_equal(why, said);
}

static void add_gateway_root(struct bundle *b)
{
    const struct bundle_file *root = bundle_find(b, BUNDLE_ROOT);

    assert_int_equal(bundle_add(b, BUNDLE_GATEWAY_ROOT, root->data, root->n, 0644), RC_OK);
}

static void test_renewal__script__says_whose_and_has_two_files(void **state)
{
    const struct format_renewal odd = {"/ns/vms/sa/web'", "gw.example.com:15012"};
    const struct format_opts o = {.title = "web in vms", .now_s = NOW, .renewal = &odd};
    char *text = render_good(FORMAT_SCRIPT, make_renewal(state, NULL, NULL), &o);

    assert_non_null(strstr(text, "\nbundle_renews='/ns/vms/sa/web?'\n"));
    assert_non_null(strstr(text, "\nbundle_gateway='gw.example.com:15012'\n"));
    assert_non_null(strstr(text, "\nbundle_gateway_roots_from=0\nbundle_gateway_roots_until=0\n"));
    assert_non_null(strstr(text, " istio-token"));
    assert_null(strstr(text, " mesh.yaml) cat"));
    free(text);
}

static void test_renewal__whole_bundle__says_so(void **state)
{
    char *text = render_good(FORMAT_SCRIPT, make_bundle(state, NULL, NULL), &opts);

    assert_non_null(strstr(text, "\nbundle_renews=''\nbundle_gateway=''\n"));
    free(text);
}

/* For VMs that have a certificate. */
static void test_renewal__no_token__roots_only(void **state)
{
    char *text = render_good(FORMAT_SCRIPT, make_renewal(state, BUNDLE_TOKEN, NULL), &renewal);

    assert_null(strstr(text, " istio-token) cat"));
    assert_non_null(strstr(text, " root-cert.pem) cat"));
    free(text);
}

static void test_renewal__root_of_the_gateway__may_be_there_with_its_dates(void **state)
{
    struct bundle b = make_renewal(state, NULL, NULL);
    add_gateway_root(&b);

    char *text = render_good(FORMAT_SCRIPT, b, &renewal);

    assert_non_null(strstr(text, " gateway-root.pem) cat"));
    assert_null(strstr(text, "\nbundle_gateway_roots_from=0\n"));
    assert_null(strstr(text, "\nbundle_gateway_roots_until=0\n"));
    free(text);
}

static void test_renewal__too_little_or_too_much__refused_by_name(void **state)
{
    expect_renewal_refused(make_renewal(state, BUNDLE_ROOT, NULL),
                           "root-cert.pem: missing in the bundle");
    expect_renewal_refused(make_renewal(state, BUNDLE_ENV, ENV), "cluster.env: does not run out");
    struct bundle b = make_renewal(state, NULL, NULL);
    assert_int_equal(bundle_add(&b, BUNDLE_GATEWAY_ROOT, "x", 1, 0644), RC_OK);
    expect_renewal_refused(
        b, "gateway-root.pem has neither a PEM certificate nor a readable private key "
           "in it");
    expect_renewal_refused(make_renewal(state, BUNDLE_TOKEN, "two words"),
                           "istio-token: not one word; was it pasted over several lines?");
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode;
}

static void test_dir__written_twice__files_are_replaced_and_others_stay(void **state)
{
    char folder[PATH_BYTES];
    char path[PATH_BYTES + 16];
    char why[FORMAT_WHY_BYTES] = "";
    snprintf(folder, sizeof(folder), "%s/out", fixture(state)->dir);

    for (int i = 0; i < 2; i++) {
        struct bundle b = make_bundle(state, NULL, NULL);
        enum rc rc = format_write(FORMAT_DIR, &b, &opts, folder, why, sizeof(why));
        assert_int_equal(rc, RC_OK);
        bundle_fini(&b);
        snprintf(path, sizeof(path), "%s/mine", folder);
        pki_write_text(path, "mine");
    }

    assert_int_equal(mode_of(folder), S_IFDIR | 0700);
    assert_int_equal(mode_of(path), S_IFREG | (mode_of(path) & 0777));
    unlink(path);
    static const char *const names[] = {BUNDLE_MESH, BUNDLE_ENV, BUNDLE_ROOT, BUNDLE_TOKEN,
                                        BUNDLE_HOSTS};
    for (size_t i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        bool secret = strcmp(names[i], BUNDLE_TOKEN) == 0;
        assert_int_equal(mode_of(path), S_IFREG | (secret ? 0600 : 0644));
        unlink(path);
    }
    assert_int_equal(rmdir(folder), 0); /* nothing else is left in it */
}

/* cluster.env is run by root on the VM. */
static void test_dir__anybody_may_write_to_it__refused_unless_sticky(void **state)
{
    char folder[PATH_BYTES];
    char why[FORMAT_WHY_BYTES] = "";
    struct bundle b = make_bundle(state, NULL, NULL);
    snprintf(folder, sizeof(folder), "%s/out", fixture(state)->dir);
    assert_int_equal(mkdir(folder, 0700), 0);

    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(format_write(FORMAT_DIR, &b, &opts, folder, why, sizeof(why)), RC_INVALID);
    assert_non_null(strstr(why, "/out: anybody may write to it, and change what is in it: chmod"));
    assert_int_equal(rmdir(folder), 0); /* nothing was written */

    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(chmod(folder, 01777), 0);
    assert_int_equal(format_write(FORMAT_DIR, &b, &opts, folder, why, sizeof(why)), RC_OK);
    for (size_t i = 0; i < b.n; i++) {
        char path[PATH_BYTES + 32];
        snprintf(path, sizeof(path), "%s/%s", folder, b.files[i].name);
        unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
    bundle_fini(&b);
}

static void test_dir__without_a_token_into_a_folder_with_one__refused(void **state)
{
    char folder[PATH_BYTES];
    char token[PATH_BYTES + 16];
    char why[FORMAT_WHY_BYTES] = "";
    struct bundle b = make_bundle(state, BUNDLE_TOKEN, NULL);
    snprintf(folder, sizeof(folder), "%s/out", fixture(state)->dir);
    snprintf(token, sizeof(token), "%s/" BUNDLE_TOKEN, folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    pki_write_text(token, "of an older bundle");

    enum rc rc = format_write(FORMAT_DIR, &b, &opts, folder, why, sizeof(why));

    bundle_fini(&b);
    assert_int_equal(rc, RC_INVALID);
    assert_non_null(strstr(why, "/out/istio-token: is there from an older bundle"));
    unlink(token);
    assert_int_equal(rmdir(folder), 0); /* nothing was written */
}

#define OF_WEB "ISTIO_NAMESPACE='vms'\nSERVICE_ACCOUNT=web\n"
#define OF_GATEWAY OF_WEB "CA_ADDR='gw.example.com:15012'\n"
#define ROOT_LINE "CA_ROOT_CA='" BUNDLE_GATEWAY_ROOT_PATH "'\n"
#define WITH_ROOT OF_GATEWAY ROOT_LINE
#define WITHOUT_CA OF_WEB ROOT_LINE

/* Into a folder whose cluster.env and mesh.yaml are these; NULL: it has none. The reason, "" for
 * none. */
static void renew_folder_of(void **state, const char *env, const char *mesh, const char *gateway,
                            const char *said)
{
    const struct format_renewal r = {"/ns/vms/sa/web", gateway};
    const struct format_opts o = {.title = "web in vms", .now_s = NOW, .renewal = &r};
    static const char *const names[] = {BUNDLE_ROOT, BUNDLE_TOKEN, BUNDLE_GATEWAY_ROOT};
    const char *const older[][2] = {{BUNDLE_ENV, env}, {BUNDLE_MESH, mesh}};
    char folder[PATH_BYTES];
    char path[PATH_BYTES + 32];
    char why[FORMAT_WHY_BYTES] = "";
    struct bundle b = make_renewal(state, NULL, NULL);
    add_gateway_root(&b);
    snprintf(folder, sizeof(folder), "%s/out", fixture(state)->dir);
    assert_int_equal(mkdir(folder, 0700), 0);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, older[i][0]);
        if (older[i][1] != NULL) {
            pki_write_text(path, older[i][1]);
        }
    }

    enum rc rc = format_write(FORMAT_DIR, &b, &o, folder, why, sizeof(why));

    bundle_fini(&b);
    assert_int_equal(rc, said[0] == '\0' ? RC_OK : RC_INVALID);
    if (said[0] != '\0') {
        assert_non_null(strstr(why, said));
        assert_non_null(strstr(why, folder));
    }
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        assert_true((unlink(path) == 0) == (said[0] == '\0'));
    }
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, older[i][0]);
        assert_true((unlink(path) == 0) == (older[i][1] != NULL));
    }
    assert_int_equal(rmdir(folder), 0);
}

static void renew_folder(void **state, const char *env, const char *gateway, const char *said)
{
    renew_folder_of(state, env, NULL, gateway, said);
}

static void test_renewal__folder_of_an_older_bundle__only_where_it_fits(void **state)
{
    renew_folder(state, NULL, "gw.example.com:15012", "");
    renew_folder(state, WITH_ROOT, "gw.example.com:15012", "");
    renew_folder(state, WITH_ROOT, NULL, "");
    renew_folder(state, OF_WEB "XDS_ROOT_CA=" BUNDLE_GATEWAY_ROOT_PATH "\n", NULL, "");
    renew_folder(state, "ISTIO_NAMESPACE=vms\nSERVICE_ACCOUNT=db\n", NULL,
                 ": is for ns/vms/sa/db, but this is for ns/vms/sa/web; write elsewhere");
    renew_folder(
        state, WITH_ROOT, "gw.example.com:15013",
        ": its VMs call gw.example.com:15012, not gw.example.com:15013: another name takes");
    renew_folder(state, OF_WEB, "gw.example.com:15012",
                 ": its VMs call istiod.istio-system.svc:15012, not gw.example.com:15012");
    renew_folder(state, OF_GATEWAY, NULL, ": VMs have no root for the gateway: the first one");
    renew_folder(state, "$(x)\n", NULL, ": line 1: is no KEY=VALUE");
}

static void test_renewal__older_bundle_without_ca_addr__its_mesh_says_what_vms_call(void **state)
{
    static const char istiod[] = "istiod.istio-system.svc:15012";
    static const char mesh[] = "defaultConfig:\n  discoveryAddress: istiod.mesh.svc:31012\n";

    renew_folder_of(state, WITHOUT_CA, NULL, istiod, "");
    renew_folder_of(state, WITHOUT_CA "CA_ADDR=''\n", "defaultConfig: {}\n", istiod, "");
    renew_folder_of(state, WITHOUT_CA, mesh, "istiod.mesh.svc:31012", "");
    renew_folder_of(state, WITHOUT_CA, mesh, istiod, ": its VMs call istiod.mesh.svc:31012, not");
    renew_folder_of(state, WITH_ROOT, mesh, "gw.example.com:15012", "");
    renew_folder_of(state, WITHOUT_CA, "a: [\n", istiod, "/mesh.yaml: line ");
    renew_folder_of(state, WITHOUT_CA, "a: [\n", NULL, "");
}

static void test_write__no_folder_for_it__error_names_the_path(void **state)
{
    char why[FORMAT_WHY_BYTES] = "";
    struct bundle b = make_bundle(state, NULL, NULL);

    assert_int_equal(format_write(FORMAT_TAR, &b, &opts, "/nowhere/x.tar", why, sizeof(why)),
                     RC_SYSTEM);
    assert_string_equal(why, "/nowhere/x.tar: No such file or directory");
    bundle_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats__names__as_on_the_command_line),
        cmocka_unit_test(test_formats__file_missing__refused_by_name),
        cmocka_unit_test(test_formats__no_token__is_fine),
        cmocka_unit_test(test_formats__unknown_file__refused),
        cmocka_unit_test(test_formats__token_of_several_lines_or_odd_bytes__refused),
        cmocka_unit_test(test_formats__token_with_a_last_newline__is_fine),
        cmocka_unit_test(test_formats__hosts__needs_a_line_with_an_address),
        cmocka_unit_test(test_formats__roots__are_certificates_and_no_key),
        cmocka_unit_test(test_formats__root_of_the_gateway__may_be_there_and_is_certificates),
        cmocka_unit_test(test_tar__first_header__as_posix_has_it),
        cmocka_unit_test(test_script__title_with_odd_characters__they_become_question_marks),
        cmocka_unit_test(test_script__dates__of_the_roots_and_the_token),
        cmocka_unit_test(test_renewal__script__says_whose_and_has_two_files),
        cmocka_unit_test(test_renewal__whole_bundle__says_so),
        cmocka_unit_test(test_renewal__no_token__roots_only),
        cmocka_unit_test(test_renewal__root_of_the_gateway__may_be_there_with_its_dates),
        cmocka_unit_test(test_renewal__folder_of_an_older_bundle__only_where_it_fits),
        cmocka_unit_test(test_renewal__older_bundle_without_ca_addr__its_mesh_says_what_vms_call),
        cmocka_unit_test(test_renewal__too_little_or_too_much__refused_by_name),
        cmocka_unit_test(test_dir__written_twice__files_are_replaced_and_others_stay),
        cmocka_unit_test(test_dir__anybody_may_write_to_it__refused_unless_sticky),
        cmocka_unit_test(test_dir__without_a_token_into_a_folder_with_one__refused),
        cmocka_unit_test(test_write__no_folder_for_it__error_names_the_path),
    };
    return cmocka_run_group_tests(tests, ca_fixture_setup, ca_fixture_teardown);
}
