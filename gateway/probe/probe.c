/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/probe/probe.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/base/clock.h"
#include "core/net/sock.h"

/** Names in ALPN that nobody knows, to make a ClientHello larger than a packet of 1500 bytes; real
 * agents' are, by their post-quantum key share. */
#define FILLERS 8
#define FILLER_BYTES 200

/** With TLS 1.3 a server refuses who shows no certificate after our side is done. A server of
 * HTTP/2 speaks first, so something comes soon in any case. */
#define VERDICT_S 1.0

struct attempt {
    const struct probe_opts *o;
    struct probe_result *r;
    int fd;
    SSL *ssl; /* owned */
    double began;
    double until;
    bool was_asked; /* for a client certificate */
};

static void end_with(struct attempt *a, enum probe_end end, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void end_with(struct attempt *a, enum probe_end end, const char *fmt, ...)
{
    va_list args;

    a->r->end = end;
    va_start(args, fmt);
    (void)vsnprintf(a->r->why, sizeof(a->r->why), fmt, args);
    va_end(args);
    for (char *c = a->r->why; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
}

/* Until the socket is ready; false: the time is over. */
static bool wait_for(const struct attempt *a, short events)
{
    for (;;) {
        double left = a->until - clock_mono();
        struct pollfd p = {.fd = a->fd, .events = events};
        if (left <= 0) {
            return false;
        }
        int n = poll(&p, 1, (int)(left * 1000) + 1);
        if (n > 0) {
            return true;
        }
    }
}

static void look_at_tcp(struct attempt *a)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);

    if (getsockopt(a->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0) {
        a->r->path_mtu = info.tcpi_pmtu;
        a->r->retransmits = info.tcpi_total_retrans;
    }
}

static enum rc connect_tcp(struct attempt *a)
{
    enum rc rc = sock_connect(a->o->peer, &a->o->source, &a->fd);

    while (rc == RC_OK && (rc = sock_connect_result(a->fd)) == RC_AGAIN) {
        rc = wait_for(a, POLLOUT) ? RC_OK : RC_TIMEOUT;
    }
    if (rc == RC_NO_FILES || rc == RC_NO_MEMORY) {
        return rc;
    }
    if (rc == RC_NO_ADDRESS) {
        end_with(a, PROBE_NO_SOURCE, "%s", rc_text(rc));
    } else if (rc == RC_TIMEOUT) {
        end_with(a, PROBE_NO_CONNECTION, "no answer within %g s", a->o->timeout_s);
    } else if (rc != RC_OK) {
        end_with(a, PROBE_NO_CONNECTION, "%s", rc_text(rc));
    } else {
        a->r->connect_s = clock_mono() - a->began;
        look_at_tcp(a);
    }
    return RC_OK;
}

/* ---- TLS ---- */

static bool make_hello_large(SSL *ssl)
{
    unsigned char names[FILLERS * (FILLER_BYTES + 1) + 3];
    unsigned char *p = names;

    for (unsigned i = 0; i < FILLERS; i++) {
        *p++ = FILLER_BYTES;
        memset(p, 'x', FILLER_BYTES);
        *p = (unsigned char)('a' + i);
        p += FILLER_BYTES;
    }
    memcpy(p, "\2h2", 3);
    return SSL_set_alpn_protos(ssl, names, sizeof(names)) == 0; /* 0: it worked */
}

static bool read_time(const ASN1_TIME *t, int64_t *out)
{
    struct tm tm;

    if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1) {
        return false;
    }
    *out = (int64_t)timegm(&tm);
    return true;
}

/* Called for every certificate of the chain before it is judged, so also for one that is refused.
 */
static int on_certificate(int ok, X509_STORE_CTX *sctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(sctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct attempt *a = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
    const X509 *leaf = X509_STORE_CTX_get0_cert(sctx);

    if (a != NULL && leaf != NULL) {
        (void)read_time(X509_get0_notBefore(leaf), &a->r->from);
        (void)read_time(X509_get0_notAfter(leaf), &a->r->to);
    }
    return ok;
}

static int on_asked(SSL *ssl, void *arg)
{
    struct attempt *a = arg;

    (void)ssl;
    a->was_asked = true;
    return 1; /* go on without */
}

static enum rc make_ssl(struct attempt *a)
{
    a->ssl = root_set_new_ssl(a->o->roots, a->o->server_name);
    if (a->ssl == NULL || SSL_set_fd(a->ssl, a->fd) != 1 ||
        (a->o->large && !make_hello_large(a->ssl))) {
        return RC_NO_MEMORY;
    }
    SSL_set_app_data(a->ssl, a);
    SSL_set_cert_cb(a->ssl, on_asked, a);
    SSL_set_verify(a->ssl, SSL_get_verify_mode(a->ssl), on_certificate);
    return RC_OK;
}

/* Alerts of servers that want one, by TLS 1.3 and by 1.2 (Go: crypto/tls/handshake_server.go). */
static bool is_certificate_alert(int reason)
{
    return reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED ||
           reason == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE ||
           reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE;
}

/* Does what the peer has shown lead to none of the roots, whatever its dates and names are? It may
 * also have shown too little: an intermediate is missing. */
static bool is_unknown_root(long verdict)
{
    switch (verdict) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE: /* a root of the same name and another key */
        return true;
    default:
        return false;
    }
}

/* Why the handshake failed. error: of SSL_get_error(). */
static void explain(struct attempt *a, int error)
{
    const char *reason = cert_set_peer_error(a->ssl);
    unsigned long queued = ERR_peek_last_error();
    const char *text = ERR_reason_error_string(queued);

    a->r->unknown_root = is_unknown_root(SSL_get_verify_result(a->ssl));
    if (reason[0] != '\0') {
        end_with(a, PROBE_NOT_BELIEVED, "%s", reason);
    } else if (SSL_get_verify_result(a->ssl) != X509_V_OK) {
        end_with(a, PROBE_NOT_BELIEVED, "%s",
                 X509_verify_cert_error_string(SSL_get_verify_result(a->ssl)));
    } else if (a->was_asked && is_certificate_alert(ERR_GET_REASON(queued))) {
        end_with(a, PROBE_WANTS_CERTIFICATE, "%s", text != NULL ? text : "by a TLS alert");
    } else if (error == SSL_ERROR_SYSCALL || error == SSL_ERROR_ZERO_RETURN ||
               ERR_GET_REASON(queued) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        end_with(a, PROBE_CLOSED, "it closed the connection");
    } else {
        end_with(a, PROBE_TLS, "%s", text != NULL ? text : "unknown reason");
    }
}

/* Does it do without our certificate? Silence is no verdict. */
static void await_verdict(struct attempt *a)
{
    double patience = clock_mono() - a->began + VERDICT_S;
    char byte;

    a->until = a->began + (patience < a->o->timeout_s ? patience : a->o->timeout_s);
    for (;;) {
        ERR_clear_error();
        int n = SSL_peek(a->ssl, &byte, 1);
        if (n > 0) {
            return;
        }
        if (SSL_get_error(a->ssl, n) != SSL_ERROR_WANT_READ) {
            break;
        }
        if (!wait_for(a, POLLIN)) {
            return;
        }
    }
    unsigned long queued = ERR_peek_last_error();
    const char *text = ERR_reason_error_string(queued);
    if (is_certificate_alert(ERR_GET_REASON(queued))) {
        end_with(a, PROBE_WANTS_CERTIFICATE, "%s", text != NULL ? text : "by a TLS alert");
    }
}

static void shake_hands(struct attempt *a)
{
    for (;;) {
        ERR_clear_error();
        int n = SSL_connect(a->ssl);
        int error = n == 1 ? SSL_ERROR_NONE : SSL_get_error(a->ssl, n);
        if (error == SSL_ERROR_NONE) {
            a->r->total_s = clock_mono() - a->began;
            break;
        }
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            explain(a, error);
            return;
        }
        if (!wait_for(a, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT)) {
            end_with(a, PROBE_NO_ANSWER, "no answer to TLS within %g s", a->o->timeout_s);
            return;
        }
    }
    if (!root_set_alpn_is_h2(a->ssl)) {
        end_with(a, PROBE_NO_H2, "it does not speak HTTP/2");
    } else if (a->was_asked) {
        await_verdict(a);
    }
}

enum rc probe_run(const struct probe_opts *o, struct probe_result *out)
{
    struct attempt a = {.o = o, .r = out, .fd = -1, .began = clock_mono()};

    a.until = a.began + o->timeout_s;
    *out = (struct probe_result){.end = PROBE_OK};
    (void)signal(SIGPIPE, SIG_IGN);
    enum rc rc = connect_tcp(&a);
    if (rc == RC_OK && out->end == PROBE_OK && o->roots != NULL) {
        rc = make_ssl(&a);
        if (rc == RC_OK) {
            shake_hands(&a);
            look_at_tcp(&a);
        }
    }
    SSL_free(a.ssl);
    ERR_clear_error();
    if (a.fd >= 0) {
        (void)close(a.fd);
    }
    return rc;
}
