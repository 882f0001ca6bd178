/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/gateway/registry/registry_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void on_end(void *arg, unsigned worker, uint64_t stream, enum end_reason why)
{
    struct fixture *f = arg;

    assert_true(f->n_ended < ENDED_MAX);
    f->ended[f->n_ended].worker = worker;
    f->ended[f->n_ended].stream = stream;
    f->ended[f->n_ended++].why = why;
}

struct fixture *registry_make(const struct registry_opts *opts)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->now_ms = START_MS;
    assert_int_equal(registry_new(opts, on_end, f, &f->r), RC_OK);
    return f;
}

int registry_setup(void **state)
{
    const struct registry_opts opts = {.forget_after_s = 3600, .max_vms = 1000};

    *state = registry_make(&opts);
    return 0;
}

void guests_free(struct fixture *f)
{
    while (f->guests != NULL) {
        struct guest *g = f->guests;
        f->guests = g->next;
        if (g->vm != NULL) {
            guest_leave(f, g, END_DOWN_CLOSED);
        }
        free(g);
    }
}

void registry_unmake(struct fixture **pf)
{
    struct fixture *f = *pf;

    *pf = NULL;
    guests_free(f);
    registry_free(&f->r);
    free(f);
}

int registry_teardown(void **state)
{
    struct fixture *f = *state;

    registry_unmake(&f);
    return 0;
}

/* ---- guests ---- */

struct registry_certificate certificate_of(uint8_t key)
{
    struct registry_certificate c = {.known = key != 0, .expiry_s = START_MS / 1000 + 86400 + key};

    memset(c.key, key, sizeof(c.key));
    snprintf(c.serial, sizeof(c.serial), "5e41a1%02x", key);
    return c;
}

void guest_rename(struct guest *g, const char *name, const char *address)
{
    snprintf(g->id, sizeof(g->id), "sidecar~%s~%s.vms~vms.svc.cluster.local", address, name);
    guest_set(g, XDS_NODE_ID, g->id);
    snprintf(g->address, sizeof(g->address), "%s", address);
    guest_set(g, XDS_NODE_INSTANCE_IPS, g->address);
    assert_int_equal(addr_parse_ip(address, &g->claim.peer), RC_OK);
    g->claim.peer.port = 51234;
}

void guest_set(struct guest *g, enum xds_node_text which, const char *text)
{
    g->node.text[which] = text;
}

struct guest *guest_of(struct fixture *f, const char *name, const char *address, uint8_t key)
{
    struct guest *g = calloc(1, sizeof(*g));

    assert_non_null(g);
    for (size_t i = 0; i < XDS_NODE_TEXTS; i++) {
        g->node.text[i] = "";
    }
    guest_set(g, XDS_NODE_NAMESPACE, "vms");
    guest_set(g, XDS_NODE_GROUP, "web");
    guest_set(g, XDS_NODE_NETWORK, "vm-net");
    guest_set(g, XDS_NODE_CLUSTER_ID, "cl1");
    guest_set(g, XDS_NODE_VERSION, "1.29.0");
    guest_set(g, XDS_NODE_WORKLOAD, "web");
    g->node.labels = "app=web\0istio.io/rev=default";
    g->node.n_labels = 2;
    g->claim = (struct registry_claim){.identity = WEB,
                                       .verified = key != 0,
                                       .certificate = certificate_of(key),
                                       .token_expiry_s = START_MS / 1000 + 3600,
                                       .node = &g->node,
                                       .listener = "istiod",
                                       .upstream = "istiod",
                                       .variant = XDS_DELTA,
                                       .worker = 7,
                                       .one_for_each_address = true};
    guest_rename(g, name, address);
    g->next = f->guests;
    f->guests = g;
    return g;
}

enum rc guest_enter(struct fixture *f, struct guest *g, struct registry_refusal *refusal)
{
    g->claim.stream = ++f->last_stream;
    enum rc rc = registry_enter(f->r, &g->claim, f->now_ms, &g->vm, refusal);
    if (rc == RC_OK) {
        g->stream = g->claim.stream;
    }
    return rc;
}

void guest_must_enter(struct fixture *f, struct guest *g)
{
    struct registry_refusal refusal = {.rule = RULE_READABLE};

    assert_null(g->vm);
    assert_int_equal(guest_enter(f, g, &refusal), RC_OK);
    assert_int_equal(refusal.rule, RULES);
    assert_string_equal(refusal.detail, "");
    assert_non_null(g->vm);
}

void guest_must_not_enter(struct fixture *f, struct guest *g, enum rule rule)
{
    struct registry_refusal refusal = {.rule = RULES};

    assert_int_equal(guest_enter(f, g, &refusal), RC_PEER_DENIED);
    assert_int_equal(refusal.rule, rule);
    assert_true(refusal.detail[0] != '\0');
    assert_null(g->vm);
}

void guest_admit(struct fixture *f, struct guest *g)
{
    struct addr endpoint;

    assert_int_equal(addr_parse("10.0.0.11:15012", &endpoint), RC_OK);
    f->after = vm_admitted(g->vm, g->stream, &endpoint, "istiod-6d9", f->now_ms);
}

void guest_must_come(struct fixture *f, struct guest *g)
{
    guest_must_enter(f, g);
    guest_admit(f, g);
}

void guest_leave(struct fixture *f, struct guest *g, enum end_reason why)
{
    registry_leave(f->r, &g->vm, g->stream, why, f->now_ms);
    assert_null(g->vm);
}

enum xds_sync_event guest_request(struct fixture *f, struct guest *g, enum xds_type type,
                                  const char *nonce, const char *error)
{
    struct xds_request q = {.type = type, .has_error = error != NULL, .error_code = 13};

    snprintf(q.url, sizeof(q.url), "%s", xds_type_url(type));
    snprintf(q.nonce, sizeof(q.nonce), "%s", nonce);
    snprintf(q.error_text, sizeof(q.error_text), "%s", error != NULL ? error : "");
    q.n_subscribe = nonce[0] == '\0';

    struct vm_heard heard = vm_request(g->vm, g->stream, &q, 100, f->now_ms);
    f->waited_ms = heard.waited_ms;
    return heard.event;
}

void guest_push(struct fixture *f, struct guest *g, enum xds_type type, const char *nonce)
{
    const struct xds_response p = {.type = type,
                                   .url = xds_type_url(type),
                                   .nonce = nonce,
                                   .bytes = 1000,
                                   .resource_bytes = 900,
                                   .n_resources = 3};

    (void)vm_response(g->vm, g->stream, &p, f->now_ms);
}

/* ---- what is seen ---- */

struct search {
    const char *name;
    struct vm_view *out;
    size_t n;
};

/* A second reference to what v holds, as the view itself is gone after the walk. */
static void keep(const struct vm_view *v, struct vm_view *out)
{
    *out = *v;
    (void)vm_claim_ref(v->claim);
    (void)shared_text_ref(v->health_message);
    (void)shared_text_ref(v->pod);
    (void)shared_text_ref(v->refused_detail);
    for (size_t i = 0; i < XDS_TYPES; i++) {
        (void)shared_text_ref(v->nacks[i].text);
    }
}

static bool see(void *arg, const struct vm_view *v)
{
    struct search *s = arg;

    if (s->name == NULL || strcmp(v->name, s->name) == 0) {
        if (s->n == 0 && s->out != NULL) {
            keep(v, s->out);
        }
        s->n++;
    }
    return true;
}

void must_see(struct fixture *f, const char *name, struct vm_view *v)
{
    struct search s = {name, v, 0};

    (void)registry_collect(f->r, 0, f->now_ms, see, &s);
    assert_int_equal(s.n, 1);
}

size_t count_seen(struct fixture *f, const char *name)
{
    struct search s = {name, NULL, 0};

    (void)registry_collect(f->r, 0, f->now_ms, see, &s);
    return s.n;
}

void assert_state(struct fixture *f, const char *name, enum vm_state state)
{
    struct vm_view v;

    must_see(f, name, &v);
    assert_string_equal(vm_state_name(v.state), vm_state_name(state));
    vm_view_fini(&v);
}

void assert_ended(struct fixture *f, const struct guest *g, enum end_reason why)
{
    assert_int_equal(f->n_ended, 1);
    assert_int_equal(f->ended[0].stream, g->stream);
    assert_int_equal(f->ended[0].worker, g->claim.worker);
    assert_string_equal(end_label(f->ended[0].why), end_label(why));
    f->n_ended = 0;
}

void assert_nothing_ended(struct fixture *f)
{
    assert_int_equal(f->n_ended, 0);
}
