/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of the API, one a line, for api_schema_test.py: VMs of every kind. */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/log.h"
#include "gateway/registry/config_json.h"
#include "gateway/registry/vm_json.h"
#include "tests/gateway/registry/registry_fixture.h"
#include "tests/gateway/vmconfig/config_fixture.h"

static void print_list(struct fixture *f, uint64_t since)
{
    char *body = NULL;
    size_t n = 0;

    CHECK(vm_json_list(f->r, since, f->now_ms, &body, &n) == RC_OK);
    printf("list %s\n", body);
    free(body);
}

static void print_found(struct fixture *f, const char *name)
{
    char *body = NULL;
    size_t n = 0;

    CHECK(vm_json_find(f->r, name, f->now_ms, &body, &n) == RC_OK);
    printf("found %s\n", body);
    free(body);
}

static void print_config(struct config_fixture *c, bool changes)
{
    struct registry_config shown = {
        .is_on = true, .id = 1, .name = "busy.vms", .state = VM_IS_CONNECTED};
    char *body = NULL;
    size_t n = 0;

    (void)config_view(c, &shown.config, XDS_CDS);
    CHECK((changes ? config_json_changes : config_json_dump)(&shown, &body, &n) == RC_OK);
    printf("%s %s", changes ? "changes" : "config", body); /* it has its newline */
    vm_config_view_fini(&shown.config);
    free(body);
}

/* Some types with a change, one without, one that there is no room for. */
static void print_configs(void)
{
    static const enum xds_type types[] = {XDS_CDS, XDS_LDS, XDS_NDS};
    struct config_fixture c;

    config_start(&c, XDS_DELTA, CONFIG_BUDGET);
    print_config(&c, false);
    print_config(&c, true);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        config_ask(&c, types[i], "", "", "");
        config_push(&c, types[i], "1", types[i] == XDS_NDS ? "a=1" : "a=1 b=2 c=3");
        config_ack(&c, types[i], "1", "");
    }
    config_push(&c, XDS_CDS, "2", "a=2 d=4 -b");
    config_ack(&c, XDS_CDS, "2", "");
    config_push(&c, XDS_CDS, "3", "e=5");
    config_nack(&c, XDS_CDS, "3");
    config_ask(&c, XDS_EDS, "", "", "a");
    vm_config_lose(c.c, XDS_EDS, CONFIG_LOSS_FULL);
    print_config(&c, false);
    print_config(&c, true);
    config_stop(&c);
}

/* All types, healthy, with a push that waits and one that was rejected. */
static struct guest *come_busy(struct fixture *f)
{
    struct guest *g = guest_of(f, "busy", "192.168.7.11", 1);

    guest_must_come(f, g);
    for (unsigned t = 0; t < XDS_TYPES; t++) {
        (void)guest_request(f, g, (enum xds_type)t, "", NULL);
        guest_push(f, g, (enum xds_type)t, "nonce");
        (void)guest_request(f, g, (enum xds_type)t, "nonce", t == XDS_LDS ? "bad" : NULL);
    }
    guest_push(f, g, XDS_EDS, "nonce2");
    (void)guest_request(f, g, XDS_HEALTH, "", NULL);
    (void)guest_request(f, g, XDS_HEALTH, "", "no answer");
    const struct registry_certificate next = certificate_of(9);
    registry_issued(f->r, g->claim.certificate.key, &next, f->now_ms);
    return g;
}

/* Nothing in its node, state of the world, no certificate, no token. */
static void come_empty(struct fixture *f)
{
    struct guest *g = guest_of(f, "empty", "192.168.7.12", 0);

    for (size_t i = 0; i < XDS_NODE_TEXTS; i++) {
        g->node.text[i] = i == XDS_NODE_ID ? g->id : "";
    }
    g->node.n_labels = 0;
    g->claim.identity = "";
    g->claim.token_expiry_s = 0;
    g->claim.variant = XDS_SOTW;
    guest_must_enter(f, g);
}

static void come_bad(struct fixture *f)
{
    struct guest *g = guest_of(f, "refused", "192.168.7.13", 3);
    char why[REGISTRY_WHY_BYTES];

    guest_set(g, XDS_NODE_VERSION, "\xff\x1b[2J");
    registry_refused(f->r, &g->claim, RULE_GROUP, "it claims a group", f->now_ms);
    guest_rename(g, "revoked", "192.168.7.14");
    g->claim.certificate = certificate_of(4);
    guest_must_come(f, g);
    CHECK(registry_revoke(f->r, "revoked", "uid 0", f->now_ms, why) == RC_OK);
    guest_leave(f, g, END_REVOKED);
}

static void come_and_go(struct fixture *f)
{
    struct guest *g = guest_of(f, "gone", "192.168.7.15", 5);

    guest_must_come(f, g);
    guest_leave(f, g, END_UP_RETIRED);
}

static bool pass_by(void *arg, const struct vm_view *v)
{
    (void)arg;
    (void)v;
    return true;
}

int main(void)
{
    const struct log_opts quiet = {.level = LOG_ERROR};
    void *state = NULL;

    CHECK(log_setup(&quiet) == RC_OK);
    CHECK(registry_setup(&state) == 0);
    struct fixture *f = state;
    struct guest *busy = come_busy(f);
    come_empty(f);
    come_bad(f);
    come_and_go(f);
    print_list(f, 0);
    print_found(f, "busy");
    print_found(f, "empty");
    print_found(f, "refused.vms");
    print_found(f, "revoked.vms");
    print_found(f, "gone");
    uint64_t since = registry_collect(f->r, 0, f->now_ms, pass_by, NULL);
    f->now_ms += 3600 * 1000;
    registry_sweep(f->r, f->now_ms);
    (void)guest_request(f, busy, XDS_CDS, "", NULL);
    print_list(f, since);
    print_configs();
    return registry_teardown(&state);
}
