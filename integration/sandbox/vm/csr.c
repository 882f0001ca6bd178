/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate of a simulated VM, as its agent gets it: a channel of its own that is kept, a
 * quick series of attempts for the codes that an agent repeats, then a slow one for ever. The
 * last element of the chain becomes the root for everything that is dialled later.
 */
#include <stdlib.h>
#include <string.h>

#include "integration/sandbox/common/os.h"
#include "integration/sandbox/common/pki.h"
#include "integration/sandbox/vm/vm.h"
#include "istio/v1/auth/ca.pb-c.h"

#define QUICK_ATTEMPTS 5
#define QUICK_FIRST_MS 100
#define SLOW_FIRST_MS 500
#define SLOW_MAX_MS 60000

typedef Istio__V1__Auth__IstioCertificateResponse csr_response;

static void close_channel(struct vm *v)
{
    if (v->ca_channel != NULL) {
        grpc_channel_destroy(v->ca_channel);
        v->ca_channel = NULL;
    }
}

static void on_retry(struct timer *t)
{
    vm_csr_begin(t->user);
}

static bool is_quick(int code)
{
    return code == GRPC_STATUS_RESOURCE_EXHAUSTED || code == GRPC_STATUS_ABORTED ||
           code == GRPC_STATUS_INTERNAL || code == GRPC_STATUS_UNAVAILABLE;
}

static void retry_later(struct vm *v, int code)
{
    int64_t wait_ms;

    v->csr_failed++;
    close_channel(v);
    if (is_quick(code) && v->csr_attempt < QUICK_ATTEMPTS) {
        wait_ms = QUICK_FIRST_MS << (v->csr_attempt - 1);
    } else {
        wait_ms = v->csr_backoff_ms == 0 ? SLOW_FIRST_MS : v->csr_backoff_ms;
        v->csr_backoff_ms = wait_ms * 2 > SLOW_MAX_MS ? SLOW_MAX_MS : wait_ms * 2;
        v->csr_attempt = 0;
    }
    timer_arm(v->swarm->loop, &v->csr_timer, wait_ms, on_retry, v);
}

static void keep(struct vm *v, const csr_response *rsp)
{
    struct text chain = {0};

    for (size_t i = 0; i < rsp->n_cert_chain; i++) {
        text_add(&chain, rsp->cert_chain[i]);
    }
    free(v->cert);
    free(v->key);
    free(v->roots);
    v->cert = text_take(&chain);
    v->key = v->csr_key;
    v->csr_key = NULL;
    v->roots = sbx_strdup(rsp->cert_chain[rsp->n_cert_chain - 1]);
    v->cert_not_after_s = pki_cert_not_after(v->cert);
    v->csr_ok++;
    v->csr_attempt = 0;
    v->csr_backoff_ms = 0;
    if (v->cert_after_ms < 0) {
        v->cert_after_ms = os_now_ms() - v->started_ms;
    }
}

static void on_message(void *user, grpc_byte_buffer *buffer)
{
    struct vm *v = user;
    ProtobufCMessage *m =
        wire_unpack(&istio__v1__auth__istio_certificate_response__descriptor, buffer);
    const csr_response *rsp = (const csr_response *)m;

    if (rsp != NULL && rsp->n_cert_chain >= 2 && v->csr_key != NULL) {
        keep(v, rsp);
    }
    if (m != NULL) {
        protobuf_c_message_free_unpacked(m, NULL);
    }
}

static void on_end(void *user, int status, const char *text)
{
    struct vm *v = user;
    bool got_one = v->csr_key == NULL;

    v->csr = NULL;
    free(v->csr_key);
    v->csr_key = NULL;
    outcome_set(&v->csr_outcome, status, text);
    if (!got_one) {
        log_debug("%s: certificate: %d %s", v->name, status, text);
        retry_later(v, status);
        return;
    }
    if (v->ads == NULL && !v->ads_timer.armed) {
        vm_ads_open(v);
    }
}

static const struct dialled_ops ops = {.on_message = on_message, .on_end = on_end};

/* A new key and the request for it; NULL when OpenSSL fails. */
static char *make_csr(struct vm *v)
{
    const struct swarm_opts *o = v->swarm->opts;
    EVP_PKEY *key =
        v->swarm->rsa_key != NULL ? pki_key_parse(v->swarm->rsa_key) : pki_key_new(false);
    struct text uri = {0};
    char *csr = NULL;

    text_addf(&uri, "spiffe://%s/ns/%s/sa/%s", o->trust_domain, o->name_space, o->service_account);
    if (key != NULL) {
        free(v->csr_key);
        v->csr_key = pki_key_pem(key);
        csr = pki_csr_new(key, text_str(&uri));
    }
    text_fini(&uri);
    EVP_PKEY_free(key);
    return csr;
}

static void send(struct vm *v, char *csr)
{
    Istio__V1__Auth__IstioCertificateRequest rq;
    struct dialled_header headers[8];
    char *bearer = NULL;
    size_t n = vm_headers(v, headers, 8, &bearer);

    istio__v1__auth__istio_certificate_request__init(&rq);
    v->csr = dialled_open(v->swarm->loop, v->ca_channel, METHOD_CSR, headers, n, &ops, v);
    free(bearer);
    rq.csr = csr;
    rq.validity_duration = v->swarm->opts->cert_life_s;
    dialled_send(v->csr, &rq.base);
    dialled_half_close(v->csr);
}

void vm_csr_begin(struct vm *v)
{
    struct dial d = vm_dial(v);
    char *csr;

    if (v->csr != NULL) {
        return;
    }
    v->csr_attempt++;
    if (v->ca_channel == NULL) {
        v->ca_channel = dial_channel(&d);
    }
    csr = make_csr(v);
    if (v->ca_channel == NULL || csr == NULL) {
        free(csr);
        outcome_set(&v->csr_outcome, GRPC_STATUS_INTERNAL, "cannot make a channel or a request");
        retry_later(v, GRPC_STATUS_UNKNOWN);
        return;
    }
    send(v, csr);
    free(csr);
}
