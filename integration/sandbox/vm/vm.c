/* SPDX-License-Identifier: Apache-2.0 */
/* The life of simulated VMs: start, stop, health, what they show when they dial. */
#include "integration/sandbox/vm/vm.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "integration/sandbox/common/os.h"
#include "integration/sandbox/common/pki.h"

void outcome_set(struct outcome *o, int code, const char *text)
{
    free(o->text);
    o->text = sbx_strdup(text);
    o->code = code;
    o->at_ms = os_now_ms();
}

struct dial vm_dial(const struct vm *v)
{
    const struct swarm_opts *o = v->swarm->opts;
    /* an agent shows no certificate that has expired */
    bool show = v->cert != NULL && v->cert_not_after_s > os_wall_s();

    return (struct dial){
        .target = o->target,
        .server_name = o->server_name,
        .roots = v->roots,
        .cert = show ? v->cert : NULL,
        .key = show ? v->key : NULL,
    };
}

/* The token as it is on disk now; NULL without one. Owned by the caller. */
static char *read_token(const struct vm *v)
{
    const struct swarm_opts *o = v->swarm->opts;
    struct text path = {0};
    char *token;

    if (o->token_once && v->cert != NULL) {
        return NULL;
    }
    if (o->token_dir != NULL) {
        text_addf(&path, "%s/%s", o->token_dir, v->name);
    } else if (o->token_file != NULL) {
        text_add(&path, o->token_file);
    }
    token = path.len > 0 ? file_read(path.p) : NULL;
    text_fini(&path);
    if (token != NULL) {
        token[strcspn(token, " \r\n")] = '\0';
    }
    return token;
}

size_t vm_headers(const struct vm *v, struct dialled_header *out, size_t n_max, char **bearer)
{
    const struct swarm_opts *o = v->swarm->opts;
    char *token = read_token(v);
    struct text t = {0};
    size_t n = 0;

    out[n++] = (struct dialled_header){"clusterid", o->cluster_id};
    if (token != NULL) {
        text_addf(&t, "Bearer %s", token);
        free(token);
        *bearer = text_take(&t);
        out[n++] = (struct dialled_header){"authorization", *bearer};
    }
    for (size_t i = 0; i + 1 < o->headers.n && n < n_max; i += 2) {
        out[n++] = (struct dialled_header){o->headers.v[i], o->headers.v[i + 1]};
    }
    return n;
}

static void forget(struct vm *v)
{
    for (int i = 0; i < XDS_TYPES; i++) {
        names_fini(&v->types[i].names);
        names_fini(&v->types[i].held);
    }
    v->paused = false;
    v->proxy_ready = false;
    v->health_stored = -1;
    v->established = false;
    v->lds_requested = false;
    v->backoff_ms = 0;
    v->csr_attempt = 0;
    v->csr_backoff_ms = 0;
    v->cert_after_ms = -1;
    v->synced_after_ms = -1;
}

static void on_start(struct timer *t)
{
    struct vm *v = t->user;

    v->started_ms = os_now_ms();
    vm_health_update(v); /* the first probe finds no proxy that is ready */
    if (v->swarm->opts->no_csr) {
        vm_ads_open(v);
    } else {
        vm_csr_begin(v);
    }
}

void vm_start(struct vm *v)
{
    uint64_t spread = (uint64_t)v->swarm->opts->spread_ms;

    if (v->running) {
        return;
    }
    forget(v);
    v->running = true;
    v->started_ms = os_now_ms();
    timer_arm(v->swarm->loop, &v->csr_timer, (int64_t)os_random_below(spread), on_start, v);
}

static void drop(struct dialled_call **call, grpc_channel **channel)
{
    if (*call != NULL) {
        dialled_drop(*call);
        *call = NULL;
    }
    if (*channel != NULL) {
        grpc_channel_destroy(*channel);
        *channel = NULL;
    }
}

void vm_stop(struct vm *v)
{
    timer_stop(&v->csr_timer);
    timer_stop(&v->ads_timer);
    drop(&v->csr, &v->ca_channel);
    drop(&v->ads, &v->ads_channel);
    free(v->csr_key);
    v->csr_key = NULL;
    v->running = false;
    v->established = false;
}

void vm_set_health(struct vm *v, bool healthy)
{
    v->app_healthy = healthy;
    if (v->running) {
        vm_health_update(v);
    }
}

void vm_set_nack(struct vm *v, enum xds_type type, bool nack)
{
    if (v->types[type].nack != nack) {
        v->types[type].nack = nack;
        vm_ads_answer(v, type);
    }
}

void vm_set_paused(struct vm *v, bool paused)
{
    v->paused = paused;
    if (v->ads != NULL) {
        dialled_pause(v->ads, paused);
    }
}

static bool type_done(const struct vm_type *t)
{
    return t->subscribed && t->nonce != NULL && t->nonce_acked != NULL &&
           strcmp(t->nonce, t->nonce_acked) == 0;
}

bool vm_synced(const struct vm *v)
{
    const struct vm_type *t = v->types;

    return v->established && type_done(&t[XDS_CDS]) && type_done(&t[XDS_LDS]) &&
           (t[XDS_EDS].names.n == 0 || type_done(&t[XDS_EDS])) &&
           (t[XDS_RDS].names.n == 0 || type_done(&t[XDS_RDS]));
}

static void vm_init(struct vm *v, struct swarm *s, int64_t n)
{
    const struct swarm_opts *o = s->opts;
    struct in_addr address = {.s_addr = htonl(o->ip_base + (uint32_t)(n - 1))};
    char ip[INET_ADDRSTRLEN];
    struct text name = {0};

    *v = (struct vm){.swarm = s, .n = n, .app_healthy = true, .health_stored = -1};
    text_addf(&name, "%s-%lld", o->name_prefix, (long long)n);
    v->name = text_take(&name);
    v->address = sbx_strdup(inet_ntop(AF_INET, &address, ip, sizeof(ip)));
    v->roots = sbx_strdup(o->roots);
    v->csr_outcome.code = -1;
    v->ads_outcome.code = -1;
    if (o->cert != NULL) {
        v->cert = sbx_strdup(o->cert);
        v->key = sbx_strdup(o->key);
        v->cert_not_after_s = pki_cert_not_after(o->cert);
    }
}

void swarm_open(struct swarm *s, struct loop *loop, const struct swarm_opts *opts)
{
    *s = (struct swarm){.loop = loop, .opts = opts};
    swarm_pad(s);
    if (opts->rsa) {
        EVP_PKEY *key = pki_key_new(true);

        s->rsa_key = key == NULL ? NULL : pki_key_pem(key);
        EVP_PKEY_free(key);
    }
    s->vms = sbx_alloc((size_t)opts->count * sizeof(s->vms[0]));
    for (int64_t i = 0; i < opts->count; i++) {
        vm_init(&s->vms[i], s, i + 1);
        vm_start(&s->vms[i]);
    }
}

void swarm_stop(struct swarm *s)
{
    for (int64_t i = 0; i < s->opts->count; i++) {
        vm_stop(&s->vms[i]);
    }
}

static void vm_fini(struct vm *v)
{
    for (int i = 0; i < XDS_TYPES; i++) {
        struct vm_type *t = &v->types[i];

        names_fini(&t->names);
        names_fini(&t->held);
        free(t->version);
        free(t->nonce);
        free(t->nonce_acked);
    }
    free(v->name);
    free(v->address);
    free(v->roots);
    free(v->cert);
    free(v->key);
    free(v->csr_outcome.text);
    free(v->ads_outcome.text);
}

void swarm_close(struct swarm *s)
{
    for (int64_t i = 0; i < s->opts->count; i++) {
        vm_fini(&s->vms[i]);
    }
    free(s->vms);
    free(s->rsa_key);
    swarm_unpad(s);
}
