/* SPDX-License-Identifier: Apache-2.0 */
/* Rules on `registration` and `registry`: every entry of `allow` can decide about somebody, and
 * what is switched off is not relied on. */
#include "gateway/config/config_internal.h"

#include <string.h>

/* "ns/NS/sa/SA", which was checked, into its two names. */
struct pattern {
    const char *ns;
    size_t n_ns;
    const char *sa;
};

static struct pattern split(const char *identity)
{
    const char *ns = identity + strlen("ns/");
    size_t n = strcspn(ns, "/");
    return (struct pattern){ns, n, ns + n + strlen("/sa/")};
}

/* Does a match every identity that b matches? */
static bool covers(const char *a, const char *b)
{
    struct pattern p = split(a);
    struct pattern q = split(b);
    bool any_ns = p.n_ns == 1 && p.ns[0] == '*';
    bool same_ns = p.n_ns == q.n_ns && memcmp(p.ns, q.ns, p.n_ns) == 0;
    bool any_sa = strcmp(p.sa, "*") == 0;
    return (any_ns || same_ns) && (any_sa || strcmp(p.sa, q.sa) == 0);
}

static void check_entry(struct report *r, const struct node *list,
                        const struct registration_opts *o, size_t i)
{
    const char *identity = o->allow[i].identity;
    for (size_t k = 0; identity != NULL && k < i; k++) {
        const char *earlier = o->allow[k].identity;
        if (earlier != NULL && covers(earlier, identity)) {
            node_error(r, list->items[i],
                       "this entry can never decide: the one on line %u already matches all of "
                       "its identities; put this one first",
                       (unsigned)list->items[k]->line);
            return;
        }
    }
}

/* Whoever writes a rule, or who is revoked, relies on it. */
static void check_disabled(struct report *r, const struct node *root, const struct config *c)
{
    const struct node *list = node_get(root, "listeners");
    const struct node *registry = node_get(root, "registry");
    struct node *deny_list = node_get(registry, "deny_list");

    if (deny_list != NULL) {
        node_error(r, deny_list,
                   "`deny_list` with `enabled: false`: nobody would look whether a VM is revoked; "
                   "leave one of them out");
    }
    if (c->registry.keep_config > 0) {
        node_error(
            r, node_get(registry, "keep_config"),
            "`keep_config` with `enabled: false`: nobody would see what VMs get; leave one of "
            "them out");
    }
    for (size_t i = 0; i < c->n_listeners; i++) {
        struct node *registration = node_get(list->items[i], "registration");
        if (registration != NULL) {
            node_error(r, registration,
                       "`registration` with `enabled: false` in `registry`: nobody would hold VMs "
                       "to it; leave one of them out");
        }
    }
}

void rules_check_registration(struct report *r, const struct node *root, const struct config *c)
{
    const struct node *list = node_get(root, "listeners");

    for (size_t i = 0; i < c->n_listeners; i++) {
        const struct registration_opts *o = &c->listeners[i].registration;
        const struct node *allow = node_get(node_get(list->items[i], "registration"), "allow");
        for (size_t k = 1; k < o->n_allow; k++) {
            check_entry(r, allow, o, k);
        }
    }
    if (!c->registry.enabled) {
        check_disabled(r, root, c);
    }
}
