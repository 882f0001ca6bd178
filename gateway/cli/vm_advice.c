/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/vm_advice.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "gateway/cli/fleet.h"
#include "gateway/cli/vm_refusal.h"

/* istiod answers within its push slots and the VM within a moment: later than this it is stuck. */
#define STALE_MS (60 * 1000)
#define CERTIFICATE_SOON_MS (3600 * 1000)

struct advice {
    FILE *out;
    int n;
};

/* A sentence, made harmless, and a command below it. */
static void say(struct advice *a, const char *command, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct advice *a, const char *command, const char *fmt, ...)
{
    char clean[FLEET_CLEAN_BYTES];
    va_list ap;

    va_start(ap, fmt);
    fleet_clean(clean, fmt, ap);
    va_end(ap);
    (void)fprintf(a->out, "  %s\n      %s\n", clean, command);
    a->n++;
}

static const char *text_or(const char *text, const char *other)
{
    return text != NULL && *text != '\0' ? text : other;
}

static bool is_rule(const json_t *vm, const char *rule)
{
    return doc_text(vm, "refused", "rule", NULL) != NULL &&
           strcmp(doc_text(vm, "refused", "rule", NULL), rule) == 0;
}

/* reported: it came in all the same. */
static void say_rule(struct advice *a, const json_t *vm, bool reported)
{
    const char *rule = doc_text(vm, "refused", "rule", NULL);
    char command[256];

    (void)snprintf(
        command, sizeof(command), "registration: {rules: {%s: %s}}   # of its listener, %s", rule,
        reported ? "off" : "report", reported ? "when that is as it should be" : "to let it pass");
    say(a, command, "%s by the rule `%s`%s: %s", reported ? "Noticed" : "Refused", rule,
        reported ? ", which only reports" : "",
        text_or(doc_text(vm, "refused", "detail", NULL), "no details"));
}

static void say_other(struct advice *a, const json_t *vm)
{
    const char *rule = doc_text(vm, "refused", "rule", NULL);
    bool is_request = is_rule(vm, "readable") || is_rule(vm, "type") || is_rule(vm, "nack");
    char command[256];

    (void)snprintf(command, sizeof(command),
                   "journalctl -u xdsgate | grep -w %s   # on the gateway: from where it came",
                   rule);
    say(a, command, "While it is connected, %s was refused by the rule `%s`: %s",
        is_request ? "a request of its" : "another one that says it is this VM", rule,
        text_or(doc_text(vm, "refused", "detail", NULL), "no details"));
}

static void look_at_refusal(struct advice *a, const json_t *vm)
{
    enum vm_refusal refusal = vm_refusal_of(vm);

    if (refusal == VM_REFUSAL_OTHER) {
        say_other(a, vm);
    } else if (refusal == VM_REFUSAL_REPORTED) {
        say_rule(a, vm, true);
    } else if (refusal == VM_REFUSAL_OWN && is_rule(vm, "revoked")) {
        say(a, "xdsgate vm list   # shows it connected when it has come",
            "It was revoked and may come back; it has not tried since.");
    } else if (refusal == VM_REFUSAL_OWN && is_rule(vm, "held")) {
        say(a, "xdsgate vm list   # shows it connected when it has come",
            "It is to be registered anew, so it was sent away for a while: %s",
            text_or(doc_text(vm, "refused", "detail", NULL), "no details"));
    } else if (refusal == VM_REFUSAL_OWN) {
        say_rule(a, vm, false);
    }
}

static void look_at_state(struct advice *a, const json_t *vm)
{
    char command[256];

    if (doc_is_text(vm, "state", "revoked")) {
        (void)snprintf(command, sizeof(command), "xdsgate vm unrevoke %s",
                       doc_text(vm, "id", NULL));
        say(a, command, "An operator has revoked this VM. To let it come back:");
        return;
    }
    look_at_refusal(a, vm);
    if (doc_is_text(vm, "state", "connecting")) {
        say(a, "xdsgate upstream list", "istiod has not answered this VM's stream yet.");
    } else if (doc_is_text(vm, "state", "disconnected")) {
        say(a, "systemctl status istio; xdsgate doctor   # on the VM",
            "It has no stream to istiod; the last one ended with `%s`.",
            text_or(doc_text(vm, "last_end", NULL), "none"));
    }
}

static void look_at_type(struct advice *a, const json_t *vm, const json_t *row, int64_t now)
{
    char command[320];
    char span[FLEET_SPAN_BYTES];
    const char *type = text_or(doc_text(row, "type", NULL), "a type");
    int64_t waits = now - fleet_time(doc_at(row, "sent", NULL));

    if (doc_is_text(row, "state", "ERROR")) {
        (void)snprintf(command, sizeof(command), "istioctl analyze -n %.253s",
                       text_or(doc_text(vm, "namespace", NULL), "NAMESPACE"));
        say(a, command, "Its Envoy rejected %s: %s", type,
            text_or(doc_text(row, "error", NULL), "without a reason"));
    } else if (doc_is_text(row, "state", "STALE") && waits > STALE_MS) {
        say(a, "journalctl -u istio   # on the VM",
            "It has not answered %s, which istiod sent %s ago.", type, fleet_span(waits, span));
    }
}

static void look_at_health(struct advice *a, const json_t *vm)
{
    if (doc_is_text(vm, "state", "connected") && doc_is_text(vm, "health", "unhealthy")) {
        say(a, "xdsgate doctor   # on the VM", "It reports that it is unhealthy: %s",
            text_or(doc_text(vm, "health_message", NULL), "without a reason"));
    }
}

static void look_at_certificate(struct advice *a, const json_t *vm, int64_t now)
{
    int64_t expires = fleet_time(doc_at(vm, "certificate_expires", NULL));
    char span[FLEET_SPAN_BYTES];

    if (expires > 0 && expires < now) {
        say(a, "xdsgate bundle renew GROUP -n NAMESPACE   # then run what it makes on the VM",
            "Its certificate has expired; when its token has, too, it cannot come back by itself.");
    } else if (expires > 0 && expires - now < CERTIFICATE_SOON_MS) {
        say(a, "journalctl -u istio | grep -i csr   # on the VM",
            "Its certificate expires in %s; agents renew at half of its life.",
            fleet_span(expires - now, span));
    }
}

void vm_advice_write(const json_t *vm, int64_t now, FILE *out)
{
    struct advice a = {.out = out};
    size_t i;
    json_t *row;

    look_at_state(&a, vm);
    json_array_foreach(doc_at(vm, "sync", NULL), i, row)
    {
        if (doc_is_text(vm, "state", "connected")) {
            look_at_type(&a, vm, row, now);
        }
    }
    look_at_health(&a, vm);
    look_at_certificate(&a, vm, now);
    if (a.n == 0) {
        (void)fputs("  Nothing stands out.\n", out);
    }
}
