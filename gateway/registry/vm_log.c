/* SPDX-License-Identifier: Apache-2.0 */
/* Lines about a VM: one for each event that matters. Their keys are the same everywhere: vm,
 * spiffe_id, peer. */
#include <string.h>

#include "certs/cert_time.h"
#include "core/base/log.h"
#include "gateway/registry/registry_internal.h"

/* Envoy's reasons may be long, and the first words are what matters. */
#define REASON_BYTES 512

/* What every line begins with. */
struct head {
    char name[VM_NAME_BYTES];
    char peer[ADDR_TEXT_BYTES];
};

static const char *name_of(const struct vm_claim *c, struct head *h)
{
    (void)addr_format(&c->peer, h->peer);
    return vm_claim_name(c, h->name);
}

#define LOG_HEAD(c, h)                                                             \
    LOG_S("vm", name_of(c, h)), LOG_S("spiffe_id", vm_claim_text(c, VM_IDENTITY)), \
        LOG_S("peer", (h)->peer)

void vm_log_registered(const struct vm_claim *c, const char *pod, const struct addr *endpoint)
{
    char where[ADDR_TEXT_BYTES];
    struct head h;

    log_event(LOG_INFO, "VM registered", LOG_HEAD(c, &h),
              LOG_S("group", vm_claim_text(c, VM_GROUP)),
              LOG_S("network", vm_claim_text(c, VM_NETWORK)),
              LOG_S("version", vm_claim_text(c, VM_VERSION)),
              LOG_S("upstream", vm_claim_text(c, VM_UPSTREAM)),
              LOG_S("endpoint", addr_format(endpoint, where)), LOG_S("istiod", pod));
}

/* An agent comes again every half minute at the least: the first time is told, and then each time
 * that it has become twice as many. */
static bool is_worth_a_line(uint32_t times)
{
    return (times & (times - 1)) == 0;
}

void vm_log_refused(const struct vm_claim *c, enum rule rule, const char *detail, bool passed,
                    uint32_t times)
{
    struct head h;

    if (!is_worth_a_line(times)) {
        return;
    }
    if (passed) {
        log_event(LOG_WARNING, "registration breaks a rule that only reports", LOG_HEAD(c, &h),
                  LOG_S("rule", rule_label(rule)), LOG_S("detail", detail), LOG_I("times", times));
    } else {
        log_event(LOG_WARNING, "registration refused", LOG_HEAD(c, &h),
                  LOG_S("rule", rule_label(rule)), LOG_S("detail", detail), LOG_I("times", times));
    }
}

void vm_log_rejected(const struct vm_claim *c, enum xds_type type, const char *text)
{
    struct head h;

    log_event(LOG_WARNING, "VM rejects configuration", LOG_HEAD(c, &h),
              LOG_S("type", xds_type_name(type)),
              LOG_SN("detail", text, strnlen(text, REASON_BYTES)));
}

void vm_log_health(const struct vm_claim *c, bool healthy, const char *message)
{
    struct head h;

    if (healthy) {
        log_event(LOG_INFO, "VM is healthy", LOG_HEAD(c, &h));
    } else {
        log_event(LOG_WARNING, "VM is unhealthy", LOG_HEAD(c, &h),
                  LOG_SN("detail", message, strnlen(message, REASON_BYTES)));
    }
}

void vm_log_issued(const struct vm_claim *c, const struct registry_certificate *issued)
{
    char expires[CERT_TIME_BYTES];
    struct head h;

    cert_format_time(issued->expiry_s, expires);
    log_event(LOG_INFO, "VM has a new certificate", LOG_HEAD(c, &h),
              LOG_S("serial", issued->serial), LOG_S("expires", expires));
}

void vm_log_expires_soon(const struct vm_claim *c, int64_t expiry_s)
{
    char expires[CERT_TIME_BYTES];
    struct head h;

    cert_format_time(expiry_s, expires);
    log_event(LOG_WARNING, "certificate of a VM expires soon", LOG_HEAD(c, &h),
              LOG_S("expires", expires));
}

void vm_log_operator(enum vm_order order, const char *name, const char *identity, const char *by)
{
    static const struct {
        const char *what;
        const char *audit;
    } orders[] = {
        [VM_ORDER_REVOKE] = {"VM revoked", "revoke"},
        [VM_ORDER_UNREVOKE] = {"VM is not revoked any more", "unrevoke"},
        [VM_ORDER_REREGISTER] = {"VM is to register anew", "reregister"},
    };

    log_audit(LOG_WARNING, orders[order].what, orders[order].audit, LOG_S("vm", name),
              LOG_S("spiffe_id", identity), LOG_S("by", by));
}
