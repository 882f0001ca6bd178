/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/relay/relay_tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "gateway/relay/relay_internal.h"

static const struct relay_tap_env *env_of(const struct relay *r)
{
    return r->vm->route->tap;
}

static enum xds_variant variant_of(const struct relay *r)
{
    return r->is_delta ? XDS_DELTA : XDS_SOTW;
}

static void expect_vm(const struct relay *r)
{
    if (r->tap.vm != NULL) {
        vm_expect(r->tap.vm, r->tap.row);
    }
}

/* ---- rules ---- */

static void end_by_rule(struct relay *r, enum rule rule, const char *detail, bool first)
{
    char text[POLICY_DETAIL_BYTES + REGISTRY_DETAIL_BYTES];

    counter_add(&env_of(r)->tally->refused[rule], 1);
    (void)snprintf(text, sizeof(text), "xdsgate: %s (%s): %s",
                   first ? "registration refused" : "request refused", rule_label(rule), detail);
    relay_finish(r, rule == RULE_READABLE ? GRPC_INVALID_ARGUMENT : GRPC_PERMISSION_DENIED, text,
                 END_REFUSED);
}

static void log_rule(const struct relay *r, const char *what, const struct policy_verdict *v)
{
    char peer[ADDR_TEXT_BYTES];

    log_event(LOG_WARNING, what, LOG_S("rule", rule_label(v->rule)),
              LOG_S("peer", addr_format(&r->vm->peer, peer)),
              LOG_S("spiffe_id", vm_session_identity(r->vm)), LOG_S("detail", v->detail));
}

/* Everything but the stream's number. q: NULL, it cannot be read. */
static void fill_claim(const struct relay *r, const struct relay_speaker *s,
                       const struct xds_request *q, struct registry_claim *out)
{
    const struct registration_opts *o = env_of(r)->registration;

    *out = (struct registry_claim){
        .identity = s->uri,
        .verified = s->verified,
        .token_expiry_s = s->token_expiry_s,
        .peer = r->vm->peer,
        .node = q != NULL ? q->node : NULL,
        .listener = r->vm->route->listener,
        .upstream = pool_upstream(r->vm->route->pool)->opts.name,
        .variant = variant_of(r),
        .worker = r->worker->index,
        .one_for_each_address = o->actions[RULE_DUPLICATE] != POLICY_OFF,
        .duplicate_passes = o->actions[RULE_DUPLICATE] == POLICY_REPORT,
    };
    if (r->vm->cert != NULL) {
        const struct cert_facts *f = cert_peer_facts(r->vm->cert);
        out->certificate.known = true;
        out->certificate.expiry_s = f->expiry;
        memcpy(out->certificate.key, f->key, sizeof(out->certificate.key));
        memcpy(out->certificate.serial, f->serial, sizeof(out->certificate.serial));
    }
}

/* What breaks a rule that only reports: counted and shown. */
static void report(struct relay *r, const struct registry_claim *c, enum rule rule,
                   const char *detail, int64_t now_ms)
{
    counter_add(&env_of(r)->tally->reported[rule], 1);
    registry_reported(env_of(r)->registry, c, rule, detail, now_ms);
}

/* A message of the VM, which has been read or not. */
struct said {
    const uint8_t *message; /* without its frame */
    size_t n;
    const struct xds_request *request; /* NULL: it cannot be read */
    const char *unread;                /* why */
};

/* Does the first request pass the rules that need no memory of other VMs? Otherwise the relay is
 * over. */
static bool first_passes(struct relay *r, const struct relay_speaker *s,
                         const struct registry_claim *c, const struct said *said, int64_t now_ms)
{
    const struct policy_claim claim = {.identity = relay_speaker_id(s),
                                       .verified = s->verified,
                                       .peer = r->vm->peer,
                                       .request = said->request,
                                       .unread = said->unread};
    struct policy_verdict v;

    for (enum rule from = 0; policy_judge_first(env_of(r)->registration, &claim, from, &v);
         from = v.rule + 1) {
        if (v.fate != POLICY_PASS) {
            registry_refused(env_of(r)->registry, c, v.rule, v.detail, now_ms);
            end_by_rule(r, v.rule, v.detail, true);
            return false;
        }
        report(r, c, v.rule, v.detail, now_ms);
    }
    return true;
}

static enum relay_tap_fate enter(struct relay *r, const struct registry_claim *c, int64_t now_ms)
{
    struct registry_refusal why;

    switch (registry_enter(env_of(r)->registry, c, now_ms, &r->tap.vm, &why)) {
    case RC_OK:
        if (why.rule != RULES) {
            counter_add(&env_of(r)->tally->reported[why.rule], 1);
        }
        return RELAY_TAP_PASS;
    case RC_PEER_DENIED:
        end_by_rule(r, why.rule, why.detail, true);
        break;
    case RC_FULL:
        relay_finish(r, GRPC_RESOURCE_EXHAUSTED, "xdsgate: too many VMs, see `registry.max_vms`",
                     END_LIMIT);
        break;
    default:
        relay_finish(r, GRPC_RESOURCE_EXHAUSTED, "xdsgate: out of memory", END_MEMORY);
        break;
    }
    return RELAY_TAP_OVER;
}

/* ---- requests ---- */

_Static_assert(XDS_TYPES <= 32, "one bit each in struct relay_tap");

/* What istiod keeps for each stream, whoever speaks for the VM by now. */
static void note_asked(struct relay *r, const struct xds_request *q)
{
    if (q->type >= XDS_TYPES || q->has_error) {
        return;
    }
    r->tap.asked = xds_sync_leaves(variant_of(r), q) ? r->tap.asked & ~(1U << q->type)
                                                     : r->tap.asked | 1U << q->type;
}

static void note(struct relay *r, const struct said *said)
{
    const struct xds_request *q = said->request;
    struct relay_tap *tap = &r->tap;
    struct tally_type *t = &env_of(r)->tally->types[q->type];
    int64_t now_ms = clock_wall_ms();

    note_asked(r, q);
    counter_add(&t->requests, 1);
    counter_add(&t->request_bytes, (int64_t)(said->n + GRPC_FRAME_HEADER_BYTES));
    if (tap->vm == NULL) {
        return;
    }
    struct vm_heard heard =
        vm_request(tap->vm, tap->number, q, said->n + GRPC_FRAME_HEADER_BYTES, now_ms);
    tap->row = heard.row;
    vm_keep_request(tap->vm, tap->number, q, said->message, said->n, now_ms);
    if (q->type < XDS_TYPES && (heard.event == XDS_ACKED || heard.event == XDS_NACKED)) {
        counter_add(heard.event == XDS_ACKED ? &t->acks : &t->nacks, 1);
        histogram_add(&t->push_to_ack, &tally_ack_scale, heard.waited_ms);
    }
}

/* A rejection of what istiod does not know to have sent on this stream: istiod may end of it, so it
 * is never relayed, whatever the rule is set to. */
static bool is_unasked_nack(const struct xds_request *q, bool asked)
{
    return q != NULL && q->has_error && q->type != XDS_HEALTH && !asked;
}

static bool start(struct relay *r)
{
    if (relay_index_add(env_of(r)->index, r, &r->tap.number) == RC_OK) {
        r->tap.tally = env_of(r)->tally;
        r->tap.configs = registry_configs(env_of(r)->registry);
        return true;
    }
    relay_finish(r, GRPC_RESOURCE_EXHAUSTED, "xdsgate: out of memory", END_MEMORY);
    return false;
}

static enum relay_tap_fate take_first(struct relay *r, const struct said *said)
{
    const struct xds_request *q = said->request;
    int64_t now_ms = clock_wall_ms(); /* what is reported is no older than the stream */
    struct relay_speaker s;
    struct registry_claim c;

    relay_find_speaker(r, &s);
    fill_claim(r, &s, q, &c);
    if (!first_passes(r, &s, &c, said, now_ms)) {
        return RELAY_TAP_OVER;
    }
    if (is_unasked_nack(q, false)) {
        end_by_rule(r, RULE_NACK, "it begins with a rejection of what it has not got", true);
        return RELAY_TAP_OVER;
    }
    if (!start(r)) {
        return RELAY_TAP_OVER;
    }
    if (q == NULL) {
        return RELAY_TAP_PASS;
    }
    c.stream = r->tap.number;
    enum relay_tap_fate fate = enter(r, &c, now_ms);
    if (fate == RELAY_TAP_PASS) {
        note(r, said);
    }
    return fate;
}

/* Only of what is rejected does a rule want to know. */
static bool has_asked(const struct relay *r, const struct xds_request *q)
{
    return q == NULL || !q->has_error ||
           (q->type < XDS_TYPES && (r->tap.asked >> q->type & 1U) != 0);
}

static enum relay_tap_fate take_later(struct relay *r, const struct said *said)
{
    const struct xds_request *q = said->request;
    bool asked = has_asked(r, q);
    struct policy_verdict v;

    for (enum rule from = 0;
         policy_judge_later(env_of(r)->registration, q, said->unread, asked, from, &v);
         from = v.rule + 1) {
        if (r->tap.vm != NULL) {
            vm_breaks_rule(r->tap.vm, r->tap.number, v.rule, v.detail, v.fate == POLICY_PASS,
                           clock_wall_ms());
        }
        switch (v.fate) {
        case POLICY_END:
            end_by_rule(r, v.rule, v.detail, false);
            return RELAY_TAP_OVER;
        case POLICY_DROP:
            counter_add(&env_of(r)->tally->dropped[v.rule], 1);
            log_rule(r, "a request is left out", &v);
            return RELAY_TAP_DROP;
        case POLICY_PASS:
            counter_add(&env_of(r)->tally->reported[v.rule], 1);
            log_rule(r, "a request breaks a rule that only reports", &v);
            break;
        }
    }
    if (is_unasked_nack(q, asked)) {
        return RELAY_TAP_DROP;
    }
    if (q != NULL) {
        note(r, said);
    }
    return RELAY_TAP_PASS;
}

/* The whole message with its frame, in one piece: borrowed from data or made in *made, which is the
 * caller's to free. NULL: out of memory. */
static const uint8_t *join(const struct relay *r, const uint8_t *data, size_t n, uint8_t **made)
{
    size_t before = r->open_message.len;

    *made = NULL;
    if (before == 0) {
        return data;
    }
    uint8_t *all = malloc(before + n);
    if (all == NULL) {
        return NULL;
    }
    bufq_copy(&r->open_message, 0, all, before);
    memcpy(all + before, data, n);
    *made = all;
    return all;
}

/* Why the message cannot be read; NULL: it was. */
static const char *read_request(const struct relay *r, const uint8_t *all, size_t n,
                                struct xds_request *q, enum rc *rc)
{
    const struct xds_piece piece = {all + GRPC_FRAME_HEADER_BYTES, n - GRPC_FRAME_HEADER_BYTES};

    *rc = RC_PEER_MALFORMED;
    if (grpc_frame_is_compressed(&r->scan)) {
        return "it is compressed";
    }
    *rc = xds_request_read(variant_of(r), &piece, 1, q);
    return *rc == RC_OK ? NULL : "it is no request of xDS";
}

static enum relay_tap_fate take_request(struct relay *r, const uint8_t *all, size_t n)
{
    struct xds_request q;
    enum rc rc = RC_OK;
    const char *unread = read_request(r, all, n, &q, &rc);
    enum relay_tap_fate fate = RELAY_TAP_OVER;

    if (rc == RC_NO_MEMORY) {
        relay_finish(r, GRPC_RESOURCE_EXHAUSTED, "xdsgate: out of memory", END_MEMORY);
        return RELAY_TAP_OVER;
    }
    if (unread != NULL) {
        counter_add(&env_of(r)->tally->unread_up, 1);
    }
    const struct said said = {.message = all + GRPC_FRAME_HEADER_BYTES,
                              .n = n - GRPC_FRAME_HEADER_BYTES,
                              .request = rc == RC_OK ? &q : NULL,
                              .unread = unread};
    fate = r->tap.number == 0 ? take_first(r, &said) : take_later(r, &said);
    if (rc == RC_OK) {
        free(q.node);
    }
    return fate;
}

enum relay_tap_fate relay_tap_message(struct relay *r, const uint8_t *data, size_t n)
{
    uint8_t *made = NULL;

    if (env_of(r) == NULL) {
        return RELAY_TAP_PASS;
    }
    if (!r->is_ads) {
        return relay_csr_message(r);
    }
    expect_vm(r);
    const uint8_t *all = join(r, data, n, &made);
    if (all == NULL) {
        relay_finish(r, GRPC_RESOURCE_EXHAUSTED, "xdsgate: out of memory", END_MEMORY);
        return RELAY_TAP_OVER;
    }
    enum relay_tap_fate fate = take_request(r, all, r->open_message.len + n);
    free(made);
    return fate;
}

/* ---- responses ---- */

void relay_tap_admitted(struct relay *r)
{
    const struct relay_tap *tap = &r->tap;

    if (tap->vm == NULL) {
        return;
    }
    const struct addr *endpoint = up_session_addr(r->up_session);
    struct address_set *known = upstream_addresses(pool_upstream(r->vm->route->pool));
    enum end_reason after = vm_admitted(tap->vm, tap->number, endpoint,
                                        address_set_pod(known, endpoint), clock_wall_ms());
    counter_add(&tap->tally->reconnects[after], 1);
    address_set_unref(&known);
}

/* What the VM gets is kept only when that is switched on, and the stream has a VM. */
static void on_begin(void *arg, uint32_t bytes)
{
    struct relay *r = arg;
    struct relay_tap *tap = &r->tap;

    if (tap->vm != NULL && config_store_is_on(tap->configs)) {
        tap->intake = config_intake_new(tap->configs, variant_of(r), bytes);
    }
}

static void on_payload(void *arg, const uint8_t *data, size_t n)
{
    struct relay *r = arg;

    if (r->tap.intake != NULL) {
        config_intake_feed(r->tap.intake, data, n);
    }
}

static void keep_response(struct relay *r, const struct xds_response *p)
{
    enum config_loss why = CONFIG_LOSS_INCOMPLETE; /* the ACK of what was missed tells the rest */
    struct config_push *push = NULL;

    if (r->tap.intake != NULL) {
        enum config_taken taken = config_intake_end(&r->tap.intake, p, &push, &why);
        vm_keep_response(r->tap.vm, r->tap.number, p->type, taken, &push, why);
    }
}

static void on_response(void *arg, const struct xds_response *p)
{
    struct relay *r = arg;
    struct tally_type *t = &r->tap.tally->types[p->type];

    counter_add(&t->responses, 1);
    counter_add(&t->response_bytes, (int64_t)p->bytes);
    if (r->tap.vm != NULL) {
        r->tap.row = vm_response(r->tap.vm, r->tap.number, p, clock_wall_ms());
        keep_response(r, p);
    }
}

static void on_unread(void *arg, bool compressed, uint64_t bytes)
{
    struct relay *r = arg;

    counter_add(&env_of(r)->tally->unread_down, 1);
    config_intake_free(&r->tap.intake);
    if (r->tap.vm != NULL) {
        vm_unread(r->tap.vm, r->tap.number, compressed, bytes);
    }
}

static const struct xds_response_ops response_ops = {on_response, on_unread, on_begin, on_payload};

/* From the beginning of a response: most are whole, and then there is nothing to keep. */
static void begin_responses(struct relay *r, const uint8_t *data, size_t n)
{
    struct xds_response_scan fresh;

    xds_response_init(&fresh, variant_of(r));
    xds_response_feed(&fresh, &response_ops, r, data, n);
    if (xds_response_is_idle(&fresh)) {
        return;
    }
    r->tap.scan = malloc(sizeof(fresh));
    if (r->tap.scan == NULL) {
        r->tap_is_blind = true;
        on_unread(r, false, 0);
        return;
    }
    *r->tap.scan = fresh;
}

static void read_response(struct relay *r, const uint8_t *data, size_t n)
{
    struct relay_tap *tap = &r->tap;

    if (r->tap_is_blind) {
        return;
    }
    expect_vm(r);
    if (tap->scan == NULL) {
        begin_responses(r, data, n);
        return;
    }
    xds_response_feed(tap->scan, &response_ops, r, data, n);
    if (xds_response_is_idle(tap->scan)) {
        free(tap->scan);
        tap->scan = NULL;
    }
}

void relay_tap_response(struct relay *r, const uint8_t *data, size_t n)
{
    if (r->tap.number != 0) {
        read_response(r, data, n);
    } else if (r->csr != NULL) {
        relay_csr_response(r, data, n);
    }
}

void relay_tap_end(struct relay *r)
{
    struct relay_tap *tap = &r->tap;

    relay_csr_end(r);
    if (tap->number == 0) {
        return;
    }
    relay_index_remove(env_of(r)->index, tap->number);
    if (tap->vm != NULL) {
        registry_leave(env_of(r)->registry, &tap->vm, tap->number, (enum end_reason)r->why,
                       clock_wall_ms());
    }
    free(tap->scan);
    config_intake_free(&tap->intake);
    *tap = (struct relay_tap){0};
}
