/* SPDX-License-Identifier: Apache-2.0 */
/* Who the client is, and whom it believes: tokens and certificates, also such as change. */
#include "kube/kube.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/kube/api_fixture.h"

/* 401 until the token is the second one; while it refuses the first, the file changes. */
static void answer_token(struct api_fixture *f, const struct fake_api_request *r,
                         struct fake_api_link *l)
{
    if (strcmp(r->token, "second-token") == 0) {
        fake_api_answer(l, 200, "", "{\"n\":2}");
        return;
    }
    if (strcmp(r->path, "/token/changes") == 0) {
        api_fixture_replace(f, "token", "second-token\n");
    }
    fake_api_answer(l, 401, "", STATUS(401, "Unauthorized", "bad " FIXTURE_TOKEN " or " JWT));
}

static void on_request(void *arg, const struct fake_api_request *r, struct fake_api_link *l)
{
    if (strncmp(r->path, "/token/", 7) == 0) {
        answer_token(arg, r, l);
    } else if (strcmp(r->path, "/403") == 0) {
        fake_api_answer(l, 403, "", STATUS(403, "Forbidden", "no"));
    } else if (strcmp(r->path, "/close") == 0) {
        fake_api_close(l);
    } else {
        fake_api_answer(l, 200, "", "{}");
    }
}

static int setup(void **state)
{
    *state = api_fixture_new(on_request);
    return 0;
}

static int teardown(void **state)
{
    api_fixture_free(*state);
    return 0;
}

static enum kube_outcome get(struct kube *k, const char *path, struct kube_reply *out)
{
    const struct kube_request r = {.path = path, .retry = {.attempts_max = 1}};
    return kube_call_wait(k, &r, out);
}

/* ---- credentials ---- */

static void test_kube__401_and_the_token_file_has_changed__asked_again_with_it(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(get(f->k, "/token/changes", &r), KUBE_OK);

    assert_int_equal(fake_api_requests(f->api), 2);
    kube_reply_fini(&r);
}

static void test_kube__401_and_the_token_is_the_same__is_the_answer(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(get(f->k, "/token/stays", &r), KUBE_REFUSED);

    assert_int_equal(r.status, 401);
    assert_int_equal(fake_api_requests(f->api), 1);
    assert_non_null(strstr(r.error.text, "[token] or [token]; the credentials are not"));
    assert_null(strstr(r.error.text, FIXTURE_TOKEN));
    assert_null(strstr(r.error.text, "eyJ"));
    kube_reply_fini(&r);
}

static void test_kube__401_with_a_token_that_was_read_anew__asked_once(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;
    api_fixture_replace(f, "token", "third-token");

    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(get(f->k, "/token/stays", &r), KUBE_REFUSED);
        assert_int_equal(fake_api_requests(f->api), i);
        assert_string_equal(fake_api_request(f->api, i).token, "third-token");
        kube_reply_fini(&r);
    }
}

static void test_kube__new_token__is_used_without_a_401(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;
    api_fixture_replace(f, "token", "second-token");

    assert_int_equal(get(f->k, "/token/x", &r), KUBE_OK);

    assert_int_equal(fake_api_requests(f->api), 1);
    kube_reply_fini(&r);
}

static void test_kube__token_file_is_broken__the_old_one_and_a_word_beside_errors(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;
    api_fixture_replace(f, "token", "two words");

    assert_int_equal(get(f->k, "/x", &r), KUBE_OK);
    kube_reply_fini(&r);
    assert_int_equal(get(f->k, "/403", &r), KUBE_REFUSED);

    assert_string_equal(fake_api_request(f->api, 2).token, FIXTURE_TOKEN);
    assert_non_null(strstr(r.error.text, "token is no token"));
    kube_reply_fini(&r);
}

static void test_kube__client_certificate__is_shown(void **state)
{
    struct api_fixture *f = *state;
    struct pki_cert client =
        pki_make(&f->ca, &(struct pki_spec){.name = "lab-admin", .ext_usage = "clientAuth"});
    char path[128];
    struct kube_reply r;
    api_fixture_replace_cert(f, "client.crt", &client);
    snprintf(path, sizeof(path), "%s/client.key", f->folder);
    pki_write_key(path, &client, NULL);
    struct kube *k =
        api_fixture_connect(f, "server: '%s', certificate-authority: ca.crt",
                            "client-certificate: client.crt, client-key: client.key", NULL);

    assert_int_equal(get(k, "/x", &r), KUBE_OK);

    assert_string_equal(fake_api_request(f->api, 1).client, "lab-admin");
    assert_string_equal(fake_api_request(f->api, 1).token, "");
    kube_reply_fini(&r);
    kube_free(&k);
    pki_free(&client);
}

static void test_kube__key_of_another_certificate__says_so(void **state)
{
    struct api_fixture *f = *state;
    char path[128];
    struct kube_reply r;
    api_fixture_replace_cert(f, "client.crt", &f->ca);
    snprintf(path, sizeof(path), "%s/client.key", f->folder);
    pki_write_key(path, &f->server, NULL);
    struct kube *k =
        api_fixture_connect(f, "server: '%s', certificate-authority: ca.crt",
                            "client-certificate: client.crt, client-key: client.key", NULL);

    assert_int_equal(get(k, "/x", &r), KUBE_UNTRUSTED);

    assert_non_null(strstr(r.error.text, "TLS: "));
    assert_non_null(strstr(r.error.text, "contexts[test]"));
    kube_reply_fini(&r);
    kube_free(&k);
}

/* ---- the server's certificate ---- */

static void test_kube__server_of_another_authority__never_hears_the_token(void **state)
{
    struct api_fixture *f = *state;
    struct pki_cert other = pki_make_root("other");
    struct kube_reply r;
    api_fixture_replace_cert(f, "ca.crt", &other);

    assert_int_equal(get(f->k, "/x", &r), KUBE_UNTRUSTED);

    assert_int_equal(fake_api_requests(f->api), 0);
    assert_non_null(strstr(r.error.text, "certificate-authority"));
    kube_reply_fini(&r);
    pki_free(&other);
}

static void test_kube__server_with_another_name__never_hears_the_token(void **state)
{
    struct api_fixture *f = *state;
    struct pki_cert other = pki_make_server(&f->ca, "DNS:elsewhere");
    struct kube_reply r;
    fake_api_set_cert(f->api, &other);

    assert_int_equal(get(f->k, "/x", &r), KUBE_UNTRUSTED);

    assert_int_equal(fake_api_requests(f->api), 0);
    kube_reply_fini(&r);
    fake_api_set_cert(f->api, &f->server);
    pki_free(&other);
}

static void test_kube__no_authority_named__those_of_the_system_do_not_know_the_server(void **state)
{
    struct api_fixture *f = *state;
    struct kube *k = api_fixture_connect(f, "server: '%s'", "token: t", NULL);
    struct kube_reply r;

    assert_int_equal(get(k, "/x", &r), KUBE_UNTRUSTED);

    assert_int_equal(fake_api_requests(f->api), 0);
    kube_reply_fini(&r);
    kube_free(&k);
}

static void test_kube__tls_server_name__is_asked_for_and_verified(void **state)
{
    struct api_fixture *f = *state;
    struct pki_cert other = pki_make_server(&f->ca, "DNS:kubernetes");
    struct kube_reply r;
    fake_api_set_cert(f->api, &other);
    struct kube *k = api_fixture_connect(
        f, "server: '%s/prefix', certificate-authority: ca.crt, tls-server-name: kubernetes",
        "token: t", NULL);

    assert_int_equal(get(k, "/x", &r), KUBE_OK);
    assert_string_equal(fake_api_request(f->api, 1).path, "/prefix/x");
    kube_reply_fini(&r);
    assert_int_equal(get(f->k, "/x", &r), KUBE_UNTRUSTED);

    kube_reply_fini(&r);
    kube_free(&k);
    fake_api_set_cert(f->api, &f->server);
    pki_free(&other);
}

/* The server has a certificate of a new authority; the file follows. */
static void test_kube__authority_is_rotated__refused_until_the_file_has_it(void **state)
{
    struct api_fixture *f = *state;
    struct pki_cert ca = pki_make_root("second");
    struct pki_cert server = pki_make_server(&ca, "IP:127.0.0.1");
    struct kube_reply r;
    assert_int_equal(get(f->k, "/close", &r), KUBE_UNREACHABLE); /* leaves no connection */
    kube_reply_fini(&r);

    fake_api_set_cert(f->api, &server);
    assert_int_equal(get(f->k, "/x", &r), KUBE_UNTRUSTED);
    kube_reply_fini(&r);
    api_fixture_replace_cert(f, "ca.crt", &ca);
    assert_int_equal(get(f->k, "/x", &r), KUBE_OK);

    kube_reply_fini(&r);
    fake_api_set_cert(f->api, &f->server);
    pki_free(&server);
    pki_free(&ca);
}

/* A connection that was verified by the old authority is not used under the new one. */
static void test_kube__authority_file_changes__a_new_connection_is_verified(void **state)
{
    struct api_fixture *f = *state;
    struct pki_cert ca = pki_make_root("second");
    struct kube_reply r;
    assert_int_equal(get(f->k, "/x", &r), KUBE_OK);
    kube_reply_fini(&r);

    api_fixture_replace_cert(f, "ca.crt", &ca);
    assert_int_equal(get(f->k, "/x", &r), KUBE_UNTRUSTED);

    assert_int_equal(fake_api_requests(f->api), 1);
    kube_reply_fini(&r);
    pki_free(&ca);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_kube__401_and_the_token_file_has_changed__asked_again_with_it),
        TEST(test_kube__401_and_the_token_is_the_same__is_the_answer),
        TEST(test_kube__401_with_a_token_that_was_read_anew__asked_once),
        TEST(test_kube__new_token__is_used_without_a_401),
        TEST(test_kube__token_file_is_broken__the_old_one_and_a_word_beside_errors),
        TEST(test_kube__client_certificate__is_shown),
        TEST(test_kube__key_of_another_certificate__says_so),
        TEST(test_kube__server_of_another_authority__never_hears_the_token),
        TEST(test_kube__server_with_another_name__never_hears_the_token),
        TEST(test_kube__no_authority_named__those_of_the_system_do_not_know_the_server),
        TEST(test_kube__tls_server_name__is_asked_for_and_verified),
        TEST(test_kube__authority_is_rotated__refused_until_the_file_has_it),
        TEST(test_kube__authority_file_changes__a_new_connection_is_verified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
