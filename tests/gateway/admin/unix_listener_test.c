/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin/unix_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char dir[64];
    char path[96];
    char err[256];
    struct unix_listener_id id;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    snprintf(f->dir, sizeof(f->dir), "/tmp/unix_listener_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static enum rc open_it(struct fixture *f, uint32_t mode, int *fd)
{
    return unix_listener_open(f->path, mode, fd, &f->id, f->err, sizeof(f->err));
}

static unsigned mode_of(const struct fixture *f)
{
    struct stat st;
    assert_int_equal(lstat(f->path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    return st.st_mode & 07777;
}

static int dial(const struct fixture *f)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", f->path);
    int result = connect(fd, (struct sockaddr *)&sun, sizeof(sun));
    int e = errno;
    close(fd);
    errno = e;
    return result;
}

static void test_unix_listener__mode__as_asked_whatever_the_umask(void **state)
{
    static const uint32_t modes[] = {0600, 0660, 0666, 0700, 0777};
    static const mode_t masks[] = {0, 022, 077, 0777};
    struct fixture *f = *state;
    int fd = -1;

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        for (size_t k = 0; k < sizeof(masks) / sizeof(masks[0]); k++) {
            mode_t before = umask(masks[k]);
            enum rc rc = open_it(f, modes[i], &fd);
            umask(before);

            assert_int_equal(rc, RC_OK);
            assert_int_equal(mode_of(f), modes[i]);
            assert_int_equal(dial(f), 0);
            close(fd);
            unix_listener_unlink(f->path, &f->id);
        }
    }
}

static void test_unix_listener__socket_of_a_dead_process__replaced(void **state)
{
    struct fixture *f = *state;
    int fd = -1;
    assert_int_equal(open_it(f, 0600, &fd), RC_OK);
    close(fd); /* as when its process was killed: the file stays */
    assert_int_equal(dial(f), -1);
    assert_int_equal(errno, ECONNREFUSED);

    assert_int_equal(open_it(f, 0660, &fd), RC_OK);

    assert_int_equal(mode_of(f), 0660);
    assert_int_equal(dial(f), 0);
    close(fd);
}

static void test_unix_listener__somebody_listens__busy_and_untouched(void **state)
{
    struct fixture *f = *state;
    struct unix_listener_id mine;
    int fd = -1;
    int other = -1;
    assert_int_equal(open_it(f, 0600, &fd), RC_OK);
    mine = f->id;

    assert_int_equal(open_it(f, 0660, &other), RC_BUSY);

    assert_int_equal(other, -1);
    assert_non_null(strstr(f->err, f->path));
    assert_int_equal(mode_of(f), 0600);
    assert_int_equal(dial(f), 0);
    close(fd);
    unix_listener_unlink(f->path, &mine);
}

static void test_unix_listener__another_kind_of_file__refused_and_untouched(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    int fd = -1;
    int file = open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(file, "x", 1), 1);
    close(file);

    assert_int_equal(open_it(f, 0660, &fd), RC_INVALID);

    assert_int_equal(lstat(f->path, &st), 0);
    assert_int_equal(st.st_size, 1);
    assert_int_equal(unlink(f->path), 0);

    assert_int_equal(symlink("/tmp/nowhere", f->path), 0);
    assert_int_equal(open_it(f, 0660, &fd), RC_INVALID);
    assert_int_equal(lstat(f->path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

static void test_unix_listener__no_folder__error_with_the_path(void **state)
{
    struct fixture *f = *state;
    int fd = -1;
    char path[128];
    snprintf(path, sizeof(path), "%s/none/s", f->dir);

    enum rc rc = unix_listener_open(path, 0660, &fd, &f->id, f->err, sizeof(f->err));

    assert_int_not_equal(rc, RC_OK);
    assert_non_null(strstr(f->err, path));
    assert_int_equal(fd, -1);
}

static void test_unix_listener__path_too_long__invalid(void **state)
{
    struct fixture *f = *state;
    char path[200];
    int fd = -1;
    memset(path, 'a', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';

    assert_int_equal(unix_listener_open(path, 0660, &fd, &f->id, f->err, sizeof(f->err)),
                     RC_INVALID);
}

static void test_unix_listener_unlink__another_file_in_its_place__stays(void **state)
{
    struct fixture *f = *state;
    struct unix_listener_id first;
    int fd = -1;
    int second = -1;
    assert_int_equal(open_it(f, 0600, &fd), RC_OK);
    first = f->id;
    char kept[128];
    snprintf(kept, sizeof(kept), "%s.old", f->path);
    assert_int_equal(rename(f->path, kept), 0); /* keeps its inode number in use */
    assert_int_equal(open_it(f, 0600, &second), RC_OK);

    unix_listener_unlink(f->path, &first);

    assert_int_equal(dial(f), 0);
    unix_listener_unlink(f->path, &f->id);
    assert_int_equal(dial(f), -1);
    close(fd);
    close(second);
    unlink(kept);
}

int main(void)
{
#define UNIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        UNIT(test_unix_listener__mode__as_asked_whatever_the_umask),
        UNIT(test_unix_listener__socket_of_a_dead_process__replaced),
        UNIT(test_unix_listener__somebody_listens__busy_and_untouched),
        UNIT(test_unix_listener__another_kind_of_file__refused_and_untouched),
        UNIT(test_unix_listener__no_folder__error_with_the_path),
        UNIT(test_unix_listener__path_too_long__invalid),
        UNIT(test_unix_listener_unlink__another_file_in_its_place__stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
