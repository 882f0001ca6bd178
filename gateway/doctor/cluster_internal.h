/* SPDX-License-Identifier: Apache-2.0 */
/* What the files share that look at a cluster. */
#pragma once

#include "gateway/doctor/doctor.h"
#include "kube/ask.h"

/** Items of one list that are looked at. */
#define CLUSTER_ITEMS_MAX 2000

/** A service account that the gateway speaks for. */
struct cluster_account {
    char ns[64];
    char name[254]; /**< "": every account of the namespace, a pattern */
};

/** More are not looked at. */
#define CLUSTER_ACCOUNTS_MAX 64

struct cluster_accounts {
    struct cluster_account list[CLUSTER_ACCOUNTS_MAX];
    size_t n;
};

/** Those of vm_identities, each once; patterns over namespaces are left out, and said. */
void cluster_accounts_read(const struct config *c, struct cluster_accounts *out,
                           struct doctor_report *r);

/** How a question has ended. */
enum cluster_got {
    CLUSTER_GOT,
    CLUSTER_ABSENT, /**< no such object; for a list: no such kind, as the report says */
    CLUSTER_NOT,    /**< the report says why */
};

/**
 * Get an object or a list, as the one who looks. Of a list that is longer than CLUSTER_ITEMS_MAX
 * the report says that the rest is not looked at.
 *
 * ns, name  as kube_ask_get().
 * out       owned with CLUSTER_GOT: json_decref().
 */
enum cluster_got cluster_get(const struct doctor_cluster *c, enum kube_kind kind, const char *ns,
                             const char *name, struct doctor_report *r, json_t **out);

/** May this one be asked? If it did not answer before, the report says what is not looked at. */
bool cluster_may_ask(const struct doctor_client *who, const char *what, struct doctor_report *r);

/** What an outcome other than KUBE_OK and 404 means to the report. what was to be looked at. */
void cluster_say(enum kube_outcome outcome, int status, const char *text, const char *what,
                 struct doctor_client *who, struct doctor_report *r);

/** Does the daemon ask the same API server as the one who looks? Not if one of them is not there.
 */
bool cluster_is_one(const struct doctor_cluster *c);

/** For commands about what the daemon asks for: as the one who looks, who has more rights, unless
 * that one looks at another cluster. Owned; NULL: out of memory, which the report notes. */
char *cluster_gate_flags(const struct doctor_cluster *c, struct doctor_report *r);

/** May a token of this account be had, by the daemon? As part of doctor_rights(). */
enum rc cluster_try_token(const struct doctor_cluster *c, const struct cluster_account *a,
                          struct doctor_report *r) MUST_USE;

/** Has the account rights of its own? As part of doctor_rights(). */
void cluster_look_at_bindings(const struct doctor_cluster *c, const struct cluster_account *a,
                              struct doctor_report *r);

/** The text under a key of a ConfigMap of istiod's namespace, "NAME" or "NAME-REVISION" when there
 * are several; owned, NULL when it is not there or cannot be had. */
char *cluster_get_text(const struct doctor_cluster *c, const char *name, bool of_revision,
                       const char *key, struct doctor_report *r);

/* ---- pure: members_check.c ---- */

/** Entries with the same address in the same network; addresses that nobody reaches; entries
 * without a VM; probes that fail. only: the name of one, or NULL. */
void members_check_entries(const json_t *list, const char *ns, const char *only, int64_t now_s,
                           struct doctor_report *r);

/** Groups that take a VM out after one failed probe. only: the name of one, or NULL. */
void members_check_groups(const json_t *list, const char *ns, const char *only,
                          struct doctor_report *r);

/** The text at a, or at b within it; b: NULL: at a. Borrowed from the object; "" when it is not
 * there. */
const char *members_text(const json_t *object, const char *a, const char *b);

/** Which entries are looked at. All borrowed. */
struct members_whose {
    const char *ns;
    const char *only;            /**< the name of an entry or of a group; NULL: all */
    const struct config *config; /**< what VMs may say of themselves; NULL: none is there */
};

/** Labels of a group that its entries do not have, or all of them as they were before it was
 * changed: members_labels.c. */
void members_check_labels(const json_t *groups, const json_t *entries,
                          const struct members_whose *who, struct doctor_report *r);

/** Is there a group whose VMs have this account? */
bool members_have_account(const json_t *groups, const char *account);

/** The upstream of a VM of the daemon's list. Borrowed; NULL: the configuration has none of that
 * name. config: NULL: none is there. */
const struct upstream_opts *members_upstream_of(const json_t *vm, const struct config *config);

/** VMs that show no certificate, have no stream that istiod has taken, and say another cluster ID
 * than that of the mesh, where xdsgate does not say it for them. vms: the VM list of the daemon's
 * API. config: NULL: xdsgate says it for nobody. */
void members_check_clusters(const json_t *vms, const char *mesh, const struct config *config,
                            struct doctor_report *r);

/* ---- pure: versions.c ---- */

/** Which istiod the agents are held against. All borrowed. */
struct versions_whose {
    const char *ns;
    const char *deployment;      /**< its name */
    const char *revision;        /**< NULL: the default one */
    const struct config *config; /**< NULL: none is there */
    bool gate_is_elsewhere;      /**< what the daemon follows is of another cluster */
};

/** Agents that are connected to an istiod which does not support their version. vms: the VM list of
 * the daemon's API. VMs of which is not known whether this istiod serves them are not compared, as
 * the report says. */
void versions_check(const json_t *deployment, const struct versions_whose *who, const json_t *vms,
                    struct doctor_report *r);

/* ---- pure: istiod_check.c ---- */

/** What the environment of a Deployment says. revision: NULL: the default one. */
void istiod_check_deployment(const json_t *deployment, const char *ns, const char *name,
                             const struct doctor_upstream *list, size_t n, struct doctor_report *r);

/** Ways to port 15012 from outside. must: it is a finding when there is none. */
void istiod_check_services(const json_t *list, const char *ns, bool must, bool source_matters,
                           struct doctor_report *r);
