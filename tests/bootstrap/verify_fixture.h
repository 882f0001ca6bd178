/* SPDX-License-Identifier: Apache-2.0 */
/* A VM with everything in its place, and what is found there. Include after cmocka.h. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "bootstrap/verify.h"
#include "core/base/clock.h"
#include "tests/certs/ca_fixture.h"

#define MESH                                              \
    "defaultConfig:\n"                                    \
    "  discoveryAddress: istiod.istio-system.svc:15012\n" \
    "  proxyMetadata:\n"                                  \
    "    ISTIO_META_CLUSTER_ID: one\n"                    \
    "    POD_NAMESPACE: vms\n"                            \
    "    SERVICE_ACCOUNT: web\n"
#define ENV                         \
    "ISTIO_META_CLUSTER_ID='one'\n" \
    "ISTIO_NAMESPACE='vms'\n"       \
    "POD_NAMESPACE='vms'\n"         \
    "SERVICE_ACCOUNT='web'\n"
#define HOSTS "127.0.0.1 localhost\n10.0.0.5 istiod.istio-system.svc # xdsgate\n"

#define ENV_AT "/var/lib/istio/envoy/cluster.env"
#define SIDECAR_AT "/var/lib/istio/envoy/sidecar.env"
#define MESH_AT "/etc/istio/config/mesh"
#define ROOT_AT "/etc/certs/root-cert.pem"
#define CHAIN_AT "/etc/certs/cert-chain.pem"
#define KEY_AT "/etc/certs/key.pem"
#define TOKEN_AT "/var/run/secrets/tokens/istio-token"
#define HOSTS_AT "/etc/hosts"
#define COPY_AT "/var/lib/xdsgate-bundle/istio-token"
#define TMPFILES_AT "/etc/tmpfiles.d/xdsgate-bundle.conf"
#define ID "URI:spiffe://cluster.local/ns/vms/sa/"

static struct verify_report report;
static int64_t now;

/* A file of the VM, with the folders on the way to it. */
static inline const char *at(void **state, const char *path)
{
    static char full[4][256];
    static unsigned turn;
    const struct ca_fixture *f = *state;
    char *out = full[turn++ % 4];

    snprintf(out, sizeof(full[0]), "%s/vm%s", f->dir, path);
    for (char *slash = strchr(out + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(out, 0755);
        *slash = '/';
    }
    return out;
}

static inline void put(void **state, const char *path, const char *text, mode_t mode)
{
    const char *full = at(state, path);
    (void)unlink(full);
    pki_write_text(full, text);
    assert_int_equal(chmod(full, mode), 0);
}

static inline size_t base64url(const char *in, char *out)
{
    int n = EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)in, (int)strlen(in));
    for (int i = 0; i < n; i++) {
        out[i] = (char)(out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i]);
    }
    out[strcspn(out, "=")] = '\0';
    return strlen(out);
}

/* A token that runs out after so many seconds, with other claims (", ..."). */
static inline const char *token(int64_t seconds, const char *more)
{
    static char out[2048];
    char claims[1024];
    snprintf(claims, sizeof(claims), "{\"exp\":%lld%s}", (long long)(now + seconds), more);

    size_t n = base64url("{\"alg\":\"RS256\"}", out);
    out[n++] = '.';
    n += base64url(claims, out + n);
    snprintf(out + n, sizeof(out) - n, ".c2ln");
    return out;
}

#define GOOD_CLAIMS ",\"aud\":[\"istio-ca\"],\"sub\":\"system:serviceaccount:vms:web\""

static inline void put_certificate(void **state, const char *account, long from_s, long to_s)
{
    const struct ca_fixture *f = *state;
    char san[200];
    snprintf(san, sizeof(san), ID "%s", account);
    struct pki_cert c =
        pki_make(&f->root, &(struct pki_spec){.san = san, .from_s = from_s, .to_s = to_s});

    pki_write_cert(at(state, CHAIN_AT), &c);
    pki_write_key(at(state, KEY_AT), &c, NULL);
    chmod(at(state, KEY_AT), 0600);
    pki_free(&c);
}

static inline int setup(void **state)
{
    assert_int_equal(ca_fixture_setup(state), 0);
    struct ca_fixture *f = *state;
    now = clock_wall();

    put(state, ENV_AT, ENV, 0644);
    put(state, MESH_AT, MESH, 0644);
    put(state, HOSTS_AT, HOSTS, 0644);
    pki_write_cert(at(state, ROOT_AT), &f->root);
    put(state, TOKEN_AT, token(3600, GOOD_CLAIMS), 0600);
    put(state, COPY_AT, token(3600, GOOD_CLAIMS), 0600);
    put(state, TMPFILES_AT, "", 0644);
    put_certificate(state, "web", -3600, 86400);
    verify_init(&report);
    return 0;
}

static inline int teardown(void **state)
{
    const struct ca_fixture *f = *state;
    char command[200];

    verify_fini(&report);
    snprintf(command, sizeof(command), "rm -r '%s/vm'", f->dir);
    assert_int_equal(system(command), 0); /* allowed: removes a tree of the test's own */
    return ca_fixture_teardown(state);
}

static inline void look_as(void **state, uid_t uid)
{
    const struct ca_fixture *f = *state;
    char root[128];
    snprintf(root, sizeof(root), "%s/vm", f->dir);
    struct verify_opts o = {.root = root, .agent_uid = uid, .agent_gid = uid, .now_s = now};

    verify_fini(&report);
    assert_int_equal(verify_files(&o, &report), RC_OK);
}

static inline void look(void **state)
{
    look_as(state, geteuid());
}

static inline void expect_only(enum verify_level level, const char *what, const char *text)
{
    for (size_t i = 0; i < report.n; i++) {
        print_message("%s: %s\n", report.findings[i].what, report.findings[i].text);
    }
    assert_int_equal(report.n, 1);
    assert_int_equal(report.findings[0].level, level);
    assert_int_equal(verify_worst(&report), level);
    assert_string_equal(report.findings[0].what, what);
    assert_non_null(strstr(report.findings[0].text, text));
    assert_true(strlen(report.findings[0].cure) > 0);
}

static inline bool has(const char *what, const char *text)
{
    for (size_t i = 0; i < report.n; i++) {
        if (strcmp(report.findings[i].what, what) == 0 &&
            strstr(report.findings[i].text, text) != NULL) {
            return true;
        }
    }
    return false;
}

static inline void look_at_folder(void **state)
{
    struct verify_opts o = {
        .folder = at(state, "/b"), .root = "", .agent_uid = VERIFY_NO_USER, .now_s = now};

    verify_fini(&report);
    assert_int_equal(verify_files(&o, &report), RC_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
