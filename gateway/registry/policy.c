/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function for each rule; the table below has them in the order of rule.def. A function says
 * whether its rule holds, and only when it does not, writes what is wrong.
 */
#include "gateway/registry/policy.h"

#include <string.h>

#include "gateway/registry/policy_text.h"

/** Longer than any address. */
#define IP_TEXT_BYTES 64

/** istiod takes a workload's network from here, too, when NETWORK is empty
 * (pilot/pkg/serviceregistry/kube/controller/controller.go, Network()). */
#define NETWORK_LABEL "topology.istio.io/network"

/** What the rules look at. */
struct look {
    const struct registration_opts *opts; /**< borrowed */
    const struct policy_claim *claim;     /**< borrowed */
    const struct xds_request *request;    /**< borrowed; NULL: it cannot be read */
    const struct xds_node *node;          /**< borrowed; NULL: there is none */
    const struct policy_allow *allow;     /**< borrowed: what the identity may claim; NULL: nothing,
                                             or everything when opts has no list */
    struct xds_node_id id;                /**< empty when it has no four parts */
    const char *unread;                   /**< borrowed */
    bool id_is_good;
    bool asked; /**< istiod has the VM on its list for this type */
};

/* ---- small ones ---- */

static bool same(const char *a, size_t n_a, const char *b)
{
    return strlen(b) == n_a && memcmp(a, b, n_a) == 0;
}

static bool among(char *const *list, const char *text)
{
    for (; *list != NULL; list++) {
        if (strcmp(*list, text) == 0) {
            return true;
        }
    }
    return false;
}

static const char *text_of(const struct look *k, enum xds_node_text which)
{
    return k->node->text[which];
}

static void add_quoted(struct policy_text *t, const char *text)
{
    policy_text_quote(t, text, strlen(text));
}

/* What its identity comes from. */
static const char *paper(const struct look *k)
{
    return k->claim->verified ? "certificate" : "token";
}

/* "ns/vms/sa/web", as registration.allow names it. */
static void add_identity(struct policy_text *t, const struct look *k)
{
    const struct spiffe_id *id = k->claim->identity;
    if (id == NULL) {
        policy_text_add(t, "a VM without certificate and token");
        return;
    }
    policy_text_add(t, "ns/%s/sa/%s", id->ns, id->sa);
}

/* ---- readable ---- */

static const char *unreadable(const struct look *k)
{
    const struct xds_request *q = k->request;
    if (q->odd) {
        return "it can be understood in two ways: a field of it is there twice, or its type or "
               "nonce is too long or no text";
    }
    if (k->node != NULL && k->node->odd) {
        return "its node can be understood in two ways: a key of its metadata is there twice, or "
               "has a value of the wrong kind";
    }
    return NULL;
}

static const char *unreadable_first(const struct look *k)
{
    /* It would be the next one whose node counts (pkg/xds/server.go, Receive()). */
    if (k->request->type == XDS_HEALTH) {
        return "it begins with a report of its health, which istiod passes over";
    }
    if (k->node == NULL) {
        return "it has no node, so istiod does not take it";
    }
    if (!k->id_is_good) {
        return "its node id does not have the four parts TYPE~IP~NAME~DOMAIN";
    }
    return NULL;
}

static bool is_readable(const struct look *k, struct policy_text *t)
{
    const char *why = NULL;
    if (k->request == NULL) {
        why = k->unread != NULL ? k->unread : "it cannot be read";
    } else {
        why = unreadable(k);
    }
    if (why == NULL && k->claim != NULL) {
        why = unreadable_first(k);
    }
    if (why != NULL) {
        policy_text_add(t, "the request cannot be judged: %s; agents write none like it", why);
    }
    return why == NULL;
}

/* ---- sidecar ---- */

static bool is_sidecar(const struct look *k, struct policy_text *t)
{
    if (same(k->id.type, k->id.n_type, "sidecar")) {
        return true;
    }
    policy_text_add(t, "its node is a ");
    policy_text_quote(t, k->id.type, k->id.n_type);
    policy_text_add(t, "; only \"sidecar\" comes in, which is what the agent of a VM runs");
    return false;
}

/* ---- namespace and service account ---- */

/* A place of the node that names a namespace. */
struct named {
    const char *where;
    const char *s; /* NULL: it names none */
    size_t n;
};

static struct named in_metadata(const struct look *k)
{
    const char *ns = text_of(k, XDS_NODE_NAMESPACE);
    return (struct named){"NAMESPACE", ns[0] != '\0' ? ns : NULL, strlen(ns)};
}

/* What istiod takes for the namespace when the metadata has none (GetProxyConfigNamespace()). */
static struct named in_domain(const struct look *k)
{
    const char *dot = memchr(k->id.domain, '.', k->id.n_domain);
    if (dot == NULL) {
        return (struct named){.s = NULL};
    }
    return (struct named){"the domain in its node id", k->id.domain, (size_t)(dot - k->id.domain)};
}

/* Agents call their node POD_NAME.POD_NAMESPACE, and people know it by that name. There may be
 * dots in the first, none in the second. */
static struct named in_name(const struct look *k)
{
    const char *dot = memrchr(k->id.name, '.', k->id.n_name);
    const char *ns = dot != NULL ? dot + 1 : "";
    size_t n = dot != NULL ? k->id.n_name - (size_t)(ns - k->id.name) : 0;
    return (struct named){"the name in its node id", ns, n};
}

static bool holds_namespace(const struct look *k, struct policy_text *t)
{
    const struct spiffe_id *id = k->claim->identity;
    const struct named all[] = {in_metadata(k), in_domain(k), in_name(k)};
    if (id == NULL) {
        policy_text_add(t,
                        "it shows neither a certificate nor a token, so no namespace is its own");
        return false;
    }
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        if (all[i].s != NULL && !same(all[i].s, all[i].n, id->ns)) {
            policy_text_add(t, "%s says namespace ", all[i].where);
            policy_text_quote(t, all[i].s, all[i].n);
            policy_text_add(t,
                            ", its %s is for \"%s\": correct POD_NAMESPACE on the VM, or give "
                            "it a bundle of that namespace",
                            paper(k), id->ns);
            return false;
        }
    }
    if (all[0].s == NULL && all[1].s == NULL) {
        policy_text_add(t, "it has no NAMESPACE; its %s is for \"%s\"", paper(k), id->ns);
        return false;
    }
    return true;
}

static bool holds_service_account(const struct look *k, struct policy_text *t)
{
    const struct spiffe_id *id = k->claim->identity;
    const char *claimed = text_of(k, XDS_NODE_SERVICE_ACCOUNT);
    if (claimed[0] == '\0' || (id != NULL && strcmp(claimed, id->sa) == 0)) {
        return true;
    }
    policy_text_add(t, "it says service account ");
    add_quoted(t, claimed);
    if (id == NULL) {
        policy_text_add(t, ", and shows neither a certificate nor a token");
    } else {
        policy_text_add(t,
                        ", its %s is for \"%s\": correct SERVICE_ACCOUNT on the VM, or give it "
                        "a bundle of that account",
                        paper(k), id->sa);
    }
    return false;
}

/* ---- address ---- */

/* No scope: its name means something on the VM only. */
static bool parse_ip(const char *s, size_t n, struct addr *out)
{
    char buf[IP_TEXT_BYTES];
    if (n >= sizeof(buf) || memchr(s, '%', n) != NULL) {
        return false;
    }
    memcpy(buf, s, n);
    buf[n] = '\0';
    return addr_parse_ip(buf, out) == RC_OK;
}

static bool may_have_address(const struct look *k, const struct addr *a)
{
    const struct registration_opts *o = k->opts;
    if (addr_same_ip(a, &k->claim->peer)) {
        return true;
    }
    for (size_t i = 0; i < o->n_address_networks; i++) {
        if (addr_in_net(a, &o->address_networks[i])) {
            return true;
        }
    }
    return false;
}

static bool holds_one_address(const struct look *k, struct policy_text *t, const char *where,
                              const char *s, size_t n, struct addr *out)
{
    char claimed[ADDR_TEXT_BYTES];
    char peer[ADDR_TEXT_BYTES];
    if (!parse_ip(s, n, out)) {
        policy_text_add(t, "%s is no IP address: ", where);
        policy_text_quote(t, s, n);
        return false;
    }
    if (may_have_address(k, out)) {
        return true;
    }
    bool known = k->claim->peer.family != ADDR_NONE;
    policy_text_add(t,
                    "%s is %s, but it comes from %s: if both are its own (NAT, several "
                    "interfaces), set ISTIO_SVC_IP on the VM, or add \"%s\" or its network to "
                    "registration.address_networks",
                    where, addr_format_ip(out, claimed),
                    known ? addr_format_ip(&k->claim->peer, peer) : "an unknown address", claimed);
    return false;
}

/* istiod registers the first of INSTANCE_IPS, or that of the id when one of them is no address
 * (ParseServiceNodeWithMetadata()). Agents write the same into both. */
static bool holds_address(const struct look *k, struct policy_text *t)
{
    const char *ips = text_of(k, XDS_NODE_INSTANCE_IPS);
    struct addr of_id;
    struct addr of_ips;
    if (!holds_one_address(k, t, "the address in its node id", k->id.ip, k->id.n_ip, &of_id)) {
        return false;
    }
    if (ips[0] == '\0') {
        return true;
    }
    if (!holds_one_address(k, t, "the first of INSTANCE_IPS", ips, strcspn(ips, ","), &of_ips)) {
        return false;
    }
    if (addr_same_ip(&of_id, &of_ips)) {
        return true;
    }
    char first[ADDR_TEXT_BYTES];
    char second[ADDR_TEXT_BYTES];
    policy_text_add(t,
                    "it names two addresses, %s in its node id and %s first in INSTANCE_IPS; "
                    "agents write the same into both: take ISTIO_META_INSTANCE_IPS away",
                    addr_format_ip(&of_id, first), addr_format_ip(&of_ips, second));
    return false;
}

/* ---- group, network, labels ---- */

const struct policy_allow *policy_allow_of(const struct registration_opts *o,
                                           const struct spiffe_id *id)
{
    for (size_t i = 0; id != NULL && i < o->n_allow; i++) {
        const char *const pattern[] = {o->allow[i].identity, NULL};
        if (spiffe_allowed(id, pattern)) {
            return &o->allow[i];
        }
    }
    return NULL;
}

/* "; ns/vms/sa/web may WHAT "a", "b": add it to KEY of the entry "ns/vms/sa/web" in ..." */
static void add_allowed(struct policy_text *t, const struct look *k, const char *what,
                        const char *key, char *const *list)
{
    policy_text_add(t, "; ");
    add_identity(t, k);
    if (k->allow == NULL) {
        policy_text_add(t, " is in no entry of registration.allow: add one with `%s`", key);
        return;
    }
    if (list == NULL) {
        policy_text_add(t, " may %s none", what);
    } else {
        policy_text_add(t, " may %s ", what);
        policy_text_list(t, list);
    }
    policy_text_add(t, ": add it to `%s` of \"%s\" in registration.allow", key, k->allow->identity);
}

/* May it claim the name? list: which ones; NULL: any when `any`, else none. */
static bool may_claim(const struct look *k, char *const *list, bool any, const char *name)
{
    if (name[0] == '\0' || k->opts->n_allow == 0) {
        return true;
    }
    if (k->allow == NULL) {
        return false;
    }
    return list != NULL ? among(list, name) : any;
}

static bool holds_group(const struct look *k, struct policy_text *t)
{
    static const struct policy_allow nothing;
    const struct policy_allow *a = k->allow != NULL ? k->allow : &nothing;
    const char *group = text_of(k, XDS_NODE_GROUP);
    const char *entry = text_of(k, XDS_NODE_ENTRY);
    if (!may_claim(k, a->groups, true, group)) {
        policy_text_add(t, "it registers with WorkloadGroup ");
        add_quoted(t, group);
        add_allowed(t, k, "register with", "groups", a->groups);
        return false;
    }
    if (!may_claim(k, a->entries, a->groups == NULL, entry)) {
        policy_text_add(t, "it speaks for WorkloadEntry ");
        add_quoted(t, entry);
        add_allowed(t, k, "speak for", "entries", a->entries);
        return false;
    }
    return true;
}

/* The value of "KEY=VALUE" when the key is this one, else NULL. */
static const char *value_of(const char *label, const char *key)
{
    size_t n = strcspn(label, "=");
    if (!same(label, n, key)) {
        return NULL;
    }
    return label[n] == '=' ? label + n + 1 : label + n;
}

/* A value of a label of the node that is not among the given ones; NULL: there is none. LABELS and
 * STATIC_LABELS may have one each. may_be_empty: "" is as good as no label. */
static const char *foreign_value(const struct xds_node *node, const char *key, char *const *values,
                                 bool may_be_empty)
{
    const char *label = node->labels;
    for (uint32_t i = 0; i < node->n_labels; i++, label += strlen(label) + 1) {
        const char *value = value_of(label, key);
        bool counts = value != NULL && !(may_be_empty && value[0] == '\0');
        if (counts && !among(values, value)) {
            return value;
        }
    }
    return NULL;
}

/* There may be labels that the node does not show. */
static bool has_all_labels(const struct look *k, struct policy_text *t)
{
    if (k->node->cut) {
        policy_text_add(t, "it has more labels (or a longer text) than are looked at, and some are "
                           "not free: take some away");
    }
    return !k->node->cut;
}

static bool holds_network(const struct look *k, struct policy_text *t)
{
    const char *network = text_of(k, XDS_NODE_NETWORK);
    if (k->allow == NULL || k->allow->networks == NULL) {
        return true;
    }
    char *const *networks = k->allow->networks;
    if (!among(networks, network)) {
        policy_text_add(t, "its network is ");
        add_quoted(t, network);
        add_allowed(t, k, "claim", "networks", networks);
        return false;
    }
    const char *label = foreign_value(k->node, NETWORK_LABEL, networks, true);
    if (label != NULL) {
        policy_text_add(t, "its network, by the label " NETWORK_LABEL ", is ");
        add_quoted(t, label);
        add_allowed(t, k, "claim", "networks", networks);
        return false;
    }
    return has_all_labels(k, t);
}

static bool holds_labels(const struct look *k, struct policy_text *t)
{
    const struct policy_allow *a = k->allow;
    for (size_t i = 0; a != NULL && i < a->n_labels; i++) {
        const char *value = foreign_value(k->node, a->labels[i].key, a->labels[i].values, false);
        if (value != NULL) {
            policy_text_add(t, "it claims the label ");
            add_quoted(t, a->labels[i].key);
            policy_text_add(t, " as ");
            add_quoted(t, value);
            add_allowed(t, k, "claim", "labels", a->labels[i].values);
            return false;
        }
    }
    return a == NULL || a->n_labels == 0 || has_all_labels(k, t);
}

/* ---- types ---- */

static bool is_agents_type(const struct look *k)
{
    const struct xds_request *q = k->request;
    char *const *extra = k->opts->extra_types;
    return q->type != XDS_OTHER || (extra != NULL && among(extra, q->url));
}

static bool holds_type(const struct look *k, struct policy_text *t)
{
    if (!is_agents_type(k)) {
        policy_text_add(t, "it asks for ");
        add_quoted(t, k->request->url);
        policy_text_add(t, ", which no agent asks for: if one of yours does, add it to "
                           "registration.extra_types");
        return false;
    }
    /* It would choose which of istiod's generators answers for all types (pilot/pkg/xds/xdsgen.go,
     * findGenerator()): "api" lists configuration, "event" who is connected. */
    if (k->node != NULL && text_of(k, XDS_NODE_GENERATOR)[0] != '\0') {
        policy_text_add(t, "it wants istiod's generator ");
        add_quoted(t, text_of(k, XDS_NODE_GENERATOR));
        policy_text_add(t, ", as no sidecar does: take ISTIO_META_GENERATOR away");
        return false;
    }
    return true;
}

static bool holds_nack(const struct look *k, struct policy_text *t)
{
    const struct xds_request *q = k->request;
    if (!q->has_error || q->type == XDS_HEALTH || k->asked) {
        return true;
    }
    policy_text_add(t, "it rejects ");
    add_quoted(t, q->url);
    policy_text_add(t, ", which it has not asked for on this stream");
    return false;
}

/* ---- all of them ---- */

static const struct {
    bool (*holds)(const struct look *k, struct policy_text *t); /* NULL: not here */
    bool of_request; /* looks at the request; else at its node, too */
    bool of_later;   /* not of the first request only */
} rules[RULES_OF_POLICY] = {
    [RULE_READABLE] = {is_readable, .of_request = true, .of_later = true},
    [RULE_SIDECAR] = {is_sidecar, .of_later = false},
    [RULE_NAMESPACE] = {holds_namespace, .of_later = false},
    [RULE_SERVICE_ACCOUNT] = {holds_service_account, .of_later = false},
    [RULE_ADDRESS] = {holds_address, .of_later = false},
    [RULE_GROUP] = {holds_group, .of_later = false},
    [RULE_NETWORK] = {holds_network, .of_later = false},
    [RULE_LABELS] = {holds_labels, .of_later = false},
    [RULE_DUPLICATE] = {NULL, .of_later = false},
    [RULE_TYPE] = {holds_type, .of_request = true, .of_later = true},
    [RULE_NACK] = {holds_nack, .of_request = true, .of_later = true},
};

static bool is_looked_at(const struct look *k, enum rule rule)
{
    if (k->claim == NULL && !rules[rule].of_later) {
        return false;
    }
    if (rules[rule].holds == NULL || k->opts->actions[rule] == POLICY_OFF) {
        return false;
    }
    if (k->request == NULL) {
        return rule == RULE_READABLE;
    }
    if (k->claim == NULL) {
        return true;
    }
    return rules[rule].of_request || k->node != NULL;
}

static enum policy_fate fate_of(const struct look *k, enum rule rule)
{
    if (k->opts->actions[rule] == POLICY_REPORT) {
        return POLICY_PASS;
    }
    return k->claim == NULL && rule != RULE_READABLE ? POLICY_DROP : POLICY_END;
}

static bool judge(const struct look *k, enum rule from, struct policy_verdict *out)
{
    struct policy_text t;
    for (unsigned i = from; i < RULES_OF_POLICY; i++) {
        enum rule rule = (enum rule)i;
        if (!is_looked_at(k, rule)) {
            continue;
        }
        policy_text_init(&t, out->detail, sizeof(out->detail));
        if (!rules[rule].holds(k, &t)) {
            out->rule = rule;
            out->fate = fate_of(k, rule);
            return true;
        }
    }
    return false;
}

bool policy_judge_first(const struct registration_opts *opts, const struct policy_claim *claim,
                        enum rule from, struct policy_verdict *out)
{
    struct look k = {
        .opts = opts,
        .claim = claim,
        .request = claim->request,
        .node = claim->request != NULL ? claim->request->node : NULL,
        .allow = policy_allow_of(opts, claim->identity),
        .unread = claim->unread,
        .id = {.type = "", .ip = "", .name = "", .domain = ""},
    };
    if (k.node != NULL) {
        k.id_is_good = xds_node_id_parse(text_of(&k, XDS_NODE_ID), &k.id) == RC_OK;
    }
    return judge(&k, from, out);
}

bool policy_judge_later(const struct registration_opts *opts, const struct xds_request *request,
                        const char *unread, bool asked, enum rule from, struct policy_verdict *out)
{
    /* Its node, if it has one, is nothing to istiod any more. */
    const struct look k = {.opts = opts, .request = request, .unread = unread, .asked = asked};
    return judge(&k, from, out);
}
