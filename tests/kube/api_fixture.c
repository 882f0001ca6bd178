/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/kube/api_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Shorter than the defaults, long enough for a busy machine. */
static const struct kube_opts patient = {.connect_timeout_ms = 30000, .call_timeout_ms = 30000};

static const char *in_folder(const struct api_fixture *f, const char *name, char *out, size_t size)
{
    snprintf(out, size, "%s/%s", f->folder, name);
    return out;
}

void api_fixture_replace(const struct api_fixture *f, const char *name, const char *text)
{
    char from[128];
    char to[128];

    pki_write_text(in_folder(f, "new", from, sizeof(from)), text);
    assert_int_equal(rename(from, in_folder(f, name, to, sizeof(to))), 0);
}

void api_fixture_replace_cert(const struct api_fixture *f, const char *name,
                              const struct pki_cert *c)
{
    char from[128];
    char to[128];

    pki_write_cert(in_folder(f, "new", from, sizeof(from)), c);
    assert_int_equal(rename(from, in_folder(f, name, to, sizeof(to))), 0);
}

struct kube *api_fixture_connect(struct api_fixture *f, const char *cluster, const char *user,
                                 const struct kube_opts *opts)
{
    char text[4096];
    char lines[2048];
    char address[64];
    char path[128];
    struct kube_error err = {""};
    struct kube_access *access = NULL;
    struct kube *k = NULL;
    const char *mark = strstr(cluster, "%s");

    snprintf(address, sizeof(address), "https://127.0.0.1:%u", fake_api_port(f->api));
    snprintf(lines, sizeof(lines), "%.*s%s%s", (int)(mark != NULL ? mark - cluster : 0), cluster,
             mark != NULL ? address : "", mark != NULL ? mark + 2 : cluster);
    snprintf(text, sizeof(text),
             "current-context: test\n"
             "contexts: [{name: test, context: {cluster: c, user: u}}]\n"
             "clusters: [{name: c, cluster: {%s}}]\n"
             "users: [{name: u, user: {%s}}]\n",
             lines, user);
    enum rc rc = kube_access_from_text(in_folder(f, "config", path, sizeof(path)), text,
                                       strlen(text), NULL, &err, &access);
    if (rc == RC_OK) {
        rc = kube_new(&access, opts != NULL ? opts : &patient, &err, &k);
    }
    if (rc != RC_OK) {
        print_error("%s\n", err.text);
    }
    return k;
}

struct api_fixture *api_fixture_new(fake_api_handler *handler)
{
    static const char *const proxies[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    struct api_fixture *f = calloc(1, sizeof(*f));

    for (size_t i = 0; i < sizeof(proxies) / sizeof(*proxies); i++) {
        unsetenv(proxies[i]);
    }
    snprintf(f->folder, sizeof(f->folder), "/tmp/xdsgate-kube-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    f->ca = pki_make_root("first");
    f->server = pki_make_server(&f->ca, "DNS:kubernetes,IP:127.0.0.1");
    f->api = fake_api_new(&f->server, handler, f);
    api_fixture_replace(f, "token", FIXTURE_TOKEN "\n");
    api_fixture_replace_cert(f, "ca.crt", &f->ca);
    f->k = api_fixture_connect(f, "server: '%s', certificate-authority: ca.crt", "tokenFile: token",
                               NULL);
    assert_non_null(f->k);
    return f;
}

void api_fixture_free(struct api_fixture *f)
{
    static const char *const names[] = {"token", "ca.crt", "client.crt", "client.key"};
    char path[128];

    kube_free(&f->k);
    fake_api_free(&f->api);
    pki_free(&f->server);
    pki_free(&f->ca);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        unlink(in_folder(f, names[i], path, sizeof(path)));
    }
    rmdir(f->folder);
    free(f);
}
