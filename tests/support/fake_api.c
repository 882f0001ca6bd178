/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define LINKS_MAX 64
#define REQUESTS_MAX 64

struct fake_api_link {
    struct fake_api *api;
    pthread_t thread;
    int fd;
    unsigned number;
    SSL *ssl;
    bool close;
    char in[16384]; /* what was read and not used */
    size_t n_in;
};

struct fake_api {
    fake_api_handler *handler;
    void *arg;
    int fd;
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    const struct pki_cert *cert;
    bool stop;
    unsigned step;
    unsigned n_links;
    struct fake_api_link *links[LINKS_MAX];
    unsigned n_requests;
    struct fake_api_request requests[REQUESTS_MAX];
};

static void need(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "fake_api: %s: %s\n", what, strerror(errno));
        abort();
    }
}

static void lock(struct fake_api *api)
{
    need(pthread_mutex_lock(&api->lock) == 0, "lock");
}

static void unlock(struct fake_api *api)
{
    need(pthread_mutex_unlock(&api->lock) == 0, "unlock");
}

/* ---- for handlers ---- */

void fake_api_send(struct fake_api_link *l, const char *bytes, size_t n)
{
    if (n > 0 && SSL_write(l->ssl, bytes, (int)n) <= 0) {
        l->close = true;
    }
}

static void send_text(struct fake_api_link *l, const char *text)
{
    fake_api_send(l, text, strlen(text));
}

void fake_api_answer(struct fake_api_link *l, int status, const char *headers, const char *body)
{
    char head[1024];

    snprintf(head, sizeof(head),
             "HTTP/1.1 %d Something\r\nContent-Type: application/json\r\n%sContent-Length: %zu"
             "\r\n\r\n",
             status, headers, strlen(body));
    send_text(l, head);
    send_text(l, body);
}

void fake_api_begin(struct fake_api_link *l, int status)
{
    char head[256];

    snprintf(head, sizeof(head),
             "HTTP/1.1 %d Something\r\nContent-Type: application/json\r\nTransfer-Encoding: "
             "chunked\r\n\r\n",
             status);
    send_text(l, head);
}

void fake_api_chunk(struct fake_api_link *l, const char *text)
{
    char size[32];

    snprintf(size, sizeof(size), "%zx\r\n", strlen(text));
    send_text(l, size);
    send_text(l, text);
    send_text(l, "\r\n");
}

void fake_api_hang(struct fake_api_link *l)
{
    char byte;

    while (SSL_read(l->ssl, &byte, 1) > 0) {
    }
    l->close = true;
}

void fake_api_close(struct fake_api_link *l)
{
    l->close = true;
}

void fake_api_wait(struct fake_api_link *l, unsigned step)
{
    struct fake_api *api = l->api;

    lock(api);
    while (!api->stop && api->step < step) {
        need(pthread_cond_wait(&api->changed, &api->lock) == 0, "wait");
    }
    unlock(api);
}

/* ---- requests ---- */

/* Until text is in what was read; where it ends, or NULL when the client has left. */
static const char *read_until(struct fake_api_link *l, const char *text)
{
    for (;;) {
        l->in[l->n_in] = '\0';
        const char *found = strstr(l->in, text);
        if (found != NULL) {
            return found + strlen(text);
        }
        need(l->n_in < sizeof(l->in) - 1, "a request too large");
        int n = SSL_read(l->ssl, l->in + l->n_in, (int)(sizeof(l->in) - 1 - l->n_in));
        if (n <= 0) {
            return NULL;
        }
        l->n_in += (size_t)n;
    }
}

/* The value of a header, up to the end of its line. */
static void take_header(const char *head, const char *name, char *out, size_t size)
{
    const char *line = strcasestr(head, name);

    if (line != NULL) {
        line += strlen(name);
        snprintf(out, size, "%.*s", (int)strcspn(line, "\r"), line);
    }
}

static bool read_body(struct fake_api_link *l, size_t n_head, const char *length,
                      struct fake_api_request *r)
{
    size_t n = strtoul(length, NULL, 10);

    need(n < sizeof(r->body) && n_head + n < sizeof(l->in), "a body too large");
    while (l->n_in < n_head + n) {
        int got = SSL_read(l->ssl, l->in + l->n_in, (int)(n_head + n - l->n_in));
        if (got <= 0) {
            return false;
        }
        l->n_in += (size_t)got;
    }
    memcpy(r->body, l->in + n_head, n);
    memmove(l->in, l->in + n_head + n, l->n_in - n_head - n);
    l->n_in -= n_head + n;
    return true;
}

static bool read_request(struct fake_api_link *l, struct fake_api_request *r)
{
    char length[32] = "0";
    const char *end = read_until(l, "\r\n\r\n");

    if (end == NULL) {
        return false;
    }
    size_t n_head = (size_t)(end - l->in);
    need(sscanf(l->in, "%15s %2047s", r->method, r->path) == 2, "no request line");
    l->in[n_head - 1] = '\0';
    take_header(l->in, "\nAuthorization: Bearer ", r->token, sizeof(r->token));
    take_header(l->in, "\nHost: ", r->host, sizeof(r->host));
    take_header(l->in, "\nContent-Length: ", length, sizeof(length));
    l->in[n_head - 1] = '\n';
    return read_body(l, n_head, length, r);
}

static void note_client(const struct fake_api_link *l, struct fake_api_request *r)
{
    X509 *x = SSL_get1_peer_certificate(l->ssl);

    if (x != NULL) {
        X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, r->client,
                                  sizeof(r->client));
        X509_free(x);
    }
}

static void note_request(struct fake_api_link *l, struct fake_api_request *r)
{
    lock(l->api);
    need(l->api->n_requests < REQUESTS_MAX, "too many requests");
    r->number = l->api->n_requests + 1;
    r->connection = l->number;
    l->api->requests[l->api->n_requests++] = *r;
    unlock(l->api);
}

/* ---- connections ---- */

static int accept_any(int ok, X509_STORE_CTX *x)
{
    (void)ok;
    (void)x;
    return 1;
}

static SSL_CTX *make_context(struct fake_api *api)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    need(ctx != NULL, "SSL_CTX_new");
    lock(api);
    need(SSL_CTX_use_certificate(ctx, api->cert->x) == 1 &&
             SSL_CTX_use_PrivateKey(ctx, api->cert->key) == 1,
         "certificate");
    unlock(api);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return ctx;
}

static void serve(struct fake_api_link *l)
{
    while (!l->close) {
        struct fake_api_request *r = calloc(1, sizeof(*r));
        need(r != NULL, "calloc");
        note_client(l, r);
        bool come = read_request(l, r);
        if (come) {
            note_request(l, r);
            l->api->handler(l->api->arg, r, l);
        }
        free(r);
        if (!come) {
            break;
        }
    }
}

static void *run_link(void *arg)
{
    struct fake_api_link *l = arg;
    int on = 1;
    need(setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0, "TCP_NODELAY");
    SSL_CTX *ctx = make_context(l->api);

    l->ssl = SSL_new(ctx);
    need(l->ssl != NULL && SSL_set_fd(l->ssl, l->fd) == 1, "SSL_new");
    if (SSL_accept(l->ssl) == 1) {
        serve(l);
    }
    SSL_free(l->ssl);
    SSL_CTX_free(ctx);
    /* The descriptor is closed by fake_api_free(), so that its number is nobody else's. */
    shutdown(l->fd, SHUT_RDWR);
    return NULL;
}

static bool add_link(struct fake_api *api, int fd)
{
    struct fake_api_link *l = calloc(1, sizeof(*l));

    need(l != NULL, "calloc");
    lock(api);
    bool stop = api->stop;
    if (!stop) {
        need(api->n_links < LINKS_MAX, "too many connections");
        l->api = api;
        l->fd = fd;
        l->number = api->n_links + 1;
        api->links[api->n_links++] = l;
        need(pthread_create(&l->thread, NULL, run_link, l) == 0, "thread");
    }
    unlock(api);
    if (stop) {
        free(l);
        close(fd);
    }
    return !stop;
}

static void *run(void *arg)
{
    struct fake_api *api = arg;

    for (;;) {
        int fd = accept(api->fd, NULL, NULL);
        if (fd < 0 || !add_link(api, fd)) {
            return NULL;
        }
    }
}

struct fake_api *fake_api_new(const struct pki_cert *server, fake_api_handler *handler, void *arg)
{
    struct fake_api *api = calloc(1, sizeof(*api));
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);

    need(api != NULL, "calloc");
    (void)signal(SIGPIPE, SIG_IGN);
    api->handler = handler;
    api->arg = arg;
    api->cert = server;
    need(pthread_mutex_init(&api->lock, NULL) == 0 && pthread_cond_init(&api->changed, NULL) == 0,
         "lock");
    api->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(api->fd >= 0 && bind(api->fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
             listen(api->fd, LINKS_MAX) == 0 &&
             getsockname(api->fd, (struct sockaddr *)&a, &n) == 0,
         "socket");
    api->port = ntohs(a.sin_port);
    need(pthread_create(&api->thread, NULL, run, api) == 0, "thread");
    return api;
}

void fake_api_free(struct fake_api **papi)
{
    struct fake_api *api = *papi;

    lock(api);
    api->stop = true;
    pthread_cond_broadcast(&api->changed);
    for (unsigned i = 0; i < api->n_links; i++) {
        shutdown(api->links[i]->fd, SHUT_RDWR);
    }
    unlock(api);
    shutdown(api->fd, SHUT_RDWR);
    need(pthread_join(api->thread, NULL) == 0, "join");
    for (unsigned i = 0; i < api->n_links; i++) {
        need(pthread_join(api->links[i]->thread, NULL) == 0, "join");
        close(api->links[i]->fd);
        free(api->links[i]);
    }
    close(api->fd);
    pthread_cond_destroy(&api->changed);
    pthread_mutex_destroy(&api->lock);
    free(api);
    *papi = NULL;
}

/* ---- for tests ---- */

uint16_t fake_api_port(const struct fake_api *api)
{
    return api->port;
}

void fake_api_set_cert(struct fake_api *api, const struct pki_cert *server)
{
    lock(api);
    api->cert = server;
    unlock(api);
}

unsigned fake_api_requests(struct fake_api *api)
{
    lock(api);
    unsigned n = api->n_requests;
    unlock(api);
    return n;
}

struct fake_api_request fake_api_request(struct fake_api *api, unsigned number)
{
    lock(api);
    need(number >= 1 && number <= api->n_requests, "no such request");
    struct fake_api_request r = api->requests[number - 1];
    unlock(api);
    return r;
}

void fake_api_step(struct fake_api *api, unsigned step)
{
    lock(api);
    api->step = step;
    pthread_cond_broadcast(&api->changed);
    unlock(api);
}
