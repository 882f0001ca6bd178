/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/bio.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/bio.h>

/* A read costs at least this much of the budget: records of one byte are dear too, and OpenSSL
 * does not return between KeyUpdates. */
#define READ_COST_MIN 512

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static bool is_retry(int err)
{
    return err == EAGAIN || err == EWOULDBLOCK || err == EINTR;
}

static int read_prefix(struct bio_source *s, char *buf, int n)
{
    size_t left = s->prefix_len - s->prefix_used;
    size_t take = (size_t)n < left ? (size_t)n : left;
    memcpy(buf, s->prefix + s->prefix_used, take);
    s->prefix_used += take;
    return (int)take;
}

static int on_read(BIO *b, char *buf, int n)
{
    struct bio_source *s = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    if (n <= 0) {
        return 0;
    }
    if (s->prefix_used < s->prefix_len) {
        return read_prefix(s, buf, n);
    }
    if (s->budget == 0) {
        errno = EAGAIN;
        BIO_set_retry_read(b); /* what is left stays in the socket: its watcher fires again */
        return -1;
    }
    ssize_t got = recv(s->fd, buf, (size_t)n, 0);
    size_t cost = got < (ssize_t)READ_COST_MIN ? READ_COST_MIN : (size_t)got;
    s->budget -= cost < s->budget ? cost : s->budget;
    if (got < 0 && is_retry(errno)) {
        BIO_set_retry_read(b);
    }
    return (int)got;
}

static int on_write(BIO *b, const char *buf, int n)
{
    struct bio_source *s = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    ssize_t done = send(s->fd, buf, (size_t)n, MSG_NOSIGNAL);
    if (done < 0 && is_retry(errno)) {
        BIO_set_retry_write(b);
    }
    return (int)done;
}

static long on_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static void make_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "xdsgate socket");
    if (m == NULL) {
        return;
    }
    BIO_meth_set_read(m, on_read);
    BIO_meth_set_write(m, on_write);
    BIO_meth_set_ctrl(m, on_ctrl);
    method = m;
}

void bio_source_init(struct bio_source *s, int fd)
{
    *s = (struct bio_source){.fd = fd};
}

void bio_source_fini(struct bio_source *s)
{
    close(s->fd);
    s->fd = -1;
    free(s->prefix);
    s->prefix = NULL;
}

enum rc bio_source_set_prefix(struct bio_source *s, const uint8_t *data, size_t n)
{
    if (n == 0) {
        return RC_OK;
    }
    s->prefix = malloc(n);
    if (s->prefix == NULL) {
        return RC_NO_MEMORY;
    }
    memcpy(s->prefix, data, n);
    s->prefix_len = n;
    return RC_OK;
}

void bio_source_drop_prefix_when_empty(struct bio_source *s)
{
    if (s->prefix_used == s->prefix_len) {
        free(s->prefix);
        s->prefix = NULL;
        s->prefix_len = 0;
        s->prefix_used = 0;
    }
}

enum rc bio_attach(SSL *ssl, struct bio_source *s)
{
    pthread_once(&method_once, make_method);
    BIO *b = method != NULL ? BIO_new(method) : NULL;
    if (b == NULL) {
        return RC_NO_MEMORY;
    }
    BIO_set_data(b, s);
    BIO_set_init(b, 1);
    SSL_set_bio(ssl, b, b);
    return RC_OK;
}
