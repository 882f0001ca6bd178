/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets: config_intake_feed(), config_mask(), config_ask_read(), vm_config_request(). The input
 * is what passes on streams of one VM, as records: what it is, two bytes of length, a message. What
 * is shown is in order, and when the VM is gone nothing is in use.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/vmconfig/config_intake.h"
#include "gateway/vmconfig/vm_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BUDGET 65536

struct life {
    struct config_store *s;
    struct vm_config *c;
    struct config_intake *intake;
    enum xds_variant variant;
    int64_t now_ms;
};

/* ---- responses ---- */

static void on_begin(void *arg, uint32_t bytes)
{
    struct life *l = arg;

    l->intake = config_intake_new(l->s, l->variant, bytes);
    CHECK(l->intake != NULL);
}

static void on_payload(void *arg, const uint8_t *data, size_t n)
{
    config_intake_feed(((struct life *)arg)->intake, data, n);
}

static void on_response(void *arg, const struct xds_response *r)
{
    struct life *l = arg;
    struct config_push *push = NULL;
    enum config_loss why = CONFIG_LOSSES;

    switch (config_intake_end(&l->intake, r, &push, &why)) {
    case CONFIG_TAKEN:
        CHECK(push != NULL && (xds_type_flags(push->type) & XDS_SECRET) == 0);
        vm_config_push(l->c, &push);
        break;
    case CONFIG_LOST:
        CHECK(why < CONFIG_LOSSES);
        vm_config_lose(l->c, r->type, why);
        break;
    case CONFIG_NOT_OURS:
        break;
    }
}

static void on_unread(void *arg, bool compressed, uint64_t bytes)
{
    (void)compressed, (void)bytes;
    config_intake_free(&((struct life *)arg)->intake);
}

static void respond(struct life *l, const uint8_t *message, size_t n, size_t piece)
{
    static const struct xds_response_ops ops = {on_response, on_unread, on_begin, on_payload};
    const uint8_t header[] = {0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n};
    struct xds_response_scan scan;

    xds_response_init(&scan, l->variant);
    xds_response_feed(&scan, &ops, l, header, sizeof(header));
    for (size_t at = 0; at < n; at += piece) {
        xds_response_feed(&scan, &ops, l, message + at, n - at < piece ? n - at : piece);
    }
    CHECK(l->intake == NULL);
}

/* ---- requests ---- */

static void request(struct life *l, const uint8_t *message, size_t n)
{
    const struct xds_piece piece = {message, n};
    struct xds_request q;

    if (xds_request_read(l->variant, &piece, 1, &q) != RC_OK) {
        return;
    }
    const struct vm_config_request r = {
        .variant = l->variant, .request = &q, .message = message, .n = n};
    vm_config_request(l->c, &r, ++l->now_ms);
    free(q.node);
}

/* ---- readers ---- */

static void check_type(const struct vm_config_type_view *t)
{
    struct vm_config_resource before = {.name = ""};
    struct vm_config_resource r;
    struct vm_config_change change;

    CHECK(t->state == VM_CONFIG_KEPT || t->n_resources == 0);
    CHECK(t->acked_ms > 0 || (t->n_changes == 0 && t->changed_ms == 0));
    for (size_t i = 0; i < t->n_resources; i++) {
        vm_config_view_resource(t, i, &r);
        CHECK(r.value != NULL && (i == 0 || strcmp(before.name, r.name) < 0));
        before = r;
    }
    for (size_t i = 0; i < t->n_changes; i++) {
        vm_config_view_change(t, i, &change);
        CHECK((change.before.value != NULL) == (change.what != VM_CONFIG_ADDED));
        CHECK((change.after.value != NULL) == (change.what != VM_CONFIG_REMOVED));
    }
}

static void look(const struct life *l)
{
    struct vm_config_view v;

    vm_config_take(l->c, true, &v);
    for (size_t i = 0; i < XDS_TYPES; i++) {
        check_type(&v.types[i]);
    }
    vm_config_view_fini(&v);
}

/* ---- streams ---- */

static void step(struct life *l, uint8_t what, const uint8_t *message, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1); /* a read behind its end is seen */

    CHECK(copy != NULL);
    if (n > 0) {
        memcpy(copy, message, n);
    }
    switch (what % 4) {
    case 0:
        request(l, copy, n);
        break;
    case 1:
        respond(l, copy, n, what / 4 + 1U);
        break;
    case 2:
        vm_config_stream(&l->c, (what & 4) != 0, (what & 8) != 0);
        l->variant = (what & 16) != 0 ? XDS_DELTA : XDS_SOTW;
        break;
    default:
        vm_config_believe(l->c);
    }
    free(copy);
    look(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct life l = {.variant = size % 2 == 0 ? XDS_DELTA : XDS_SOTW};
    struct config_store_stats stats;

    CHECK(config_store_new(&l.s) == RC_OK && config_store_set_budget(l.s, BUDGET) == RC_OK);
    l.c = vm_config_new(l.s, true);
    CHECK(l.c != NULL);
    while (size >= 3) {
        size_t n = (size_t)data[1] << 8 | data[2];
        n = n < size - 3 ? n : size - 3;
        step(&l, data[0], data + 3, n);
        data += 3 + n;
        size -= 3 + n;
    }
    vm_config_free(&l.c);
    CHECK(config_store_set_budget(l.s, 0) == RC_OK);
    config_store_stats(l.s, &stats);
    CHECK(stats.bytes == 0 && stats.blobs == 0 && stats.vms == 0);
    config_store_free(&l.s);
    return 0;
}
