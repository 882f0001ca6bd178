/* SPDX-License-Identifier: Apache-2.0 */
/* Roots that are published: what is read of them, what is new in them, and who believes them. */
#include "certs/root_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/certs/cert_fixture.h"

#define DAY_S (24L * 3600L)

struct fixture {
    char file[96];
    struct pki_cert old;
    struct pki_cert new;
    struct pki_cert expired;
    struct cert_fixture *certs;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    snprintf(f->file, sizeof(f->file), "/tmp/root_list_test.XXXXXX");
    int fd = mkstemp(f->file);
    assert_true(fd >= 0);
    close(fd);
    f->old = pki_make_root("old root");
    f->new = pki_make_root("new root");
    f->expired = pki_make(
        NULL, &(struct pki_spec){
                  .name = "expired root", .ca = true, .from_s = -2 * DAY_S, .to_s = -DAY_S});
    assert_int_equal(cert_fixture_setup((void **)&f->certs), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    unlink(f->file);
    pki_free(&f->old);
    pki_free(&f->new);
    pki_free(&f->expired);
    cert_fixture_teardown((void **)&f->certs);
    free(f);
    return 0;
}

/* The PEM text of these; owned by the caller. */
static char *pem_of(const struct fixture *f, const struct pki_cert *const *certs, size_t n)
{
    char *text = calloc(1, 65536);

    pki_write_certs(f->file, certs, n);
    FILE *in = fopen(f->file, "r");
    assert_non_null(in);
    assert_true(fread(text, 1, 65535, in) > 0);
    (void)fclose(in);
    return text;
}

static struct root_list *list_of(const struct fixture *f, const struct pki_cert *a,
                                 const struct pki_cert *b)
{
    const struct pki_cert *const certs[] = {a, b};
    struct cert_error err;
    struct root_list *l = NULL;
    char *text = pem_of(f, certs, b != NULL ? 2 : 1);

    assert_int_equal(root_list_parse(text, strlen(text), &l, &err), RC_OK);
    free(text);
    return l;
}

static void assert_refused(const char *text, const char *why)
{
    struct root_list *l = NULL;
    struct cert_error err;

    assert_int_equal(root_list_parse(text, strlen(text), &l, &err), RC_INVALID);
    assert_null(l);
    assert_non_null(strstr(err.text, why));
}

static void test_root_list_parse__what_is_no_list_of_roots__is_refused(void **state)
{
    struct fixture *f = *state;
    const struct pki_cert *many[ROOT_LIST_MAX + 1];

    for (size_t i = 0; i <= ROOT_LIST_MAX; i++) {
        many[i] = &f->old;
    }
    char *text = pem_of(f, many, ROOT_LIST_MAX + 1);
    assert_refused(text, "has 65 certificates in it; 64 are read");
    char *second = strstr(text + 1, "-----BEGIN");
    memcpy(second + 40, "!!!!", 4);
    assert_refused(text, "certificate 2 in it is damaged");
    free(text);
    assert_refused("", "is empty");
    assert_refused("hello", "has no PEM certificate in it");
}

static void test_root_list_parse__one_twice__counts_once(void **state)
{
    struct fixture *f = *state;
    struct root_list *l = list_of(f, &f->old, &f->old);

    assert_int_equal(root_list_count(l), 1);
    root_list_unref(&l);
}

static void test_root_list_same__order_does_not_matter(void **state)
{
    struct fixture *f = *state;
    struct root_list *a = list_of(f, &f->old, &f->new);
    struct root_list *b = list_of(f, &f->new, &f->old);
    struct root_list *c = list_of(f, &f->new, NULL);
    struct root_list *none = NULL;
    struct root_list *also_none = NULL;

    assert_int_equal(root_list_new(&none), RC_OK);
    assert_int_equal(root_list_new(&also_none), RC_OK);
    assert_true(root_list_same(a, b));
    assert_false(root_list_same(a, c));
    assert_false(root_list_same(c, a));
    assert_true(root_list_same(none, also_none));
    assert_false(root_list_same(none, c));
    assert_false(root_list_same(none, NULL));
    assert_true(root_list_same(NULL, NULL));
    root_list_unref(&a);
    root_list_unref(&b);
    root_list_unref(&c);
    root_list_unref(&none);
    root_list_unref(&also_none);
}

static void load(const struct fixture *f, const struct pki_cert *file, const struct root_list *more,
                 struct root_set **out)
{
    struct cert_error err;

    pki_write_cert(f->file, file);
    assert_int_equal(root_set_load_with(f->file, more, out, &err), RC_OK);
}

static void test_root_set_missing__published_root_is_not_in_the_file__is_named(void **state)
{
    struct fixture *f = *state;
    struct root_list *both = list_of(f, &f->old, &f->new);
    struct root_list *old = list_of(f, &f->old, NULL);
    struct root_set *set = NULL;
    struct root_gap gap;

    load(f, &f->old, NULL, &set);
    root_set_missing(set, both, &gap);
    assert_int_equal(gap.n, 1);
    assert_string_equal(gap.subject, "CN=new root");
    assert_int_equal(strlen(gap.sha256), 64);
    assert_true(gap.print != 0);
    root_set_missing(set, old, &gap);
    assert_int_equal(gap.n, 0);
    assert_int_equal(gap.print, 0);
    root_set_unref(&set);

    load(f, &f->old, both, &set);
    root_set_missing(set, both, &gap);
    assert_int_equal(gap.n, 0);
    root_set_unref(&set);
    root_list_unref(&both);
    root_list_unref(&old);
}

static void test_root_set_missing__expired_root__does_not_count(void **state)
{
    struct fixture *f = *state;
    struct root_list *l = list_of(f, &f->expired, &f->new);
    struct root_set *set = NULL;
    struct root_gap gap;

    load(f, &f->old, NULL, &set);
    root_set_missing(set, l, &gap);

    assert_int_equal(gap.n, 1);
    assert_string_equal(gap.subject, "CN=new root");
    root_set_unref(&set);
    root_list_unref(&l);
}

static void test_root_set_load_with__print_changes_only_when_something_is_added(void **state)
{
    struct fixture *f = *state;
    struct root_list *old = list_of(f, &f->old, NULL);
    struct root_list *both = list_of(f, &f->old, &f->new);
    struct root_set *plain = NULL;
    struct root_set *same = NULL;
    struct root_set *more = NULL;

    load(f, &f->old, NULL, &plain);
    load(f, &f->old, old, &same);
    load(f, &f->old, both, &more);

    assert_true(root_set_print(plain) == root_set_print(same));
    assert_true(root_set_print(plain) != root_set_print(more));
    root_set_unref(&plain);
    root_set_unref(&same);
    root_set_unref(&more);
    root_list_unref(&old);
    root_list_unref(&both);
}

static void test_cert_set__more_roots__their_vms_come_in_beside_the_files(void **state)
{
    struct fixture *f = *state;
    struct cert_fixture *c = f->certs;
    struct pki_cert foreign =
        pki_make_workload(&c->foreign_root, "URI:spiffe://cluster.local/ns/vms/sa/vm");
    struct root_list *l = list_of(f, &c->foreign_root, NULL);
    struct root_gap gap;

    cert_set_missing(c->set, l, &gap);
    assert_int_equal(gap.n, 1);
    cert_set_unref(&c->set);
    c->more_roots = l;
    const char *const files[] = {c->root_file, NULL};
    c->set = cert_fixture_load(c, files);

    cert_set_missing(c->set, l, &gap);
    assert_int_equal(gap.n, 0);
    cert_fixture_accepted(c->set, (struct client_opts){.cert = &foreign},
                          "spiffe://cluster.local/ns/vms/sa/vm");
    cert_fixture_accepted(c->set, (struct client_opts){.cert = &c->vm},
                          "spiffe://cluster.local/ns/vms/sa/web");
    root_list_unref(&l);
    pki_free(&foreign);
}

#define LIST_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIST_TEST(test_root_list_parse__what_is_no_list_of_roots__is_refused),
        LIST_TEST(test_root_list_parse__one_twice__counts_once),
        LIST_TEST(test_root_list_same__order_does_not_matter),
        LIST_TEST(test_root_set_missing__published_root_is_not_in_the_file__is_named),
        LIST_TEST(test_root_set_missing__expired_root__does_not_count),
        LIST_TEST(test_root_set_load_with__print_changes_only_when_something_is_added),
        LIST_TEST(test_cert_set__more_roots__their_vms_come_in_beside_the_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
