/* SPDX-License-Identifier: Apache-2.0 */
/* A VM asks for a certificate: not with a revoked key; and who got which one is written down. */
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "gateway/relay/relay_ca.h"
#include "gateway/relay/relay_internal.h"

struct relay_csr {
    struct relay_speaker speaker;
    struct relay_ca ca;
};

static const uint8_t *key_of(const struct relay *r)
{
    return r->vm->cert != NULL ? cert_peer_facts(r->vm->cert)->key : NULL;
}

enum relay_tap_fate relay_csr_message(struct relay *r)
{
    const struct relay_tap_env *env = r->vm->route->tap;

    if (r->csr != NULL) {
        return RELAY_TAP_PASS; /* there is one message only; the upstream minds another */
    }
    if (key_of(r) != NULL && registry_key_is_revoked(env->registry, key_of(r))) {
        counter_add(&env->tally->refused[RULE_REVOKED], 1);
        relay_finish(r, GRPC_PERMISSION_DENIED, "xdsgate: an operator has revoked this VM",
                     END_REFUSED);
        return RELAY_TAP_OVER;
    }
    r->csr = malloc(sizeof(*r->csr));
    if (r->csr == NULL) {
        relay_finish(r, GRPC_RESOURCE_EXHAUSTED, "xdsgate: out of memory", END_MEMORY);
        return RELAY_TAP_OVER;
    }
    relay_find_speaker(r, &r->csr->speaker);
    relay_ca_init(&r->csr->ca);
    return RELAY_TAP_PASS;
}

static void log_certificate(const struct relay *r, const struct registry_certificate *c)
{
    const struct relay_speaker *s = &r->csr->speaker;
    char peer[ADDR_TEXT_BYTES];
    char istiod[ADDR_TEXT_BYTES];

    log_audit(LOG_INFO, "certificate issued", "certificate", LOG_S("spiffe_id", s->uri),
              LOG_S("by", s->verified ? "certificate" : "token"),
              LOG_S("peer", addr_format(&r->vm->peer, peer)),
              LOG_S("listener", r->vm->route->listener),
              LOG_S("istiod", addr_format(up_session_addr(r->up_session), istiod)),
              LOG_S("serial", c->serial), LOG_I("expires", c->expiry_s));
}

void relay_csr_response(struct relay *r, const uint8_t *data, size_t n)
{
    const struct relay_tap_env *env = r->vm->route->tap;
    struct registry_certificate issued = {.known = true};
    struct cert_facts facts;

    if (!relay_ca_feed(&r->csr->ca, data, n, &facts)) {
        return;
    }
    issued.expiry_s = facts.expiry;
    memcpy(issued.key, facts.key, sizeof(issued.key));
    memcpy(issued.serial, facts.serial, sizeof(issued.serial));
    counter_add(&env->tally->certificates, 1);
    log_certificate(r, &issued);
    if (key_of(r) != NULL) {
        registry_issued(env->registry, key_of(r), &issued, clock_wall_ms());
    }
}

void relay_csr_end(struct relay *r)
{
    free(r->csr);
    r->csr = NULL;
}
