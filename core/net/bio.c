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

void bio_charge(struct bio_link *l, size_t n)
{
    l->budget -= n < l->budget ? n : l->budget;
}

/* ---- what OpenSSL reads ---- */

static void drop_kept(struct bio_link *l)
{
    free(l->kept);
    l->kept = NULL;
}

/* More from the socket, behind what is left, into the worker's buffer; as recv(). */
static ssize_t fill(struct bio_link *l)
{
    uint8_t *buf = l->worker->wire_in;
    size_t room = WORKER_SCRATCH_BYTES - l->left;
    size_t want = l->budget < room ? l->budget : room;

    if (l->drained) {
        errno = EAGAIN;
        return -1;
    }
    if (l->left > 0) {
        memmove(buf, l->at, l->left);
    }
    drop_kept(l);
    l->at = buf;
    ssize_t got = recv(l->fd, buf + l->left, want, 0);
    if (got > 0) {
        l->left += (size_t)got;
        l->drained = (size_t)got < want;
    }
    return got;
}

void bio_take(struct bio_link *l, size_t n)
{
    CHECK(n <= l->left);
    l->at += n;
    l->left -= n;
    bio_charge(l, n < READ_COST_MIN ? READ_COST_MIN : n);
    if (l->left == 0) {
        drop_kept(l);
    }
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
    memcpy(buf, l->at, take);
    bio_take(l, take);
    return (int)take;
}

/* ---- what OpenSSL writes ---- */

static enum rc fail(struct bio_link *l, enum rc why, int err)
{
    l->failed = why;
    l->error = err;
    return why;
}

static enum rc socket_failed(int err)
{
    return err == EPIPE || err == ECONNRESET ? RC_RESET : RC_SYSTEM;
}

/* How much of n bytes the socket took; 0 when it is full, or failed. */
static size_t send_some(struct bio_link *l, const uint8_t *data, size_t n)
{
    ssize_t done = send(l->fd, data, n, MSG_NOSIGNAL);

    if (done < 0 && !is_retry(errno)) {
        (void)fail(l, socket_failed(errno), errno);
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
    while (n > 0 && l->failed == RC_OK && l->out.len == 0) {
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

uint8_t *bio_room(struct bio_link *l, size_t n)
{
    struct worker *w = l->worker;

    CHECK(n <= WORKER_WIRE_BYTES);
    if (l->failed == RC_OK && w->wire_out_len + n > WORKER_WIRE_BYTES) {
        (void)send_gathered(l);
    }
    return l->failed == RC_OK ? w->wire_out + w->wire_out_len : NULL;
}

void bio_wrote(struct bio_link *l, size_t n)
{
    l->worker->wire_out_len += n;
    CHECK(l->worker->wire_out_len <= WORKER_WIRE_BYTES);
}

static int on_write(BIO *b, const char *buf, int n)
{
    struct bio_link *l = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    for (int done = 0; done < n;) {
        size_t piece =
            (size_t)(n - done) < WORKER_WIRE_BYTES ? (size_t)(n - done) : WORKER_WIRE_BYTES;
        uint8_t *room = bio_room(l, piece);
        if (room == NULL) {
            errno = l->error;
            return -1;
        }
        memcpy(room, buf + done, piece);
        bio_wrote(l, piece);
        done += (int)piece;
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
    l->starved = false;
}

enum rc bio_need(struct bio_link *l, size_t n)
{
    while (l->left < n && l->budget > 0) {
        ssize_t got = fill(l);
        if (got == 0) {
            return RC_EOF;
        }
        if (got < 0 && !is_retry(errno)) {
            l->error = errno;
            return socket_failed(l->error);
        }
        if (got < 0) {
            break;
        }
    }
    l->starved = l->left < n;
    return l->starved || l->budget == 0 ? RC_AGAIN : RC_OK;
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
    return l->left > 0 && !l->starved;
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
