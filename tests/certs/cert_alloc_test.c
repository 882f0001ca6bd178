/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations of certs and of OpenSSL below it fail once, or all from one on: loading says so, a
 * handshake fails, nothing is lost (the address sanitizer counts), and above all nobody is let in
 * who would not be otherwise. Only our side counts, never the client.
 *
 * Our own allocations fail each in turn. OpenSSL makes ten thousand while it loads a certificate:
 * of those, so many fail as seconds allow, spread evenly.
 */
#include "certs/cert_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "certs/cert_bytes.h"
#include "certs/cert_peer.h"
#include "certs/root_list.h"
#include "tests/certs/cert_fixture.h"

#define ROUNDS 6
#define SAMPLES 30
#define VM_URI "spiffe://cluster.local/ns/vms/sa/web"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

static struct {
    size_t count;   /* since it was armed */
    size_t fail_at; /* 0: never */
    bool rest;      /* all from fail_at on */
    bool ours;      /* only those of certs count */
    bool on;        /* our side is running */
    bool hit;
} faults;

static bool fails(bool ours)
{
    if (!faults.on || faults.fail_at == 0 || (faults.ours && !ours)) {
        return false;
    }
    faults.count++;
    if (faults.rest ? faults.count < faults.fail_at : faults.count != faults.fail_at) {
        return false;
    }
    faults.hit = true;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fails(true) ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails(true) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails(true) ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return fails(true) ? NULL : __real_strdup(s);
}

static void *ssl_malloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return fails(false) ? NULL : __real_malloc(n);
}

static void *ssl_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return fails(false) ? NULL : __real_realloc(p, n);
}

static void ssl_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    free(p);
}

/* Which allocations of a piece of work fail. */
enum mode { OURS_ONCE, OURS_FROM, ALL_ONCE, ALL_FROM };

static void arm(size_t n, enum mode mode)
{
    faults.count = 0;
    faults.fail_at = n;
    faults.rest = mode == OURS_FROM || mode == ALL_FROM;
    faults.ours = mode == OURS_ONCE || mode == OURS_FROM;
    faults.hit = false;
}

/* Stop failing; did any? */
static bool disarm(void)
{
    faults.fail_at = 0;
    return faults.hit;
}

/* The next allocation to fail, when a piece of work makes so many. */
static size_t next_after(size_t n, size_t all)
{
    return n + 1 + (n > 16 ? all / SAMPLES : 0);
}

/* ---- loading ---- */

static enum rc load(const struct cert_fixture *f, struct cert_set **out, struct cert_error *err)
{
    static const char *const identities[] = {"ns/vms/sa/*", NULL};
    const char *const roots[] = {f->root_file, NULL};
    const struct cert_pair_files pairs[] = {{f->chain_file[0], f->key_file[0]},
                                            {f->chain_file[1], f->key_file[1]}};
    const struct cert_set_opts opts = {.pairs = pairs,
                                       .n_pairs = 2,
                                       .client_roots = roots,
                                       .trust_domain = "cluster.local",
                                       .vm_identities = identities};

    faults.on = true;
    enum rc rc = cert_set_load(&opts, out, err);
    faults.on = false;
    assert_int_equal(ERR_peek_error(), 0);
    return rc;
}

/* OpenSSL gets over some failures, but then nobody is let in who should not be. */
static void assert_set_is_strict(const struct cert_fixture *f, struct cert_set *set)
{
    struct pki_cert other = pki_make_workload(&f->root, "URI:spiffe://o.local/ns/vms/sa/web");
    struct pki_cert foreign = pki_make_workload(&f->foreign_root, "URI:" VM_URI);
    const struct client_opts rows[] = {{.cert = &other, .sni = "a.example.test"},
                                       {.cert = &foreign}};

    for (size_t i = 0; i < 2; i++) {
        struct tls_pair pair;
        assert_false(cert_fixture_connect(set, &rows[i], &pair));
        assert_false(SSL_is_init_finished(pair.server));
        tls_pair_fini(&pair);
    }
    pki_free(&foreign);
    pki_free(&other);
}

static void load_failing(const struct cert_fixture *f, enum mode mode)
{
    size_t all = 0;
    bool hit = true;

    for (size_t n = 1; hit; n = next_after(n, all)) {
        struct cert_set *set = NULL;
        struct cert_error err;

        arm(n, mode);
        enum rc rc = load(f, &set, &err);
        hit = disarm();
        all = faults.count > all ? faults.count : all;
        if (rc == RC_OK) {
            assert_set_is_strict(f, set);
            cert_set_unref(&set);
        } else {
            assert_true(hit && set == NULL);
            assert_true(rc == RC_NO_MEMORY || (rc == RC_INVALID && err.text[0] != '\0'));
        }
    }
    assert_true(all >= 5);
}

static void test_cert_set__allocations_of_loading_fail__error_or_a_strict_set(void **state)
{
    for (enum mode mode = OURS_ONCE; mode <= ALL_FROM; mode++) {
        load_failing(*state, mode);
    }
}

static void test_cert_set__own_allocation_of_loading_fails__says_no_memory(void **state)
{
    for (size_t n = 1;; n++) {
        struct cert_set *set = NULL;
        struct cert_error err;

        arm(n, OURS_ONCE);
        enum rc rc = load(*state, &set, &err);
        if (!disarm()) {
            assert_int_equal(rc, RC_OK);
            cert_set_unref(&set);
            return;
        }
        assert_int_equal(rc, RC_NO_MEMORY);
    }
}

/* An SSL that a failing root set made trusts no other roots. */
static void assert_distrusts(const struct cert_fixture *f, SSL *client)
{
    struct pki_cert server = pki_make_server(&f->foreign_root, "DNS:istiod.istio-system.svc");
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    struct tls_pair pair;

    assert_int_equal(SSL_CTX_use_certificate(ctx, server.x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, server.key), 1);
    SSL *ssl = SSL_new(ctx);
    SSL_set_accept_state(ssl);
    tls_pair_init(&pair, client, ssl);
    assert_false(tls_pair_handshake(&pair));
    assert_false(SSL_is_init_finished(pair.client));
    tls_pair_fini(&pair);
    SSL_CTX_free(ctx);
    pki_free(&server);
}

static void test_root_set__allocations_fail__error_or_it_trusts_nobody_else(void **state)
{
    const struct cert_fixture *f = *state;
    size_t all = 0;
    bool hit = true;

    for (size_t n = 1; hit; n = next_after(n, all)) {
        struct root_set *roots = NULL;
        struct cert_error err;
        SSL *ssl = NULL;

        arm(n, ALL_ONCE);
        faults.on = true;
        if (root_set_load(f->root_file, &roots, &err) == RC_OK) {
            ssl = root_set_new_ssl(roots, "istiod.istio-system.svc");
        }
        faults.on = false;
        hit = disarm();
        all = faults.count > all ? faults.count : all;
        assert_true(hit || ssl != NULL);
        if (ssl != NULL) {
            assert_distrusts(f, ssl);
        }
        root_set_unref(&roots);
    }
    assert_true(all > 100);
}

static void test_root_list__allocations_fail__error_or_all_of_it_is_believed(void **state)
{
    const struct cert_fixture *f = *state;
    struct cert_bytes pem = {0};
    struct cert_error err;
    size_t all = 0;
    bool hit = true;

    assert_int_equal(cert_bytes_read(f->chain_file[0], &pem, &err), RC_OK);
    for (size_t n = 1; hit; n = next_after(n, all)) {
        struct root_list *list = NULL;
        struct root_set *roots = NULL;
        struct root_gap gap = {.n = 0};

        arm(n, ALL_ONCE);
        faults.on = true;
        bool ok = root_list_parse((const char *)pem.data, pem.n, &list, &err) == RC_OK &&
                  root_set_load_with(f->root_file, list, &roots, &err) == RC_OK;
        faults.on = false;
        hit = disarm();
        all = faults.count > all ? faults.count : all;
        assert_true(hit || ok);
        if (ok) {
            root_set_missing(roots, list, &gap);
        }
        assert_int_equal(gap.n, 0);
        root_set_unref(&roots);
        root_list_unref(&list);
    }
    cert_bytes_fini(&pem);
}

/* ---- the handshake ---- */

static bool step(SSL *ssl)
{
    ERR_clear_error();
    int n = SSL_do_handshake(ssl);
    int error = SSL_get_error(ssl, n);
    ERR_clear_error();
    return error == SSL_ERROR_NONE || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* One handshake whose server side meets failures. Says what it makes of the client: *peer, owned.
 */
static enum rc shake_hands(struct cert_set *set, const struct client_opts *o, bool *done,
                           struct cert_peer **peer)
{
    struct tls_pair pair;
    enum rc rc = RC_NOT_FOUND;
    bool ok = true;

    faults.on = true;
    SSL *server = cert_set_new_ssl(set);
    faults.on = false;
    if (server == NULL) {
        *done = false;
        return rc;
    }
    tls_pair_init(&pair, cert_fixture_client(o), server);
    for (int i = 0; i < ROUNDS && ok; i++) {
        ok = step(pair.client);
        faults.on = true;
        ok = step(server) && ok;
        faults.on = false;
    }
    *done = ok && SSL_is_init_finished(server);
    faults.on = true;
    if (*done) {
        rc = cert_peer_take(server, peer);
    }
    faults.on = false;
    tls_pair_fini(&pair);
    return rc;
}

static void handshakes(const struct cert_fixture *f, const struct client_opts *o, enum mode mode,
                       bool good)
{
    size_t all = 0;
    bool hit = true;

    for (size_t n = 1; hit; n = next_after(n, all)) {
        struct cert_peer *peer = NULL;
        bool done;

        arm(n, mode);
        enum rc rc = shake_hands(f->set, o, &done, &peer);
        hit = disarm();
        all = faults.count > all ? faults.count : all;
        assert_true(good || !done);
        assert_true(hit || rc == (good ? RC_OK : RC_NOT_FOUND));
        if (rc == RC_OK) {
            assert_true(good);
            assert_string_equal(cert_peer_identity(peer), VM_URI);
        } else {
            assert_null(peer);
            assert_true(!done || !good || rc == RC_NO_MEMORY);
        }
        cert_peer_free(&peer);
    }
}

static void test_cert_set__allocations_of_a_handshake_fail__it_fails_or_knows_the_vm(void **state)
{
    const struct cert_fixture *f = *state;

    for (enum mode mode = OURS_ONCE; mode <= ALL_FROM; mode++) {
        for (int v = TLS1_2_VERSION; v <= TLS1_3_VERSION; v++) {
            const struct client_opts o = {
                .cert = &f->vm, .max_version = v, .sni = "a.example.test"};
            handshakes(f, &o, mode, true);
        }
    }
}

static void test_cert_set__allocations_fail_with_a_foreign_vm__it_is_never_let_in(void **state)
{
    const struct cert_fixture *f = *state;
    struct pki_cert foreign = pki_make_workload(&f->foreign_root, "URI:" VM_URI);
    struct pki_cert other = pki_make_workload(&f->root, "URI:spiffe://o.local/ns/vms/sa/web");
    const struct client_opts rows[] = {{.cert = &foreign}, {.cert = &other}};

    for (size_t i = 0; i < 2; i++) {
        for (enum mode mode = OURS_ONCE; mode <= ALL_FROM; mode++) {
            handshakes(f, &rows[i], mode, false);
        }
    }

    pki_free(&foreign);
    pki_free(&other);
}

/* ---- the certificate of an open connection ---- */

/* Checked again with failures: a refusal has a reason, and who is not allowed is never accepted. */
static void check_failing(const struct cert_set *set, const struct cert_peer *peer, bool good)
{
    size_t all = 0;
    bool hit = true;

    for (size_t n = 1; hit; n = next_after(n, all)) {
        char why[CERT_WHY_BYTES] = "";

        arm(n, ALL_ONCE);
        faults.on = true;
        enum rc rc = cert_set_check_again(set, peer, why, sizeof(why));
        faults.on = false;
        hit = disarm();
        all = faults.count > all ? faults.count : all;
        assert_int_equal(ERR_peek_error(), 0);
        assert_true(hit || rc == (good ? RC_OK : RC_PEER_DENIED));
        assert_true(good || rc != RC_OK);
        assert_true(rc != RC_PEER_DENIED || why[0] != '\0');
    }
    assert_true(all > 20);
}

static void test_cert_set__allocations_of_a_check_again_fail__nobody_else_is_accepted(void **state)
{
    struct cert_fixture *f = *state;
    const struct client_opts o = {.cert = &f->vm};
    const char *const none[] = {NULL};
    struct cert_set *rootless = cert_fixture_load(f, none);
    struct cert_peer *peer;
    struct tls_pair pair;

    assert_true(cert_fixture_connect(f->set, &o, &pair));
    assert_int_equal(cert_peer_take(pair.server, &peer), RC_OK);
    tls_pair_fini(&pair);

    check_failing(f->set, peer, true);
    check_failing(rootless, peer, false);

    cert_peer_free(&peer);
    cert_set_unref(&rootless);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cert_set__allocations_of_loading_fail__error_or_a_strict_set),
        cmocka_unit_test(test_cert_set__own_allocation_of_loading_fails__says_no_memory),
        cmocka_unit_test(test_root_set__allocations_fail__error_or_it_trusts_nobody_else),
        cmocka_unit_test(test_root_list__allocations_fail__error_or_all_of_it_is_believed),
        cmocka_unit_test(test_cert_set__allocations_of_a_handshake_fail__it_fails_or_knows_the_vm),
        cmocka_unit_test(test_cert_set__allocations_fail_with_a_foreign_vm__it_is_never_let_in),
        cmocka_unit_test(test_cert_set__allocations_of_a_check_again_fail__nobody_else_is_accepted),
    };
    if (CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free) != 1) {
        return 1;
    }
    return cmocka_run_group_tests(tests, cert_fixture_setup, cert_fixture_teardown);
}
