/* SPDX-License-Identifier: Apache-2.0 */
/* When what the mesh publishes asks for a reload. */
#include "gateway/daemon/root_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/pki.h"

struct fixture {
    struct root_watch w;
    struct config config; /* an upstream that believes nothing but a root of its own */
    struct upstream upstream;
    struct upstream *upstreams[1];
    struct generation g;
    struct root_list *own;
    struct root_list *other;
};

static struct root_list *list_of(const char *name, struct root_set **set)
{
    char file[] = "/tmp/root_watch_test.XXXXXX";
    struct pki_cert root = pki_make_root(name);
    struct root_list *l = NULL;
    struct cert_error err;
    char pem[4096] = "";

    close(mkstemp(file));
    pki_write_cert(file, &root);
    FILE *in = fopen(file, "r");
    size_t n = fread(pem, 1, sizeof(pem) - 1, in);
    (void)fclose(in);
    assert_int_equal(root_list_parse(pem, n, &l, &err), RC_OK);
    if (set != NULL) {
        assert_int_equal(root_set_load(file, set, &err), RC_OK);
    }
    unlink(file);
    pki_free(&root);
    return l;
}

static char name[] = "istiod";

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->own = list_of("own", &f->upstream.roots);
    f->other = list_of("other", NULL);
    f->upstream.opts.name = name;
    f->upstreams[0] = &f->upstream;
    f->config.n_upstreams = 1;
    f->g = (struct generation){.config = &f->config, .upstreams = f->upstreams};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    root_watch_fini(&f->w);
    root_set_unref(&f->upstream.roots);
    root_list_unref(&f->own);
    root_list_unref(&f->other);
    free(f);
    return 0;
}

static void test_root_watch_is_quiet__a_change__counts_with_the_second_look(void **state)
{
    struct fixture *f = *state;

    assert_true(root_watch_is_quiet(&f->w, NULL));
    assert_false(root_watch_is_quiet(&f->w, f->own));
    assert_true(root_watch_is_quiet(&f->w, f->own));
    assert_false(root_watch_is_quiet(&f->w, NULL));
}

static void test_root_watch_try__something_new__once(void **state)
{
    struct fixture *f = *state;

    assert_false(root_watch_try(&f->w, &f->g, NULL));
    assert_true(root_watch_try(&f->w, &f->g, f->other));
    assert_false(root_watch_try(&f->w, &f->g, f->other)); /* that it was refused changes nothing */
    f->config.roots = f->other;
    assert_false(root_watch_try(&f->w, &f->g, f->other));
    assert_true(root_watch_try(&f->w, &f->g, f->own)); /* the other one is not published any more */
}

static void test_root_watch_try__the_files_have_it_all__no_reload(void **state)
{
    struct fixture *f = *state;

    assert_false(root_watch_try(&f->w, &f->g, f->own));
}

static void
test_root_watch_try__another_cluster_has_not_spoken__the_old_one_does_not_count(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        f->config.roots = f->other; /* by a reload for another reason */
        assert_false(root_watch_try(&f->w, &f->g, f->other));
        assert_true(root_watch_try(&f->w, &f->g, NULL));
        f->config.roots = NULL;
        assert_false(root_watch_try(&f->w, &f->g, NULL));
    }
}

static void test_root_watch_tell__each_change_is_told_once(void **state)
{
    struct fixture *f = *state;

    root_watch_tell(&f->w, &f->g, f->other);
    uint64_t told = f->w.told;
    assert_true(told != 0);
    root_watch_tell(&f->w, &f->g, NULL); /* not known: nothing new */
    assert_true(f->w.told == told);
    root_watch_tell(&f->w, &f->g, f->own);
    assert_true(f->w.told == 0);
}

#define WATCH_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCH_TEST(test_root_watch_is_quiet__a_change__counts_with_the_second_look),
        WATCH_TEST(test_root_watch_try__something_new__once),
        WATCH_TEST(test_root_watch_try__the_files_have_it_all__no_reload),
        WATCH_TEST(test_root_watch_try__another_cluster_has_not_spoken__the_old_one_does_not_count),
        WATCH_TEST(test_root_watch_tell__each_change_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
