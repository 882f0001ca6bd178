/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/gateway/registry/policy_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void make_node(const struct row *row, struct xds_node *node)
{
    *node = (struct xds_node){.labels = row->labels != NULL ? row->labels : "",
                              .n_labels = row->n_labels,
                              .odd = row->odd_node,
                              .cut = row->cut};
    for (size_t i = 0; i < XDS_NODE_TEXTS; i++) {
        node->text[i] = "";
    }
    node->text[XDS_NODE_ID] = GOOD_ID;
    node->text[XDS_NODE_NAMESPACE] = "vms";
    node->text[XDS_NODE_SERVICE_ACCOUNT] = "web";
    node->text[XDS_NODE_INSTANCE_IPS] = "192.168.7.11,172.17.0.1";
    for (size_t i = 0; i < COUNT_OF(row->set) && row->set[i].value != NULL; i++) {
        node->text[row->set[i].which] = row->set[i].value;
    }
}

static void make_identity(const struct row *row, struct spiffe_id *id)
{
    const char *text = row->identity != NULL ? row->identity : "ns/vms/sa/web";
    char uri[SPIFFE_URI_BYTES];
    int n = snprintf(uri, sizeof(uri), "spiffe://cluster.local/%s", text);
    assert_int_equal(spiffe_parse(uri, (size_t)n, id), RC_OK);
}

void claim_make(const struct row *row, struct made *m)
{
    memset(m, 0, sizeof(*m));
    make_node(row, &m->node);
    m->request.node = row->no_node ? NULL : &m->node;
    m->request.type = row->type;
    m->request.odd = row->odd_request;
    m->request.has_error = row->nack;
    (void)snprintf(m->request.url, sizeof(m->request.url), "%s",
                   row->url != NULL ? row->url : CDS_URL);
    m->opts = row->opts != NULL ? *row->opts : (struct registration_opts){.n_allow = 0};
    m->claim.request = row->no_request ? NULL : &m->request;
    m->claim.unread = row->unread;
    m->claim.verified = !row->token;
    if (row->identity == NULL || row->identity[0] != '\0') {
        make_identity(row, &m->identity);
        m->claim.identity = &m->identity;
    }
    const char *peer = row->peer != NULL ? row->peer : "192.168.7.11";
    if (peer[0] != '\0') {
        assert_int_equal(addr_parse_ip(peer, &m->claim.peer), RC_OK);
        m->claim.peer.port = 51234;
    }
}

void assert_detail(const char *text)
{
    assert_true(strlen(text) > 10);
    for (; *text != '\0'; text++) {
        assert_true(*text >= 0x20 && *text < 0x7f);
    }
}

enum rule claim_find(const struct made *m, enum rule from, struct policy_verdict *v)
{
    memset(v, 0, sizeof(*v));
    if (!policy_judge_first(&m->opts, &m->claim, from, v)) {
        return NOTHING;
    }
    assert_detail(v->detail);
    return v->rule;
}

void claim_try(const struct row *row)
{
    struct made m;
    struct policy_verdict v;
    claim_make(row, &m);
    enum rule found = claim_find(&m, 0, &v);
    bool said = row->broken == NOTHING || strstr(v.detail, row->detail) != NULL;
    if (found != row->broken || !said) {
        print_error("%s: %s: %s\n", row->what, found == NOTHING ? "passes" : rule_label(found),
                    v.detail);
    }
    assert_int_equal(found, row->broken);
    assert_true(said);
    if (row->broken == NOTHING) {
        return;
    }
    assert_int_equal(v.fate, POLICY_END);
    m.opts.actions[row->broken] = POLICY_REPORT;
    assert_int_equal(claim_find(&m, 0, &v), row->broken);
    assert_int_equal(v.fate, POLICY_PASS);
    assert_int_equal(claim_find(&m, row->broken + 1, &v), NOTHING);
    m.opts.actions[row->broken] = POLICY_OFF;
    assert_int_equal(claim_find(&m, 0, &v), NOTHING);
}
