/* SPDX-License-Identifier: Apache-2.0 */
/* What a service manager gets from us, over its socket. */
#include "gateway/daemon/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH_MAX_BYTES (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

struct manager {
    char dir[64];
    char name[PATH_MAX_BYTES + 1]; /* as in NOTIFY_SOCKET */
    int fd;
};

/* A service manager at dir/FILE, or at the abstract name @dir/FILE. */
static void start(struct manager *m, char kind, const char *file)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    snprintf(m->dir, sizeof(m->dir), "/tmp/notify_test.XXXXXX");
    assert_non_null(mkdtemp(m->dir));
    int n = snprintf(m->name, sizeof(m->name), "%s%s/%s", kind == '@' ? "@" : "", m->dir, file);
    assert_true(n > 0 && (size_t)n < sizeof(m->name));
    memcpy(at.sun_path, m->name, (size_t)n);
    if (kind == '@') {
        at.sun_path[0] = '\0';
    }
    m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(m->fd >= 0);
    size_t len = offsetof(struct sockaddr_un, sun_path) + (size_t)n + (kind != '@');
    assert_int_equal(bind(m->fd, (struct sockaddr *)&at, (socklen_t)len), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", m->name, 1), 0);
}

static void assert_told(const struct manager *m, const char *text)
{
    char got[1024];
    ssize_t n = recv(m->fd, got, sizeof(got) - 1, 0);

    assert_true(n >= 0);
    got[n] = '\0';
    assert_string_equal(got, text);
}

static void stop(struct manager *m)
{
    close(m->fd);
    (void)unlink(m->name);
    assert_int_equal(rmdir(m->dir), 0);
    unsetenv("NOTIFY_SOCKET");
}

/* ---- messages ---- */

static void test_notify__path__gets_one_datagram_for_each_message(void **state)
{
    struct manager m;
    (void)state;
    start(&m, '/', "n");

    assert_int_equal(notify_tell("READY=1"), RC_OK);
    assert_int_equal(notify_tell("RELOADING=1\nMONOTONIC_USEC=%lld", 12LL), RC_OK);

    assert_told(&m, "READY=1");
    assert_told(&m, "RELOADING=1\nMONOTONIC_USEC=12");
    assert_true(recv(m.fd, &(char){0}, 1, 0) < 0);
    stop(&m);
}

static void test_notify__abstract_name__is_found(void **state)
{
    struct manager m;
    (void)state;
    start(&m, '@', "n");

    assert_int_equal(notify_tell("STATUS=%s", "well"), RC_OK);

    assert_told(&m, "STATUS=well");
    stop(&m);
}

static void test_notify__longest_path__is_found(void **state)
{
    struct manager m;
    char file[PATH_MAX_BYTES];
    (void)state;
    snprintf(m.dir, sizeof(m.dir), "/tmp/notify_test.XXXXXX");
    size_t n = PATH_MAX_BYTES - strlen(m.dir) - 1;
    memset(file, 'a', n);
    file[n] = '\0';
    start(&m, '/', file);
    assert_int_equal(strlen(m.name), PATH_MAX_BYTES);

    assert_int_equal(notify_tell("READY=1"), RC_OK);

    assert_told(&m, "READY=1");
    stop(&m);
}

static void test_notify__nobody_wants_to_know__is_not_found(void **state)
{
    (void)state;

    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_tell("READY=1"), RC_NOT_FOUND);
    setenv("NOTIFY_SOCKET", "", 1);
    assert_int_equal(notify_tell("READY=1"), RC_NOT_FOUND);
    setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
    assert_int_equal(notify_tell("READY=1"), RC_NOT_FOUND);
    unsetenv("NOTIFY_SOCKET");
}

static void test_notify__no_address_for_us__is_invalid(void **state)
{
    static const char *const names[] = {"notify", "vsock:2:1234", "/", "@", "./notify"};
    char path[200];
    (void)state;

    for (size_t i = 0; i < COUNT(names); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        assert_int_equal(notify_tell("READY=1"), RC_INVALID);
    }
    for (size_t n = PATH_MAX_BYTES + 1; n < sizeof(path); n++) {
        memset(path, 'a', n);
        path[0] = n % 2 == 0 ? '/' : '@';
        path[n] = '\0';
        setenv("NOTIFY_SOCKET", path, 1);
        assert_int_equal(notify_tell("READY=1"), RC_INVALID);
    }
    unsetenv("NOTIFY_SOCKET");
}

static void test_notify__manager_is_gone__is_refused(void **state)
{
    struct manager m;
    (void)state;
    start(&m, '/', "n");
    close(m.fd);

    assert_int_equal(notify_tell("READY=1"), RC_REFUSED);

    m.fd = -1;
    stop(&m);
}

/* The main thread has other work than to wait for a service manager that hangs. */
static void test_notify__manager_does_not_read__gives_up(void **state)
{
    struct manager m;
    enum rc rc = RC_OK;
    (void)state;
    start(&m, '/', "n");

    for (int i = 0; i < 100000 && rc == RC_OK; i++) {
        rc = notify_tell("WATCHDOG=1");
    }

    assert_int_equal(rc, RC_AGAIN);
    stop(&m);
}

static void test_notify__no_file_descriptor_stays_open(void **state)
{
    struct manager m;
    (void)state;
    start(&m, '/', "n");
    int before = dup(m.fd);
    close(before);

    assert_int_equal(notify_tell("READY=1"), RC_OK);
    assert_int_equal(unlink(m.name), 0);
    assert_int_equal(notify_tell("READY=1"), RC_NOT_FOUND);

    int after = dup(m.fd);
    assert_int_equal(after, before);
    close(after);
    stop(&m);
}

/* ---- the watchdog ---- */

static void set(const char *name, const char *value)
{
    if (value == NULL) {
        unsetenv(name);
    } else {
        setenv(name, value, 1);
    }
}

static void test_notify__watchdog__is_on_for_this_process_only(void **state)
{
    char own[24];
    char other[24];
    const struct {
        const char *usec;
        const char *pid;
        uint64_t want;
    } rows[] = {
        {"30000000", NULL, 30000000},
        {"30000000", own, 30000000},
        {"30000000", other, 0},
        {"30000000", "", 0},
        {"30000000", "x", 0},
        {NULL, NULL, 0},
        {NULL, own, 0},
        {"", own, 0},
        {"0", own, 0},
        {"-5", own, 0},
        {" 5", own, 0},
        {"5x", own, 0},
        {"5", own, 5},
        {"99999999999999999999", own, 0},
    };
    (void)state;
    snprintf(own, sizeof(own), "%ld", (long)getpid());
    snprintf(other, sizeof(other), "%ld", (long)getpid() + 1);

    for (size_t i = 0; i < COUNT(rows); i++) {
        set("WATCHDOG_USEC", rows[i].usec);
        set("WATCHDOG_PID", rows[i].pid);
        assert_int_equal(notify_watchdog_usec(), rows[i].want);
    }
    set("WATCHDOG_USEC", NULL);
    set("WATCHDOG_PID", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notify__path__gets_one_datagram_for_each_message),
        cmocka_unit_test(test_notify__abstract_name__is_found),
        cmocka_unit_test(test_notify__longest_path__is_found),
        cmocka_unit_test(test_notify__nobody_wants_to_know__is_not_found),
        cmocka_unit_test(test_notify__no_address_for_us__is_invalid),
        cmocka_unit_test(test_notify__manager_is_gone__is_refused),
        cmocka_unit_test(test_notify__manager_does_not_read__gives_up),
        cmocka_unit_test(test_notify__no_file_descriptor_stays_open),
        cmocka_unit_test(test_notify__watchdog__is_on_for_this_process_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
