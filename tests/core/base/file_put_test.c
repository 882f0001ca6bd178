/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/file_put.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH_BYTES 128

struct fixture {
    char dir[64];
    char a[PATH_BYTES];
    char b[PATH_BYTES];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    snprintf(f->dir, sizeof(f->dir), "/tmp/file_put_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->a, PATH_BYTES, "%s/a", f->dir);
    snprintf(f->b, PATH_BYTES, "%s/b", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    unlink(f->a);
    unlink(f->b);
    rmdir(f->b);
    assert_int_equal(rmdir(f->dir), 0); /* nothing else is left in it */
    free(f);
    return 0;
}

static void assert_content(const char *path, const char *text, mode_t mode)
{
    char buf[64] = "";
    struct stat st;
    FILE *f = fopen(path, "re");

    assert_non_null(f);
    size_t n = fread(buf, 1, sizeof(buf) - 1, f);
    fclose(f);
    assert_int_equal(n, strlen(text));
    assert_string_equal(buf, text);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void put(const struct fixture *f, const char *a, const char *b)
{
    const struct file_put files[] = {{f->a, a, strlen(a), 0600, true},
                                     {f->b, b, strlen(b), 0644, true}};
    size_t failed = 9;

    assert_int_equal(file_put_all(files, 2, &failed), RC_OK);
}

static void test_file_put__new_files__have_content_and_mode(void **state)
{
    const struct fixture *f = *state;
    mode_t before = umask(0077);

    put(f, "secret", "public");

    umask(before);
    assert_content(f->a, "secret", 0600);
    assert_content(f->b, "public", 0644);
}

static void test_file_put__older_files__are_replaced(void **state)
{
    const struct fixture *f = *state;

    put(f, "one and more", "two and more");
    put(f, "", "2");

    assert_content(f->a, "", 0600);
    assert_content(f->b, "2", 0644);
}

static void test_file_put__older_file_of_another_owner__stays_theirs(void **state)
{
    const struct fixture *f = *state;
    struct stat st;

    if (geteuid() != 0) {
        skip(); /* nobody else may give files away */
    }
    put(f, "one", "two");
    assert_int_equal(chown(f->a, 1234, 5678), 0);
    put(f, "new", "two");

    assert_int_equal(stat(f->a, &st), 0);
    assert_int_equal(st.st_uid, 1234);
    assert_int_equal(st.st_gid, 5678);
    assert_content(f->a, "new", 0600);
}

static void test_file_put__owner_is_not_to_be_kept__it_is_ours(void **state)
{
    const struct fixture *f = *state;
    const struct file_put file = {f->a, "new", 3, 0700, false};
    struct stat st;
    size_t failed = 0;

    if (geteuid() != 0) {
        skip();
    }
    put(f, "one", "two");
    assert_int_equal(chown(f->a, 1234, 5678), 0);

    assert_int_equal(file_put_all(&file, 1, &failed), RC_OK);

    assert_int_equal(stat(f->a, &st), 0);
    assert_int_equal(st.st_uid, 0);
    assert_int_not_equal(st.st_gid, 5678);
    assert_content(f->a, "new", 0700);
}

/* /tmp, say: whoever made a file there before us is not to read what we write. */
static void test_file_put__anybody_may_have_made_the_older_file__refused(void **state)
{
    const struct fixture *f = *state;
    const struct file_put files[] = {{f->b, "new", 3, 0644, true}, {f->a, "new", 3, 0600, true}};
    size_t failed = 0;

    if (geteuid() != 0) {
        skip();
    }
    put(f, "one", "two");
    assert_int_equal(chown(f->a, 1234, 5678), 0);
    assert_int_equal(chmod(f->dir, 01777), 0);

    assert_int_equal(file_put_all(files, 2, &failed), RC_SYSTEM);

    assert_int_equal(errno, EPERM);
    assert_int_equal(failed, 1);
    assert_content(f->a, "one", 0600);
    assert_content(f->b, "two", 0644);

    assert_int_equal(chown(f->dir, 1234, 0), 0); /* whose folder it is may do what he wants */
    assert_int_equal(file_put_all(files, 2, &failed), RC_OK);
    assert_content(f->a, "new", 0600);
}

static void test_file_put__group_cannot_be_kept__nobody_elses_group_reads_it(void **state)
{
    const struct fixture *f = *state;
    const struct file_put old = {f->a, "old", 3, 0640, true};
    const struct file_put fresh[] = {{f->a, "key", 3, 0640, true}, {f->b, "all", 3, 0644, true}};
    size_t failed = 0;

    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(file_put_all(&old, 1, &failed), RC_OK);
    assert_int_equal(chown(f->a, 0, 4711), 0);
    assert_int_equal(chown(f->dir, 1234, 1234), 0);
    assert_int_equal(setegid(1234), 0);
    assert_int_equal(seteuid(1234), 0);

    enum rc rc = file_put_all(fresh, 2, &failed);

    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
    assert_int_equal(rc, RC_OK);
    assert_content(f->a, "key", 0600);
    assert_content(f->b, "all", 0644);
}

static void test_file_put__link_at_the_place__its_target_is_untouched(void **state)
{
    const struct fixture *f = *state;
    struct stat st;

    put(f, "target", "old");
    assert_int_equal(unlink(f->b), 0);
    assert_int_equal(symlink(f->a, f->b), 0);
    const struct file_put file = {f->b, "new", 3, 0644, true};
    size_t failed;

    assert_int_equal(file_put_all(&file, 1, &failed), RC_OK);

    assert_content(f->a, "target", 0600);
    assert_int_equal(lstat(f->b, &st), 0);
    assert_true(S_ISREG(st.st_mode));
}

static void test_file_put__would_replace__what_is_there_and_links_to_nowhere(void **state)
{
    const struct fixture *f = *state;

    assert_false(file_put_replaces(f->a));
    assert_int_equal(symlink("/nowhere/at/all", f->a), 0);
    assert_true(file_put_replaces(f->a));
    assert_int_equal(unlink(f->a), 0);
    put(f, "one", "two");
    assert_true(file_put_replaces(f->a));
    assert_false(file_put_replaces("/nowhere/at/all"));
}

static void test_file_put__one_cannot_be_written__none_is_changed(void **state)
{
    const struct fixture *f = *state;

    put(f, "one", "two");
    const struct file_put files[] = {{f->a, "new", 3, 0600, true},
                                     {"/nowhere/at/all", "new", 3, 0600, true}};
    size_t failed = 9;

    errno = 0;
    assert_int_equal(file_put_all(files, 2, &failed), RC_SYSTEM);

    assert_int_equal(errno, ENOENT);
    assert_int_equal(failed, 1);
    assert_content(f->a, "one", 0600);
}

static void test_file_put__folder_at_the_place__is_an_error_that_leaves_nothing(void **state)
{
    const struct fixture *f = *state;
    const struct file_put files[] = {{f->b, "new", 3, 0600, true}, {f->a, "new", 3, 0600, true}};
    size_t failed = 9;

    assert_int_equal(mkdir(f->b, 0700), 0);
    assert_int_equal(file_put_all(files, 2, &failed), RC_SYSTEM);

    assert_int_equal(errno, EISDIR);
    assert_int_equal(failed, 0);
    assert_int_equal(access(f->a, F_OK), -1); /* the teardown sees the rest */
}

#define PUT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PUT_TEST(test_file_put__new_files__have_content_and_mode),
        PUT_TEST(test_file_put__older_files__are_replaced),
        PUT_TEST(test_file_put__older_file_of_another_owner__stays_theirs),
        PUT_TEST(test_file_put__owner_is_not_to_be_kept__it_is_ours),
        PUT_TEST(test_file_put__anybody_may_have_made_the_older_file__refused),
        PUT_TEST(test_file_put__group_cannot_be_kept__nobody_elses_group_reads_it),
        PUT_TEST(test_file_put__link_at_the_place__its_target_is_untouched),
        PUT_TEST(test_file_put__would_replace__what_is_there_and_links_to_nowhere),
        PUT_TEST(test_file_put__one_cannot_be_written__none_is_changed),
        PUT_TEST(test_file_put__folder_at_the_place__is_an_error_that_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
