/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/vm_advice.h"

#include <stdarg.h>
#include <stdbool.h>

#include "gateway/cli/fleet.h"

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

static void look_at_state(struct advice *a, const json_t *vm)
{
    const char *rule = doc_text(vm, "refused", "rule", NULL);
    char command[256];

    if (doc_is_text(vm, "state", "revoked")) {
        (void)snprintf(command, sizeof(command), "xdsgate vm unrevoke %s",
                       doc_text(vm, "id", NULL));
        say(a, command, "An operator has revoked this VM. To let it come back:");
    } else if (rule != NULL &&
               (doc_is_text(vm, "state", "refused") || doc_is_text(vm, "state", "connected"))) {
        (void)snprintf(command, sizeof(command),
                       "registration: {rules: {%s: report}}   # of its listener, to let it pass",
                       rule);
        say(a, command, "%s by the rule `%s`: %s",
            doc_is_text(vm, "state", "refused") ? "Refused" : "Noticed", rule,
            text_or(doc_text(vm, "refused", "detail", NULL), "no details"));
    } else if (doc_is_text(vm, "state", "connecting")) {
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
