/* SPDX-License-Identifier: Apache-2.0 */
/* The admin server over real sockets, each test with a server of its own. */
#include "gateway/admin/server.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/admin/page.h"
#include "tests/gateway/admin/http.h"

#define SLOW_CLIENTS 100
#define MANY_CLIENTS (ADMIN_MAX_CONNECTIONS + 40)

struct fixture {
    struct admin *admin;
    struct admin_opts opts;
    char dir[64];
    char path[96];
    uint16_t port;
    uint16_t metrics_port;
    bool ready;
    unsigned inside; /* calls of the source that run now */
    bool overlap;
    char err[256];
    struct http_answer answer;
};

/* Two listeners ask at once: were they let in together, one would see the other here. */
static void enter(struct fixture *f)
{
    if (__atomic_add_fetch(&f->inside, 1, __ATOMIC_SEQ_CST) != 1) {
        __atomic_store_n(&f->overlap, true, __ATOMIC_SEQ_CST);
    }
}

static void leave(struct fixture *f)
{
    __atomic_sub_fetch(&f->inside, 1, __ATOMIC_SEQ_CST);
}

static bool say_ready(void *arg, FILE *reasons)
{
    struct fixture *f = arg;
    enter(f);
    (void)fputs("upstream istiod\n", reasons);
    leave(f);
    return f->ready;
}

static bool say_live(void *arg, FILE *reasons)
{
    enter(arg);
    (void)reasons;
    leave(arg);
    return true;
}

static void say_metrics(void *arg, FILE *out)
{
    enter(arg);
    for (int i = 0; i < 1000; i++) {
        (void)fprintf(out, "xdsgate_line_%d 1\n", i);
    }
    leave(arg);
}

static void say_version(void *arg, FILE *out)
{
    (void)arg;
    (void)fputs("{\"version\": \"1.2.3\"}\n", out);
}

static unsigned say_api(void *arg, const struct admin_call *call, FILE *out)
{
    const char *who = call->argument(call, "who");

    enter(arg);
    (void)fprintf(out, "%s %s uid=%u who=%s\n", call->change ? "do" : "tell", call->path,
                  (unsigned)call->uid, who != NULL ? who : "-");
    leave(arg);
    return 200;
}

static struct addr ip(const char *text, uint16_t port)
{
    struct addr a;
    assert_int_equal(addr_parse_ip(text, &a), RC_OK);
    a.port = port;
    return a;
}

static enum rc start(struct fixture *f)
{
    const struct admin_source source = {f, say_ready, say_live, say_metrics, say_version, say_api};
    return admin_start(&f->opts, &source, &f->admin, f->err, sizeof(f->err));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    snprintf(f->dir, sizeof(f->dir), "/tmp/admin_server_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/admin.sock", f->dir);
    f->port = http_free_port();
    f->metrics_port = http_free_port();
    f->opts = (struct admin_opts){.socket_path = f->path,
                                  .socket_mode = 0640,
                                  .bind = ip("127.0.0.1", f->port),
                                  .metrics_bind = ip("0.0.0.0", f->metrics_port)};
    f->ready = true;
    if (start(f) != RC_OK) {
        fail_msg("%s", f->err);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    admin_stop(&f->admin);
    assert_null(f->admin);
    assert_false(f->overlap);
    assert_int_equal(access(f->path, F_OK), -1);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

/* One request on a connection of its own; fd is closed. */
static int exchange(struct fixture *f, int fd, const char *request)
{
    http_send(fd, request);
    http_receive(fd, strncmp(request, "HEAD", 4) == 0, &f->answer);
    close(fd);
    return f->answer.status;
}

static int dial_admin(const struct fixture *f)
{
    return http_dial_tcp(NULL, "127.0.0.1", f->port);
}

static int dial_metrics(const struct fixture *f)
{
    return http_dial_tcp(NULL, "127.0.0.1", f->metrics_port);
}

static int get_admin(struct fixture *f, const char *path)
{
    char request[256];
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    return exchange(f, dial_admin(f), request);
}

static void test_admin__pages_by_tcp__status_type_and_body(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get_admin(f, "/api/v1/version"), 200);
    assert_string_equal(f->answer.body, "{\"version\": \"1.2.3\"}\n");
    assert_non_null(strstr(f->answer.head, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(f->answer.head, "Cache-Control: no-store\r\n"));

    assert_int_equal(get_admin(f, "/metrics"), 200);
    assert_non_null(strstr(f->answer.body, "xdsgate_line_999 1\n"));
    assert_non_null(strstr(f->answer.head, "text/plain; version=0.0.4"));

    assert_int_equal(get_admin(f, "/healthz/live"), 200);
    assert_string_equal(f->answer.body, "ok\n");
    assert_int_equal(get_admin(f, "/healthz/ready?verbose"), 200);
    assert_string_equal(f->answer.body, "upstream istiod\nok\n");
    assert_int_equal(get_admin(f, "/healthz?verbose=1&x=y"), 200);
    assert_string_equal(f->answer.body, "upstream istiod\nok\n");
    f->ready = false;
    assert_int_equal(get_admin(f, "/healthz/ready"), 503);
    assert_string_equal(f->answer.body, "upstream istiod\n");
    assert_int_equal(get_admin(f, "/nothing"), 404);
}

static void test_admin__status_page__whole_with_strict_headers(void **state)
{
    static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct fixture *f = *state;
    char policy[1024];

    snprintf(policy, sizeof(policy), "\r\nContent-Security-Policy: %s\r\n", page_policy);
    for (int i = 0; i < 2; i++) {
        int status = i == 0 ? get_admin(f, "/") : exchange(f, http_dial_unix(f->path), get);
        assert_int_equal(status, 200);
        assert_string_equal(f->answer.body, page_html);
        assert_non_null(strstr(f->answer.head, "\r\nContent-Type: text/html; charset=utf-8\r\n"));
        assert_non_null(strstr(f->answer.head, policy));
        assert_non_null(strstr(f->answer.head, "\r\nX-Frame-Options: DENY\r\n"));
        assert_non_null(strstr(f->answer.head, "\r\nReferrer-Policy: no-referrer\r\n"));
        assert_non_null(strstr(f->answer.head, "\r\nX-Content-Type-Options: nosniff\r\n"));
    }
    assert_int_equal(exchange(f, dial_metrics(f), "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
                     404);
    assert_int_equal(exchange(f, dial_admin(f), get), 421); /* rebound */
}

static void test_admin__keep_alive__two_requests_on_one_connection(void **state)
{
    struct fixture *f = *state;
    int fd = dial_admin(f);

    for (int i = 0; i < 3; i++) {
        http_send(fd, "GET /healthz/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        http_receive(fd, 0, &f->answer);
        assert_int_equal(f->answer.status, 200);
    }
    close(fd);
}

static void test_admin__head__headers_without_a_body(void **state)
{
    struct fixture *f = *state;
    int fd = dial_admin(f);

    http_send(fd, "HEAD /healthz/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
                  "GET /healthz/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    http_receive(fd, 1, &f->answer);
    assert_int_equal(f->answer.status, 200);
    assert_non_null(strstr(f->answer.head, "Content-Length: 3\r\n"));
    http_receive(fd, 0, &f->answer); /* what follows is the next answer, not a body */
    assert_int_equal(f->answer.status, 200);
    http_await_end(fd);
    close(fd);
}

static void test_admin__other_methods__405_with_allow(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"};
    struct fixture *f = *state;
    char request[256];

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        snprintf(request, sizeof(request),
                 "%s /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
                 methods[i]);
        assert_int_equal(exchange(f, dial_admin(f), request), 405);
        assert_non_null(strstr(f->answer.head, "Allow: GET, HEAD\r\n"));
    }
}

static void test_admin__get_with_a_body__413_and_the_end(void **state)
{
    struct fixture *f = *state;
    int fd = dial_admin(f);

    http_send(fd, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n");
    http_receive(fd, 0, &f->answer); /* does not wait for the body */
    assert_int_equal(f->answer.status, 413);
    http_await_end(fd);
    close(fd);
}

static void test_admin__malformed_requests__never_a_page(void **state)
{
    static const char *const requests[] = {
        "GET /metrics HTTP/1.1\r\n\r\n",
        "GET\r\n\r\n",
        "nonsense\r\n\r\n",
        "\r\n\r\n\r\n\r\n",
        "GET /metrics HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost localhost\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: 127.0.0.1\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        int fd = dial_admin(f);
        http_send(fd, requests[i]);
        shutdown(fd, SHUT_WR);
        http_receive(fd, 0, &f->answer);
        close(fd);
        if (f->answer.status != 0 && (f->answer.status < 400 || f->answer.status > 599)) {
            fail_msg("status %d for request %zu", f->answer.status, i);
        }
    }
    assert_int_equal(get_admin(f, "/healthz/live"), 200);
}

static void test_admin__endless_headers__refused(void **state)
{
    struct fixture *f = *state;
    int fd = dial_admin(f);
    static char block[64 * 1024];
    memset(block, 'a', sizeof(block) - 1);

    http_send(fd, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ");
    (void)send(fd, block, sizeof(block) - 1, MSG_NOSIGNAL);
    http_receive(fd, 0, &f->answer);
    assert_true(f->answer.status == 0 || f->answer.status == 431 || f->answer.status == 413);
    close(fd);
    assert_int_equal(get_admin(f, "/healthz/live"), 200);
}

static void test_admin__foreign_host__421(void **state)
{
    static const char foreign[] = "GET /metrics HTTP/1.1\r\nHost: rebound.example:80\r\n\r\n";
    struct fixture *f = *state;

    assert_int_equal(exchange(f, dial_admin(f), foreign), 421);
    assert_int_equal(exchange(f, dial_metrics(f), foreign), 421); /* it came over loopback */
    assert_int_equal(exchange(f, http_dial_unix(f->path), foreign), 200);
    assert_int_equal(exchange(f, dial_admin(f),
                              "GET http://rebound.example/metrics HTTP/1.1\r\n"
                              "Host: rebound.example\r\n\r\n"),
                     421);
    assert_int_equal(exchange(f, dial_admin(f), "GET /healthz/live HTTP/1.0\r\n\r\n"), 200);
}

static void test_admin__unix_socket__all_pages_and_its_mode(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    assert_int_equal(lstat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(
        exchange(f, http_dial_unix(f->path), "GET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n"),
        200);
    assert_int_equal(
        exchange(f, http_dial_unix(f->path), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
}

static void test_admin__change__over_the_unix_socket_with_the_callers_user(void **state)
{
    static const char order[] =
        "POST /api/v1/vms/a%2Eb/revoke?who=me%20too HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Length: 0\r\n\r\n";
    struct fixture *f = *state;
    char expected[96];

    assert_int_equal(exchange(f, http_dial_unix(f->path), order), 200);
    snprintf(expected, sizeof(expected), "do vms/a.b/revoke uid=%u who=me too\n",
             (unsigned)geteuid());
    assert_string_equal(f->answer.body, expected);
    assert_int_equal(exchange(f, dial_admin(f), order), 405);
    assert_int_equal(exchange(f, dial_metrics(f), order), 405);
}

static void test_admin__metrics_address__health_and_metrics_only(void **state)
{
    struct fixture *f = *state;
    static const char host[] = "HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    char request[256];

    snprintf(request, sizeof(request), "GET /metrics %s", host);
    assert_int_equal(exchange(f, dial_metrics(f), request), 200);
    snprintf(request, sizeof(request), "GET /healthz/ready %s", host);
    assert_int_equal(exchange(f, dial_metrics(f), request), 200);
    snprintf(request, sizeof(request), "GET /api/v1/version %s", host);
    assert_int_equal(exchange(f, dial_metrics(f), request), 404);
}

/* Half a request each, and then silence. */
static void test_admin__a_hundred_slow_clients__others_are_served(void **state)
{
    struct fixture *f = *state;
    int slow[SLOW_CLIENTS];

    for (int i = 0; i < SLOW_CLIENTS; i++) {
        slow[i] = dial_admin(f);
        http_send(slow[i], "GET /metrics HTTP/1.1\r\nHost: loc");
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(get_admin(f, "/healthz/live"), 200);
    }
    http_send(slow[0], "alhost\r\n\r\n"); /* slow is not wrong */
    http_receive(slow[0], 0, &f->answer);
    assert_int_equal(f->answer.status, 200);
    for (int i = 0; i < SLOW_CLIENTS; i++) {
        close(slow[i]);
    }
}

static void test_admin__more_clients_than_allowed__the_oldest_make_room(void **state)
{
    struct fixture *f = *state;
    int fds[MANY_CLIENTS];

    for (int i = 0; i < MANY_CLIENTS; i++) {
        fds[i] = dial_admin(f);
        http_send(fds[i], "GET /metrics HTTP/1.1\r\nHost: loc");
    }
    assert_int_equal(get_admin(f, "/healthz/live"), 200);
    for (int i = 0; i < MANY_CLIENTS - ADMIN_MAX_CONNECTIONS; i++) {
        http_await_end(fds[i]);
    }
    http_send(fds[MANY_CLIENTS - 1], "alhost\r\n\r\n");
    http_receive(fds[MANY_CLIENTS - 1], 0, &f->answer);
    assert_int_equal(f->answer.status, 200);
    for (int i = 0; i < MANY_CLIENTS; i++) {
        close(fds[i]);
    }
}

static void test_admin_stop__open_connections__closed(void **state)
{
    struct fixture *f = *state;
    int idle = dial_admin(f);
    int half = http_dial_unix(f->path);
    http_send(half, "GET /met");
    assert_int_equal(get_admin(f, "/healthz/live"), 200); /* all three were accepted */

    admin_stop(&f->admin);

    http_await_end(idle);
    http_await_end(half);
    close(idle);
    close(half);
    assert_int_equal(start(f), RC_OK); /* the ports are free at once */
    assert_int_equal(get_admin(f, "/healthz/live"), 200);
}

static void test_admin_start__what_is_taken__error_and_nothing_left_open(void **state)
{
    struct fixture *f = *state;
    struct fixture other = *f;
    other.admin = NULL;

    assert_int_equal(start(&other), RC_BUSY); /* the unix socket */
    assert_null(other.admin);
    assert_non_null(strstr(other.err, f->path));

    snprintf(other.path, sizeof(other.path), "%s/other.sock", f->dir);
    other.opts.socket_path = other.path;
    assert_int_not_equal(start(&other), RC_OK); /* the TCP port */
    assert_null(other.admin);
    assert_non_null(strstr(other.err, "127.0.0.1:"));
    assert_int_equal(access(other.path, F_OK), -1);

    assert_int_equal(get_admin(f, "/healthz/live"), 200);
    assert_int_equal(access(f->path, F_OK), 0);
}

static void test_admin_start__remote_address__only_when_allowed(void **state)
{
    struct fixture *f = *state;
    admin_stop(&f->admin);
    f->opts.bind = ip("0.0.0.0", f->port);

    assert_int_equal(start(f), RC_INVALID);

    f->opts.allow_remote = true;
    assert_int_equal(start(f), RC_OK);
    assert_int_equal(get_admin(f, "/healthz/live"), 200);
}

static void test_admin_start__nothing_configured__nothing_open(void **state)
{
    struct fixture *f = *state;
    admin_stop(&f->admin);
    f->opts = (struct admin_opts){0};

    assert_int_equal(start(f), RC_OK);
    assert_true(admin_same(f->admin, &f->opts));
}

static void test_admin_same__each_difference__is_seen(void **state)
{
    struct fixture *f = *state;
    struct admin_opts o = f->opts;
    char copy[96];
    snprintf(copy, sizeof(copy), "%s", f->path);
    o.socket_path = copy;

    assert_true(admin_same(f->admin, &o));
    o.socket_mode = 0600;
    assert_false(admin_same(f->admin, &o));
    o = f->opts;
    o.socket_path = NULL;
    assert_false(admin_same(f->admin, &o));
    o.socket_path = "/tmp/x";
    assert_false(admin_same(f->admin, &o));
    o = f->opts;
    o.bind.port ^= 1;
    assert_false(admin_same(f->admin, &o));
    o = f->opts;
    o.bind.family = ADDR_NONE;
    assert_false(admin_same(f->admin, &o));
    o = f->opts;
    o.metrics_bind.ip[0] = 127;
    assert_false(admin_same(f->admin, &o));
    assert_false(admin_same(NULL, &o));
    assert_true(admin_same(NULL, &(struct admin_opts){0}));
}

/* Three threads ask; `overlap` is looked at when the test ends. */
static void test_admin__all_listeners_at_once__source_asked_one_by_one(void **state)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    struct fixture *f = *state;
    int fds[3] = {http_dial_unix(f->path), dial_admin(f), dial_metrics(f)};

    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 3; i++) {
            http_send(fds[i], request);
        }
        for (int i = 0; i < 3; i++) {
            http_receive(fds[i], 0, &f->answer);
            assert_int_equal(f->answer.status, 200);
        }
    }
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
}

/* A signal for the process must not land in a listener's thread, where nobody waits for it. */
static void test_admin__signals__stay_with_the_caller(void **state)
{
    sigset_t set;
    const struct timespec deadline = {.tv_sec = 10};
    struct fixture *f = *state;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0); /* ends the process if a thread takes it */
    assert_int_equal(sigtimedwait(&set, NULL, &deadline), SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
    assert_int_equal(get_admin(f, "/healthz/live"), 200);
}

int main(void)
{
#define UNIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        UNIT(test_admin__pages_by_tcp__status_type_and_body),
        UNIT(test_admin__status_page__whole_with_strict_headers),
        UNIT(test_admin__keep_alive__two_requests_on_one_connection),
        UNIT(test_admin__head__headers_without_a_body),
        UNIT(test_admin__other_methods__405_with_allow),
        UNIT(test_admin__get_with_a_body__413_and_the_end),
        UNIT(test_admin__malformed_requests__never_a_page),
        UNIT(test_admin__endless_headers__refused),
        UNIT(test_admin__foreign_host__421),
        UNIT(test_admin__unix_socket__all_pages_and_its_mode),
        UNIT(test_admin__change__over_the_unix_socket_with_the_callers_user),
        UNIT(test_admin__metrics_address__health_and_metrics_only),
        UNIT(test_admin__a_hundred_slow_clients__others_are_served),
        UNIT(test_admin__more_clients_than_allowed__the_oldest_make_room),
        UNIT(test_admin_stop__open_connections__closed),
        UNIT(test_admin_start__what_is_taken__error_and_nothing_left_open),
        UNIT(test_admin_start__remote_address__only_when_allowed),
        UNIT(test_admin_start__nothing_configured__nothing_open),
        UNIT(test_admin_same__each_difference__is_seen),
        UNIT(test_admin__all_listeners_at_once__source_asked_one_by_one),
        UNIT(test_admin__signals__stay_with_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
