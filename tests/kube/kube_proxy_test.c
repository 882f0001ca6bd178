/* SPDX-License-Identifier: Apache-2.0 */
/* proxy-url: a proxy that takes CONNECT, one connection at a time, and keeps what it was told. */
#include "kube/kube.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/kube/api_fixture.h"

struct proxy {
    int fd;
    uint16_t port;
    uint16_t target; /* port on 127.0.0.1, whatever is asked for */
    bool refuse;
    pthread_t thread;
    char told[4096]; /* after the thread's end */
};

struct fixture {
    struct api_fixture *api;
    struct proxy proxy;
};

static int make_socket(struct sockaddr_in *a, uint16_t port)
{
    *a = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static void pump(int a, int b)
{
    struct pollfd fds[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
    char buf[4096];

    while (poll(fds, 2, -1) > 0) {
        for (int i = 0; i < 2; i++) {
            if (fds[i].revents == 0) {
                continue;
            }
            ssize_t n = read(fds[i].fd, buf, sizeof(buf));
            if (n <= 0 || write(fds[1 - i].fd, buf, (size_t)n) != n) {
                return;
            }
        }
    }
}

static void send_text(int fd, const char *text)
{
    (void)!write(fd, text, strlen(text));
}

static void serve(struct proxy *p, int down)
{
    struct sockaddr_in a;
    int up = make_socket(&a, p->target);
    size_t n = 0;

    while (strstr(p->told, "\r\n\r\n") == NULL) {
        ssize_t got = read(down, p->told + n, sizeof(p->told) - 1 - n);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
    }
    if (p->refuse) {
        send_text(down, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    } else if (connect(up, (struct sockaddr *)&a, sizeof(a)) == 0) {
        send_text(down, "HTTP/1.1 200 Connected\r\n\r\n");
        pump(down, up);
    }
    close(up);
}

static void *run(void *arg)
{
    struct proxy *p = arg;
    int down = accept(p->fd, NULL, NULL);

    if (down >= 0) {
        serve(p, down);
        close(down);
    }
    return NULL;
}

static void on_request(void *arg, const struct fake_api_request *r, struct fake_api_link *l)
{
    (void)arg;
    (void)r;
    fake_api_answer(l, 200, "", "{}");
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct sockaddr_in a;
    socklen_t n = sizeof(a);

    f->api = api_fixture_new(on_request);
    f->proxy.target = fake_api_port(f->api->api);
    f->proxy.fd = make_socket(&a, 0);
    assert_int_equal(bind(f->proxy.fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(f->proxy.fd, 8), 0);
    assert_int_equal(getsockname(f->proxy.fd, (struct sockaddr *)&a, &n), 0);
    f->proxy.port = ntohs(a.sin_port);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close(f->proxy.fd);
    api_fixture_free(f->api);
    free(f);
    return 0;
}

/* Asks once, through the proxy, for a server at https://kubernetes:1; gives the reply. */
static void ask(struct fixture *f, const char *name, struct kube_reply *out)
{
    const struct kube_request request = {.path = "/x", .retry = {.attempts_max = 1}};
    char cluster[400];

    snprintf(cluster, sizeof(cluster),
             "server: 'https://kubernetes:1', certificate-authority: ca.crt, "
             "proxy-url: 'http://me:pr0xypw@127.0.0.1:%u'%s",
             f->proxy.port, name);
    struct kube *k = api_fixture_connect(f->api, cluster, "tokenFile: token", NULL);
    assert_non_null(k);
    assert_int_equal(pthread_create(&f->proxy.thread, NULL, run, &f->proxy), 0);
    (void)kube_call_wait(k, &request, out);
    kube_free(&k);
    assert_int_equal(pthread_join(f->proxy.thread, NULL), 0);
}

static void test_proxy__asked__hears_the_name_and_never_the_token(void **state)
{
    struct fixture *f = *state;
    struct kube_reply r;

    ask(f, "", &r);

    assert_int_equal(r.outcome, KUBE_OK);
    assert_string_equal(fake_api_request(f->api->api, 1).token, FIXTURE_TOKEN);
    assert_memory_equal(f->proxy.told, "CONNECT kubernetes:1 ", 21);
    assert_non_null(strstr(f->proxy.told, "Proxy-Authorization: Basic "));
    assert_null(strstr(f->proxy.told, "Bearer"));
    kube_reply_fini(&r);
}

static void test_proxy__tls_server_name__the_tunnel_goes_to_the_server(void **state)
{
    struct fixture *f = *state;
    struct pki_cert other = pki_make_server(&f->api->ca, "DNS:inside");
    struct kube_reply r;
    fake_api_set_cert(f->api->api, &other);

    ask(f, ", tls-server-name: inside", &r);

    assert_int_equal(r.outcome, KUBE_OK);
    assert_memory_equal(f->proxy.told, "CONNECT kubernetes:1 ", 21);
    kube_reply_fini(&r);
    fake_api_set_cert(f->api->api, &f->api->server);
    pki_free(&other);
}

static void test_proxy__refuses__says_so_without_its_password(void **state)
{
    struct fixture *f = *state;
    struct kube_reply r;
    f->proxy.refuse = true;

    ask(f, "", &r);

    assert_int_equal(r.outcome, KUBE_UNREACHABLE);
    assert_int_equal(fake_api_requests(f->api->api), 0);
    assert_null(strstr(r.error.text, "pr0xypw"));
    assert_non_null(strstr(r.error.text, "403"));
    kube_reply_fini(&r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_proxy__asked__hears_the_name_and_never_the_token),
        TEST(test_proxy__tls_server_name__the_tunnel_goes_to_the_server),
        TEST(test_proxy__refuses__says_so_without_its_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
