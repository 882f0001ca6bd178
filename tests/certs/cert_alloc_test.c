/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of certs and of OpenSSL below it fails once, or all from one on: loading says
 * so, a handshake fails, nothing is lost (the address sanitizer counts), and above all nobody is
 * let in who would not be otherwise. Only our side counts, never the client.
 */
#include "certs/cert_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "tests/certs/cert_fixture.h"

#define ROUNDS 6
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
    bool on;        /* our side is running */
    bool hit;
} faults;

static bool fails(void)
{
    if (!faults.on || faults.fail_at == 0) {
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
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

static void *ssl_malloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return __wrap_malloc(n);
}

static void *ssl_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return __wrap_realloc(p, n);
}

static void ssl_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    free(p);
}

static void arm(size_t n, bool rest)
{
    faults.count = 0;
    faults.fail_at = n;
    faults.rest = rest;
    faults.hit = false;
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

/* OpenSSL gets over some failures; then the set is as good as any. */
static void assert_set_is_whole(const struct cert_fixture *f, struct cert_set *set)
{
    struct pki_cert foreign = pki_make_workload(&f->foreign_root, "URI:" VM_URI);
    struct pki_cert other = pki_make_workload(&f->root, "URI:spiffe://o.local/ns/vms/sa/web");

    cert_fixture_accepted(set, (struct client_opts){.cert = &f->vm}, VM_URI);
    cert_fixture_refused(set, (struct client_opts){.cert = &other, .sni = "a.example.test"},
                         "the certificate is of trust domain o.local, not cluster.local");
    cert_fixture_refused(set, (struct client_opts){.cert = &foreign},
                         "certificate: unable to get local issuer certificate");
    pki_free(&foreign);
    pki_free(&other);
}

static void load_failing(const struct cert_fixture *f, bool rest)
{
    for (size_t n = 1;; n++) {
        struct cert_set *set = NULL;
        struct cert_error err;

        arm(n, rest);
        enum rc rc = load(f, &set, &err);
        bool hit = faults.hit;
        arm(0, false);
        if (rc == RC_OK) {
            assert_set_is_whole(f, set);
            cert_set_unref(&set);
        } else {
            assert_true(hit && set == NULL);
            assert_true(rc == RC_NO_MEMORY || (rc == RC_INVALID && err.text[0] != '\0'));
        }
        if (!hit) {
            assert_int_equal(rc, RC_OK);
            assert_true(n > 100);
            return;
        }
    }
}

static void test_cert_set__one_allocation_of_loading_fails__error_or_a_whole_set(void **state)
{
    load_failing(*state, false);
}

static void test_cert_set__allocations_of_loading_fail_from_then__error_or_a_whole_set(void **state)
{
    load_failing(*state, true);
}

static void test_root_set__each_allocation_fails__error_or_it_works(void **state)
{
    const struct cert_fixture *f = *state;
    bool hit = true;

    for (size_t n = 1; hit; n++) {
        struct root_set *roots = NULL;
        struct cert_error err;
        SSL *ssl = NULL;

        arm(n, (n & 1) == 0);
        faults.on = true;
        enum rc rc = root_set_load(f->root_file, &roots, &err);
        if (rc == RC_OK) {
            ssl = root_set_new_ssl(roots, "istiod.istio-system.svc");
        }
        faults.on = false;
        hit = faults.hit;
        arm(0, false);
        assert_true(hit || ssl != NULL);
        if (ssl != NULL) {
            struct tls_pair pair;
            tls_pair_init(&pair, ssl, cert_set_new_ssl(f->set));
            assert_true(tls_pair_handshake(&pair));
            assert_true(root_set_alpn_is_h2(pair.client));
            assert_int_equal(SSL_get_verify_result(pair.client), X509_V_OK);
            tls_pair_fini(&pair);
        }
        root_set_unref(&roots);
    }
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

/* One handshake whose server side meets failures. Says what it makes of the client. */
static enum rc shake_hands(struct cert_set *set, const struct client_opts *o, bool *done,
                           struct spiffe_id *id)
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
        rc = cert_set_peer_identity(server, id);
    }
    faults.on = false;
    tls_pair_fini(&pair);
    return rc;
}

/* n-th allocations, all of them or every step-th: those of one kind of work come in long rows. */
static void handshakes(const struct cert_fixture *f, const struct client_opts *o, bool rest,
                       bool good)
{
    for (size_t n = 1;; n++) {
        struct spiffe_id id;
        char uri[SPIFFE_URI_BYTES] = "";
        bool done;

        arm(n, rest);
        enum rc rc = shake_hands(f->set, o, &done, &id);
        bool hit = faults.hit;
        arm(0, false);
        if (rc == RC_OK) {
            assert_true(good);
            uri[spiffe_format(&id, uri)] = '\0';
            assert_string_equal(uri, VM_URI);
        }
        assert_true(good || !done);
        if (!hit) {
            assert_int_equal(rc, good ? RC_OK : RC_NOT_FOUND);
            assert_true(n > 50);
            return;
        }
    }
}

static void test_cert_set__allocations_of_a_handshake_fail__it_fails_or_knows_the_vm(void **state)
{
    const struct cert_fixture *f = *state;

    for (int v = TLS1_2_VERSION; v <= TLS1_3_VERSION; v++) {
        const struct client_opts o = {.cert = &f->vm, .max_version = v, .sni = "a.example.test"};
        handshakes(f, &o, false, true);
    }
}

static void test_cert_set__allocations_fail_from_then__it_fails_or_knows_the_vm(void **state)
{
    const struct cert_fixture *f = *state;
    const struct client_opts o = {.cert = &f->vm};

    handshakes(f, &o, true, true);
}

static void test_cert_set__allocations_fail_with_a_foreign_vm__it_is_never_let_in(void **state)
{
    const struct cert_fixture *f = *state;
    struct pki_cert foreign = pki_make_workload(&f->foreign_root, "URI:" VM_URI);
    struct pki_cert other = pki_make_workload(&f->root, "URI:spiffe://o.local/ns/vms/sa/web");
    const struct client_opts rows[] = {{.cert = &foreign}, {.cert = &other}};

    for (size_t i = 0; i < 2; i++) {
        handshakes(f, &rows[i], false, false);
    }

    pki_free(&foreign);
    pki_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cert_set__one_allocation_of_loading_fails__error_or_a_whole_set),
        cmocka_unit_test(
            test_cert_set__allocations_of_loading_fail_from_then__error_or_a_whole_set),
        cmocka_unit_test(test_root_set__each_allocation_fails__error_or_it_works),
        cmocka_unit_test(test_cert_set__allocations_of_a_handshake_fail__it_fails_or_knows_the_vm),
        cmocka_unit_test(test_cert_set__allocations_fail_from_then__it_fails_or_knows_the_vm),
        cmocka_unit_test(test_cert_set__allocations_fail_with_a_foreign_vm__it_is_never_let_in),
    };
    if (CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free) != 1) {
        return 1;
    }
    return cmocka_run_group_tests(tests, cert_fixture_setup, cert_fixture_teardown);
}
