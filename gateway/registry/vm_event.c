/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/vm_event.h"

#include <stdbool.h>
#include <string.h>

#include "core/base/end_reason.h"
#include "gateway/registry/rule.h"
#include "xds/xds_type.h"

static uint64_t tag_of(enum vm_what what, unsigned detail)
{
    return (uint64_t)what << 8 | (detail & 0xffU);
}

static void remove_at(struct vm_events *e, uint8_t i)
{
    e->n--;
    memmove(&e->of[i], &e->of[i + 1], (size_t)(e->n - i) * sizeof(e->of[0]));
}

/* Where the same is; n: nowhere. */
static uint8_t find(const struct vm_events *e, uint64_t tag)
{
    uint8_t i = e->n;

    while (i > 0 && (e->of[i - 1] & 0xffffU) != tag) { /* what comes again was often the last */
        i--;
    }
    return i > 0 ? (uint8_t)(i - 1) : e->n;
}

void vm_events_add(struct vm_events *e, enum vm_what what, unsigned detail, int64_t now_ms)
{
    uint64_t tag = tag_of(what, detail);
    bool only_last = what == VM_WHAT_PUSH || what == VM_WHAT_REFUSED;
    uint8_t before = only_last ? find(e, tag) : e->n;

    if (before < e->n) {
        remove_at(e, before);
    } else if (e->n == VM_EVENTS) {
        remove_at(e, 0);
    }
    e->of[e->n++] = (uint64_t)(now_ms > 0 ? now_ms : 0) << 16 | tag;
}

struct vm_event vm_events_get(const struct vm_events *e, uint8_t i)
{
    return (struct vm_event){.at_ms = (int64_t)(e->of[i] >> 16),
                             .what = (enum vm_what)(e->of[i] >> 8 & 0xffU),
                             .detail = (unsigned)(e->of[i] & 0xffU)};
}

const char *vm_what_name(enum vm_what what)
{
    static const char *const names[VM_WHATS] = {
        [VM_WHAT_CONNECTED] = "connected", [VM_WHAT_DISCONNECTED] = "disconnected",
        [VM_WHAT_PUSH] = "push",           [VM_WHAT_NACK] = "nack",
        [VM_WHAT_HEALTHY] = "healthy",     [VM_WHAT_UNHEALTHY] = "unhealthy",
        [VM_WHAT_REFUSED] = "refused",     [VM_WHAT_ISSUED] = "issued",
    };

    return names[what];
}

const char *vm_event_detail(const struct vm_event *v)
{
    switch (v->what) {
    case VM_WHAT_DISCONNECTED:
        return end_label((enum end_reason)v->detail);
    case VM_WHAT_PUSH:
    case VM_WHAT_NACK:
        return xds_type_name((enum xds_type)v->detail);
    case VM_WHAT_REFUSED:
        return rule_label((enum rule)v->detail);
    case VM_WHAT_CONNECTED:
    case VM_WHAT_HEALTHY:
    case VM_WHAT_UNHEALTHY:
    case VM_WHAT_ISSUED:
    case VM_WHATS:
        break;
    }
    return "";
}
