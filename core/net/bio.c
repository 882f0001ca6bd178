/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/bio.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/bio.h>

#include "core/base/check.h"

/* A read costs at least this much of the budget: records of one byte are dear too, and OpenSSL
 * does not return between KeyUpdates. */
#define READ_COST_MIN 512

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static bool is_retry(int err)
{
    return err == EAGAIN || err == EWOULDBLOCK || err == EINTR;
}

/* ---- what OpenSSL reads ---- */

static void drop_kept(struct bio_link *l)
{
    free(l->kept);
    l->kept = NULL;
}

/* More from the socket, into the worker's buffer; as recv(). */
static ssize_t fill(struct bio_link *l)
{
    size_t want = l->budget < WORKER_SCRATCH_BYTES ? l->budget : WORKER_SCRATCH_BYTES;

    if (l->drained) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t got = recv(l->fd, l->worker->wire_in, want, 0);
    if (got > 0) {
        l->at = l->worker->wire_in;
        l->left = (size_t)got;
        l->drained = l->left < want;
    }
    return got;
}

static int on_read(BIO *b, char *buf, int n)
{
    struct bio_link *l = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    if (n <= 0) {
        return 0;
    }
    if (l->budget == 0) {
        errno = EAGAIN;
        BIO_set_retry_read(b);
        return -1;
    }
    if (l->left == 0) {
        ssize_t got = fill(l);
        if (got <= 0) {
            if (got < 0 && is_retry(errno)) {
                BIO_set_retry_read(b);
            }
            return (int)got;
        }
    }
    size_t take = (size_t)n < l->left ? (size_t)n : l->left;
    size_t cost = take < READ_COST_MIN ? READ_COST_MIN : take;
    memcpy(buf, l->at, take);
    l->at += take;
    l->left -= take;
    l->budget -= cost < l->budget ? cost : l->budget;
    if (l->left == 0) {
        drop_kept(l);
    }
    return (int)take;
}

/* ---- what OpenSSL writes ---- */

static enum rc fail(struct bio_link *l, enum rc why, int err)
{
    l->failed = why;
    l->error = err;
    return why;
}

/* How much of n bytes the socket took; 0 when it is full, or failed. */
static size_t send_some(struct bio_link *l, const uint8_t *data, size_t n)
{
    ssize_t done = send(l->fd, data, n, MSG_NOSIGNAL);

    if (done < 0 && !is_retry(errno)) {
        (void)fail(l, errno == EPIPE || errno == ECONNRESET ? RC_RESET : RC_SYSTEM, errno);
    }
    return done > 0 ? (size_t)done : 0;
}

static enum rc queue(struct bio_link *l, const uint8_t *data, size_t n)
{
    enum rc rc = bufq_append(&l->out, data, n);
    return rc == RC_OK ? RC_OK : fail(l, rc, 0);
}

/* Send what was gathered, and queue the rest. */
static enum rc send_gathered(struct bio_link *l)
{
    const uint8_t *data = l->worker->wire_out;
    size_t n = l->worker->wire_out_len;

    l->worker->wire_out_len = 0;
    while (n > 0 && l->failed == RC_OK) {
        size_t done = send_some(l, data, n);
        if (done == 0) {
            break;
        }
        data += done;
        n -= done;
    }
    if (l->failed != RC_OK || n == 0) {
        return l->failed;
    }
    return queue(l, data, n);
}

static enum rc put(struct bio_link *l, const uint8_t *data, size_t n)
{
    struct worker *w = l->worker;

    if (l->failed != RC_OK) {
        return l->failed;
    }
    if (l->out.len == 0 && w->wire_out_len + n > WORKER_WIRE_BYTES) {
        TRY(send_gathered(l));
    }
    if (l->out.len > 0 || n > WORKER_WIRE_BYTES) {
        return queue(l, data, n); /* after what waits already */
    }
    memcpy(w->wire_out + w->wire_out_len, data, n);
    w->wire_out_len += n;
    return RC_OK;
}

static int on_write(BIO *b, const char *buf, int n)
{
    struct bio_link *l = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    if (n > 0 && put(l, (const uint8_t *)buf, (size_t)n) != RC_OK) {
        errno = l->error;
        return -1;
    }
    return n;
}

static long on_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

/* ---- for the conn ---- */

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

void bio_init(struct bio_link *l, struct worker *w, int fd, size_t out_cap)
{
    *l = (struct bio_link){.fd = fd, .worker = w};
    bufq_init(&l->out, &w->pool, out_cap);
}

void bio_fini(struct bio_link *l)
{
    close(l->fd);
    l->fd = -1;
    drop_kept(l);
    bufq_clear(&l->out);
}

enum rc bio_unread(struct bio_link *l, const uint8_t *data, size_t n)
{
    if (n == 0) {
        return RC_OK;
    }
    uint8_t *copy = malloc(n);
    if (copy == NULL) {
        return RC_NO_MEMORY;
    }
    memcpy(copy, data, n);
    drop_kept(l);
    l->kept = copy;
    l->at = copy;
    l->left = n;
    return RC_OK;
}

enum rc bio_attach(SSL *ssl, struct bio_link *l)
{
    pthread_once(&method_once, make_method);
    BIO *b = method != NULL ? BIO_new(method) : NULL;
    if (b == NULL) {
        return RC_NO_MEMORY;
    }
    BIO_set_data(b, l);
    BIO_set_init(b, 1);
    SSL_set_bio(ssl, b, b);
    return RC_OK;
}

void bio_begin(struct bio_link *l, size_t budget)
{
    CHECK(l->worker->wire_user == NULL);
    l->worker->wire_user = l;
    l->budget = budget;
    l->drained = false;
}

enum rc bio_end(struct bio_link *l)
{
    CHECK(l->worker->wire_user == l);
    l->worker->wire_user = NULL;
    enum rc sent = send_gathered(l);
    enum rc kept = l->kept == NULL ? bio_unread(l, l->at, l->left) : RC_OK;
    if (kept != RC_OK) {
        l->left = 0;
        return kept;
    }
    return sent;
}

bool bio_has_input(const struct bio_link *l)
{
    return l->left > 0;
}

enum rc bio_drain(struct bio_link *l)
{
    while (l->out.len > 0) {
        size_t n;
        const uint8_t *p = bufq_peek(&l->out, &n);
        size_t done = send_some(l, p, n);
        if (done == 0) {
            return l->failed;
        }
        bufq_drain(&l->out, done);
    }
    return l->failed;
}
