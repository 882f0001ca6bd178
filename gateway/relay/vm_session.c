/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's terminated connection: from its handshake to its last stream. */
#include <stdlib.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/h2/limits.h"
#include "gateway/relay/relay_internal.h"

#define VM_MAGIC 0x00a1157cu

/* A flood, as a number of bad connections: at the default rate two a second are let in. An error of
 * HTTP/2 comes after a handshake and perhaps some thousand frames. */
#define FLOOD_COUNTS 50
#define PROTOCOL_COUNTS 10

#define EXPIRES_SOON_S 3600

const char *vm_session_identity(const struct vm_session *vm)
{
    return vm->cert == NULL ? "" : cert_peer_identity(vm->cert);
}

static void on_open(struct h2_session *s)
{
    struct vm_session *vm = s->user;

    CHECK_MAGIC(vm, VM_MAGIC);
    vm->opened = true;
    vm->owner.opened(vm->owner.arg);
    counter_add(&s->worker->counters->v[COUNTER_HANDSHAKES_OK], 1);
    counter_add(&s->worker->counters->v[COUNTER_CONNS_OPEN], 1);
    /* The last that is asked of its SSL. */
    if (cert_peer_take(conn_ssl(s->conn), &vm->cert) == RC_NO_MEMORY) {
        conn_kill(s->conn, END_MEMORY);
    }
}

static void on_request(struct h2_session *s, struct h2_stream *st, struct h2_headers *h, bool end)
{
    struct vm_session *vm = s->user;

    vm->asked = true;
    relay_open(vm, st, h, end);
}

static void on_goaway(struct h2_session *s, uint32_t error, const char *text, size_t n)
{
    /* the VM opens no more streams; nothing to do for us */
    (void)s, (void)error, (void)text, (void)n;
}

static void on_limit(struct h2_session *s, enum counter which)
{
    struct vm_session *vm = s->user;
    char text[ADDR_TEXT_BYTES];

    counter_add(&s->worker->counters->v[which], 1);
    log_event(LOG_WARNING, "a VM reached a limit", LOG_S("peer", addr_format(&vm->peer, text)),
              LOG_S("limit", which == COUNTER_LIMIT_FRAME_FLOOD         ? "frame_flood"
                             : which == COUNTER_LIMIT_HANDSHAKE_TIMEOUT ? "handshake_timeout"
                             : which == COUNTER_LIMIT_HEADER_BYTES      ? "header_bytes"
                             : which == COUNTER_LIMIT_HEADERS           ? "headers"
                                                              : "streams_per_connection"));
}

static void count_end(struct vm_session *vm, struct counters *c, enum end_reason why)
{
    counter_add(&c->conn_ends[why], 1);
    if (vm->opened) {
        counter_add(&c->v[COUNTER_CONNS_OPEN], -1);
        return;
    }
    counter_add(&c->v[COUNTER_HANDSHAKES_FAILED], 1);
    if (why == END_HANDSHAKE_TIMEOUT) {
        counter_add(&c->v[COUNTER_LIMIT_HANDSHAKE_TIMEOUT], 1);
    }
}

/* What a VM that went by itself has cost, in bad connections: a handshake that was for nothing, and
 * a part of a flood. */
static double bad_of_gone(const struct vm_session *vm)
{
    const struct h2_session *h2 = vm->h2;
    double bad = vm->asked ? 0 : 1;

    if (worker_now(h2->worker) - h2->flood_since <= H2_FLOOD_WINDOW_S) {
        bad += (double)h2->flood_count / (double)vm->route->limits->frame_flood * FLOOD_COUNTS;
    }
    return bad;
}

/* How many bad connections this one counts as. */
static double bad_of(const struct vm_session *vm, enum end_reason why)
{
    switch (why) {
    case END_FLOOD:
    case END_LIMIT:
        return FLOOD_COUNTS;
    case END_PROTOCOL:
        return PROTOCOL_COUNTS;
    case END_HANDSHAKE:
    case END_HANDSHAKE_TIMEOUT:
        return 1;
    case END_DOWN_CLOSED:
    case END_IO:
        return bad_of_gone(vm);
    default:
        return 0;
    }
}

/* How many seconds of bad_connections_per_second this connection takes. */
static double blame(const struct vm_session *vm, enum end_reason why)
{
    return bad_of(vm, why) / (double)vm->route->limits->bad_connections_per_second;
}

static void log_end(const struct vm_session *vm, enum end_reason why)
{
    char peer[ADDR_TEXT_BYTES];
    const char *detail = conn_detail(vm->h2->conn);

    addr_format(&vm->peer, peer);
    if (!vm->opened) {
        const char *ours = cert_set_peer_error(conn_ssl(vm->h2->conn));
        log_event(LOG_WARNING, "VM handshake failed", LOG_S("peer", peer),
                  LOG_S("reason", end_label(why)),
                  LOG_S("detail", ours[0] != '\0' ? ours : detail));
        return;
    }
    log_event(LOG_INFO, "VM connection ended", LOG_S("peer", peer),
              LOG_S("spiffe_id", vm_session_identity(vm)), LOG_S("reason", end_label(why)),
              LOG_S("detail", detail), LOG_I("seconds", worker_now(vm->h2->worker) - vm->since));
}

static void on_dead(struct h2_session *s, enum end_reason why)
{
    struct vm_session *vm = s->user;

    CHECK_MAGIC(vm, VM_MAGIC);
    CHECK(vm->n_relays == 0);
    count_end(vm, s->worker->counters, why);
    log_end(vm, why);
    list_del(&vm->node);
    pool_debt_forget(&vm->left);
    vm->owner.over(vm->owner.arg, vm->owner.place, vm->opened, blame(vm, why));
    vm->route->release(vm->route->owner);
    cert_peer_free(&vm->cert);
    vm->magic = 0;
    free(vm);
}

static const struct h2_session_ops vm_ops = {
    .on_open = on_open,
    .on_request = on_request,
    .on_goaway = on_goaway,
    .on_limit = on_limit,
    .on_dead = on_dead,
};

static struct vm_session *new_vm(struct worker *w, const struct addr *peer,
                                 struct relay_route *route)
{
    struct vm_session *vm = calloc(1, sizeof(*vm));
    const struct listener_limits *l = route->limits;
    struct h2_limits limits = {
        .max_streams = l->streams_per_connection,
        .header_bytes = l->header_bytes,
        .headers = l->headers,
        .frame_flood = l->frame_flood,
        .settings_timeout = l->handshake_timeout,
    };

    if (vm == NULL) {
        return NULL;
    }
    vm->magic = VM_MAGIC;
    vm->peer = *peer;
    vm->route = route;
    vm->since = worker_now(w);
    list_init(&vm->node);
    pool_debt_init(&vm->left);
    bucket_init(&vm->new_streams, (double)l->new_streams_per_second, vm->since);
    if (h2_session_new(w, H2_ACCEPTED, &limits, &vm_ops, vm, &vm->h2) != RC_OK) {
        free(vm);
        return NULL;
    }
    return vm;
}

static void free_early(struct vm_session *vm)
{
    h2_session_free(&vm->h2);
    vm->magic = 0;
    free(vm);
}

enum rc vm_session_accept(struct worker *w, int fd, const struct addr *peer, const uint8_t *prefix,
                          size_t n, struct cert_set *certs, struct relay_route *route,
                          const struct vm_session_owner *owner)
{
    struct conn *c;
    struct vm_session *vm = new_vm(w, peer, route);
    SSL *ssl = vm != NULL ? cert_set_new_ssl(certs) : NULL;

    if (ssl == NULL) {
        close(fd);
        if (vm != NULL) {
            free_early(vm);
        }
        return RC_NO_MEMORY;
    }
    enum rc rc = conn_accept(w, fd, peer, ssl, prefix, n, route->limits->handshake_timeout,
                             &h2_conn_ops, vm->h2, &c);
    if (rc != RC_OK) {
        free_early(vm);
        return rc;
    }
    h2_session_bind(vm->h2, c);
    vm->owner = *owner;
    route->hold(route->owner);
    list_add_tail(route->sessions, &vm->node);
    return RC_OK;
}

static enum vm_drained drain_one(struct vm_session *vm, enum end_reason why, const char *message)
{
    CHECK_MAGIC(vm, VM_MAGIC);
    if (!vm->draining) {
        vm->draining = true;
        h2_session_refuse_new(vm->h2, why);
    }
    for (struct list *n = vm->h2->streams.next; n != &vm->h2->streams; n = n->next) {
        struct h2_stream *st = LIST_ENTRY(n, struct h2_stream, node);
        struct relay *r = st->ops == &relay_down_ops ? st->user : NULL;
        if (r != NULL && !r->over) {
            relay_finish(r, GRPC_UNAVAILABLE, message, why);
            return VM_DRAINED_STREAM;
        }
    }
    if (!vm->h2->ending && vm->h2->n_streams == 0) {
        h2_session_end(vm->h2, H2_NO_ERROR, why);
        return VM_DRAINED_CONNECTION;
    }
    return VM_DRAINED_NOTHING;
}

enum vm_drained vm_session_drain_one(struct vm_session *vm)
{
    return drain_one(vm, END_DRAIN, "transport is closing: xdsgate is stopping");
}

static void must_leave(struct vm_session *vm, enum end_reason why, const char *detail)
{
    char peer[ADDR_TEXT_BYTES];

    log_event(LOG_WARNING, "a VM has to leave", LOG_S("peer", addr_format(&vm->peer, peer)),
              LOG_S("spiffe_id", vm_session_identity(vm)), LOG_S("reason", end_label(why)),
              LOG_S("detail", detail));
    vm->leaving = (uint8_t)why;
    vm_session_leave(vm);
}

/* Agents renew at half of a certificate's life, and show it with their next stream, half an hour
 * later at most. So that has failed when a tenth is left; or an hour, but of a short life a
 * quarter. */
static bool expires_soon(const struct cert_facts *f, int64_t now)
{
    int64_t life = f->expiry - f->start;
    int64_t left = f->expiry - now;

    return left < life / 10 || (left < EXPIRES_SOON_S && left < life / 4);
}

static void tell_expiry(struct vm_session *vm, int64_t now)
{
    const struct cert_facts *f = cert_peer_facts(vm->cert);

    if (vm->route->tap != NULL && !vm->expiry_told && expires_soon(f, now)) {
        vm->expiry_told = registry_expires_soon(vm->route->tap->registry, f->key, f->expiry);
    }
}

void vm_session_check_date(struct vm_session *vm, int64_t now)
{
    CHECK_MAGIC(vm, VM_MAGIC);
    if (vm->cert == NULL || vm->leaving != END_NONE) {
        return;
    }
    if (now >= cert_peer_expiry(vm->cert)) {
        must_leave(vm, END_EXPIRED, "");
    } else {
        tell_expiry(vm, now);
    }
}

void vm_session_check_again(struct vm_session *vm, const struct cert_set *certs)
{
    char why[CERT_WHY_BYTES];

    CHECK_MAGIC(vm, VM_MAGIC);
    if (vm->cert != NULL && vm->leaving == END_NONE &&
        cert_set_check_again(certs, vm->cert, why, sizeof(why)) == RC_PEER_DENIED) {
        must_leave(vm, END_RELOAD, why);
    }
}

void vm_session_leave(struct vm_session *vm)
{
    enum end_reason why = (enum end_reason)vm->leaving;

    CHECK_MAGIC(vm, VM_MAGIC);
    if (why == END_NONE) {
        return;
    }
    while (drain_one(vm, why,
                     why == END_EXPIRED
                         ? "transport is closing: the VM's certificate has expired"
                         : "transport is closing: the VM's certificate is not accepted any more") ==
           VM_DRAINED_STREAM) {
    }
}

void vm_session_kill(struct vm_session *vm, enum end_reason why)
{
    CHECK_MAGIC(vm, VM_MAGIC);
    conn_kill(vm->h2->conn, why);
}
