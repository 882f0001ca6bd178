/* SPDX-License-Identifier: Apache-2.0 */
/* Small files come whole, or not at all; nobody is waited for. */
#include "core/base/file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/wipe.h"

#define MAX 10

struct fixture {
    char dir[64];
    char file[96];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char dir[] = "/tmp/file_read_test.XXXXXX";

    assert_non_null(f);
    assert_non_null(mkdtemp(dir));
    (void)snprintf(f->dir, sizeof(f->dir), "%s", dir);
    (void)snprintf(f->file, sizeof(f->file), "%s/file", dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    (void)unlink(f->file);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static void put(const char *path, const char *data, size_t n)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void assert_fails(const char *path, enum rc rc, int reason)
{
    char *text = (char *)1;
    size_t n = 77;
    struct stat st = {.st_size = 77};

    errno = 0;
    assert_int_equal(file_read(path, MAX, &st, &text, &n), rc);
    if (reason != 0) {
        assert_int_equal(errno, reason);
    }
    assert_ptr_equal(text, (char *)1);
    assert_int_equal(n, 77);
    assert_int_equal(st.st_size, 77);
}

static void test_file_read__every_size_up_to_the_limit__comes_whole(void **state)
{
    const struct fixture *f = *state;

    for (size_t size = 0; size <= MAX; size++) {
        char *text = NULL;
        size_t n = 77;
        struct stat st = {.st_size = 77};
        put(f->file, "01\0003456789", size);
        assert_int_equal(file_read(f->file, MAX, &st, &text, &n), RC_OK);
        assert_int_equal(n, size);
        assert_int_equal(st.st_size, size);
        assert_memory_equal(text, "01\0003456789", size);
        assert_int_equal(text[n], '\0');
        wipe_free(text, n);

        assert_int_equal(file_read_waiting(f->file, MAX, &text, &n), RC_OK);
        assert_int_equal(n, size);
        wipe_free(text, n);
    }
    wipe_free(NULL, 0);
}

static void test_file_read__larger__is_refused(void **state)
{
    const struct fixture *f = *state;
    char *text = NULL;
    size_t n = 0;

    put(f->file, "0123456789a", MAX + 1);
    assert_fails(f->file, RC_FULL, 0);
    assert_int_equal(file_read_waiting(f->file, MAX, &text, &n), RC_FULL);
    put(f->file, "0123456789abcdef", 16);
    assert_fails(f->file, RC_FULL, 0);
}

static void test_file_read__not_there__errno_says_why(void **state)
{
    const struct fixture *f = *state;
    char *text = NULL;
    size_t n = 0;

    assert_fails(f->file, RC_SYSTEM, ENOENT);
    assert_int_equal(file_read_waiting(f->file, MAX, &text, &n), RC_SYSTEM);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(file_read_waiting(f->dir, MAX, &text, &n), RC_SYSTEM);
    assert_int_equal(errno, EISDIR);
}

/* Would wait for ever, if it did. */
static void test_file_read__no_regular_file__is_refused_at_once(void **state)
{
    const struct fixture *f = *state;

    assert_int_equal(mkfifo(f->file, 0600), 0);
    assert_fails(f->file, RC_INVALID, 0);
    assert_fails(f->dir, RC_INVALID, 0);
    assert_fails("/dev/zero", RC_INVALID, 0);
}

static void *write_pipe(void *path)
{
    put(path, "two", 3);
    return NULL;
}

static void test_file_read_waiting__pipe__is_read_to_its_end(void **state)
{
    struct fixture *f = *state;
    pthread_t writer;
    char *text = NULL;
    size_t n = 0;

    assert_int_equal(mkfifo(f->file, 0600), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_pipe, f->file), 0);
    assert_int_equal(file_read_waiting(f->file, MAX, &text, &n), RC_OK);
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_string_equal(text, "two");
    wipe_free(text, n);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_file_read__every_size_up_to_the_limit__comes_whole),
        TEST(test_file_read__larger__is_refused),
        TEST(test_file_read__not_there__errno_says_why),
        TEST(test_file_read__no_regular_file__is_refused_at_once),
        TEST(test_file_read_waiting__pipe__is_read_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
