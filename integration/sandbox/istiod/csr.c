/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreateCertificate: the issued names are the caller's identities, never those of the request.
 * The chain has the leaf and, as last element, the root.
 */
#include <stdlib.h>

#include "integration/sandbox/common/os.h"
#include "integration/sandbox/common/wire.h"
#include "integration/sandbox/istiod/server.h"
#include "istio/v1/auth/ca.pb-c.h"

/** One CreateCertificate call. */
struct csr_call {
    struct server *server; /* borrowed */
    struct names identities;
};

static void fail(struct csr_call *k, struct call *c, int status, const char *text)
{
    k->server->counters.csr_failed++;
    log_info("CreateCertificate from %s refused: %d %s", c->peer, status, text);
    call_finish(c, status, text);
}

static int64_t life(const struct csr_call *k, int64_t asked_s)
{
    if (k->server->opts->cert_ttl_s > 0) {
        return k->server->opts->cert_ttl_s;
    }
    return asked_s <= 0 ? CA_DEFAULT_TTL_S : asked_s;
}

static void sign(struct csr_call *k, struct call *c,
                 const Istio__V1__Auth__IstioCertificateRequest *rq)
{
    Istio__V1__Auth__IstioCertificateResponse rsp;
    char *chain[2] = {NULL, k->server->ca->root_pem};

    istio__v1__auth__istio_certificate_response__init(&rsp);
    if (rq->validity_duration > CA_MAX_TTL_S) {
        fail(k, c, GRPC_STATUS_INVALID_ARGUMENT, "requested TTL is greater than the max allowed");
        return;
    }
    chain[0] = ca_sign_csr(k->server->ca, rq->csr, &k->identities, life(k, rq->validity_duration));
    if (chain[0] == NULL) {
        fail(k, c, GRPC_STATUS_INVALID_ARGUMENT, "CSR signing error: bad request");
        return;
    }
    rsp.n_cert_chain = 2;
    rsp.cert_chain = chain;
    call_send(c, &rsp.base);
    call_finish(c, GRPC_STATUS_OK, "");
    k->server->counters.csr_ok++;
    free(chain[0]);
}

static void on_message(struct call *c, grpc_byte_buffer *buffer)
{
    struct csr_call *k = c->user;
    struct text why = {0};
    ProtobufCMessage *m = NULL;

    if (buffer != NULL) {
        m = wire_unpack(&istio__v1__auth__istio_certificate_request__descriptor, buffer);
    }
    if (k->server->csr_hang) {
        log_info("CreateCertificate from %s is left without an answer (fault)", c->peer);
    } else if (m == NULL) {
        fail(k, c, GRPC_STATUS_INTERNAL, "request cannot be unmarshalled");
    } else if (server_authenticate(k->server, c, &k->identities, &why) == AUTH_NONE) {
        log_info("CreateCertificate from %s: %s", c->peer, text_str(&why));
        fail(k, c, GRPC_STATUS_UNAUTHENTICATED, "request authenticate failure");
    } else {
        sign(k, c, (const Istio__V1__Auth__IstioCertificateRequest *)m);
    }
    text_fini(&why);
    if (m != NULL) {
        protobuf_c_message_free_unpacked(m, NULL);
    }
}

static void on_sent(struct call *c)
{
    (void)c;
}

static void on_end(struct call *c)
{
    struct csr_call *k = c->user;

    names_fini(&k->identities);
    free(k);
}

static const struct call_ops ops = {
    .on_message = on_message,
    .on_sent = on_sent,
    .on_end = on_end,
};

void csr_accept(struct server *s, struct call *c)
{
    struct csr_call *k = sbx_alloc(sizeof(*k));

    k->server = s;
    call_begin(c, &ops, k);
    call_recv(c);
}
