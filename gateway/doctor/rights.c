/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon may do in the cluster, and what the tokens may do that it makes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs/jwt.h"
#include "core/base/clock.h"
#include "gateway/cluster/mesh_roots.h"
#include "gateway/doctor/cluster_internal.h"

/** The smallest life that the API server makes. */
#define TOKEN_LIFE_S KUBE_TOKEN_MIN_S

/** Less is the way there and back, and rounding. */
#define CLOCK_ERROR_S 30

/* ---- tokens ---- */

/* The first upstream that tokens are made for; NULL: none is. */
static const struct upstream_opts *token_upstream(const struct config *c)
{
    for (size_t i = 0; c != NULL && i < c->n_upstreams; i++) {
        if (c->upstreams[i].opts.identity == UPSTREAM_TOKEN) {
            return &c->upstreams[i].opts;
        }
    }
    return NULL;
}

/* Whose tokens are missing may come in by another upstream, which needs none. */
static enum doctor_level level_of(const struct config *c)
{
    for (size_t i = 0; i < c->n_upstreams; i++) {
        const struct upstream_opts *o = &c->upstreams[i].opts;
        if (o->tls && o->identity != UPSTREAM_TOKEN) {
            return DOCTOR_WARN;
        }
    }
    return DOCTOR_BAD;
}

/* When the API server has made it, by its clock; 0: it does not say. */
static int64_t issued_at(const char *token)
{
    char text[JWT_MAX_BYTES];
    size_t n = 0;
    struct doc_error err;
    json_t *claims = NULL;
    int64_t at = 0;

    if (jwt_read_claims(token, strlen(token), text, &n) == RC_OK &&
        doc_parse_json(text, n, &err, &claims) == RC_OK) {
        at = json_integer_value(doc_at(claims, "iat", NULL));
        json_decref(claims);
    }
    explicit_bzero(text, sizeof(text));
    return at;
}

static void look_at_clock(const struct kube_token *token, struct doctor_report *r)
{
    int64_t at = issued_at(token->token);
    int64_t ahead = clock_wall() - at;
    char text[32];

    if (at == 0) {
        return;
    }
    if (ahead > CLOCK_ERROR_S) {
        doctor_find(r, DOCTOR_CLOCK, doctor_duration(ahead, text), "ahead of", NULL);
    } else if (ahead < -CLOCK_ERROR_S) {
        doctor_find(r, DOCTOR_CLOCK, doctor_duration(-ahead, text), "behind", NULL);
    }
    doctor_looked(r, "the clock, by that of the Kubernetes API server");
}

static void say_token(const struct doctor_cluster *c, const struct cluster_account *a,
                      const struct kube_reply *reply, const char *audience, struct doctor_report *r)
{
    bool refused = reply->outcome == KUBE_REFUSED && reply->status != 401;
    char *flags = refused ? cluster_gate_flags(c, r) : NULL;

    if (!refused) {
        cluster_say(reply->outcome, reply->status, reply->error.text, "tokens", c->gate, r);
    } else if (flags != NULL && reply->status == 403) {
        doctor_find_at(r, level_of(c->config), DOCTOR_TOKEN_FORBIDDEN, a->ns, a->name, flags, NULL);
    } else if (flags != NULL && reply->status == 404) {
        doctor_find(r, DOCTOR_ACCOUNT_MISSING, a->ns, a->name, flags, NULL);
    } else if (flags != NULL) {
        doctor_find(r, DOCTOR_TOKEN_FAILED, a->ns, a->name, reply->error.text, audience, flags,
                    NULL);
    }
    free(flags);
}

/* One question, by its own answer, because its status matters. */
static enum rc request_token(const struct doctor_cluster *c, const struct cluster_account *a,
                             const char *const *audiences, struct doctor_report *r)
{
    char path[KUBE_PATH_BYTES];
    char *body = NULL;
    struct kube_reply reply = {.status = 0};
    struct kube_token token;

    if (kube_path_make(KUBE_SERVICE_ACCOUNT, 0, a->ns, a->name, path) != RC_OK ||
        kube_path_sub(path, "/token") != RC_OK) {
        return RC_OK; /* no account can be called so */
    }
    TRY(kube_token_ask(audiences, TOKEN_LIFE_S, &body));
    const struct kube_request request = {.path = path, .body = body, .repeatable = true};
    enum kube_outcome outcome = kube_call_wait(c->gate->kube, &request, &reply);
    free(body);
    enum rc rc = RC_OK;
    if (outcome != KUBE_OK) {
        say_token(c, a, &reply, audiences[0], r);
    } else {
        rc = kube_token_read(reply.body, &token);
        if (rc == RC_OK) {
            doctor_looked(r, "a token of service account %s in namespace %s", a->name, a->ns);
            look_at_clock(&token, r);
            kube_token_fini(&token);
        }
    }
    kube_reply_fini(&reply);
    return rc == RC_NO_MEMORY ? rc : RC_OK;
}

enum rc cluster_try_token(const struct doctor_cluster *c, const struct cluster_account *a,
                          struct doctor_report *r)
{
    const struct upstream_opts *u = token_upstream(c->config);

    if (c->gate == NULL || u == NULL || !cluster_may_ask(c->gate, "tokens", r)) {
        return RC_OK;
    }
    return request_token(c, a, (const char *const *)u->token_audiences, r);
}

/* ---- how far the right goes ---- */

static void look_at_width(const struct doctor_cluster *c, const char *ns, struct doctor_report *r)
{
    const struct kube_right right = {
        .verb = "create", .resource = "serviceaccounts", .sub = "token", .ns = ns};
    static const char what[] = "how many accounts' tokens the gateway may make";
    bool allowed = false;
    struct kube_error err;

    if (!cluster_may_ask(c->gate, what, r)) {
        return;
    }
    enum kube_outcome outcome = kube_ask_right(c->gate->kube, &right, &allowed, &err);
    char *flags = outcome == KUBE_OK && allowed ? cluster_gate_flags(c, r) : NULL;
    if (outcome != KUBE_OK) {
        cluster_say(outcome, 0, err.text, what, c->gate, r);
    } else if (flags != NULL) {
        doctor_find(r, DOCTOR_TOKEN_TOO_WIDE, ns, flags, NULL);
    }
    free(flags);
}

/* ---- rights of the accounts ---- */

static bool names_account(const json_t *binding, const struct cluster_account *a)
{
    const json_t *subjects = doc_at(binding, "subjects", NULL);

    for (size_t i = 0; i < json_array_size(subjects); i++) {
        const json_t *s = json_array_get(subjects, i);
        const char *kind = doc_text(s, "kind", NULL);
        const char *name = doc_text(s, "name", NULL);
        const char *ns = doc_text(s, "namespace", NULL);
        const char *bound = doc_text(binding, "metadata", "namespace", NULL);
        ns = ns != NULL ? ns : bound;
        if (kind != NULL && name != NULL && ns != NULL && strcmp(kind, "ServiceAccount") == 0 &&
            strcmp(name, a->name) == 0 && strcmp(ns, a->ns) == 0) {
            return true;
        }
    }
    return false;
}

static void look_at_bindings_of(const struct doctor_cluster *c, enum kube_kind kind,
                                const char *word, const struct cluster_account *a,
                                struct doctor_report *r)
{
    json_t *list = NULL;

    /* Over all namespaces: a binding elsewhere gives rights there. */
    if (cluster_get(c, kind, NULL, NULL, r, &list) != CLUSTER_GOT) {
        return;
    }
    const json_t *items = doc_at(list, "items", NULL);
    for (size_t i = 0; i < json_array_size(items) && i < CLUSTER_ITEMS_MAX; i++) {
        const json_t *binding = json_array_get(items, i);
        const char *name = doc_text(binding, "metadata", "name", NULL);
        if (name != NULL && names_account(binding, a)) {
            doctor_find(r, DOCTOR_ACCOUNT_HAS_RIGHTS, a->ns, a->name, word, name, NULL);
        }
    }
    json_decref(list);
    doctor_looked(r, "rights of service account %s in namespace %s", a->name, a->ns);
}

void cluster_look_at_bindings(const struct doctor_cluster *c, const struct cluster_account *a,
                              struct doctor_report *r)
{
    look_at_bindings_of(c, KUBE_ROLE_BINDING, "RoleBinding", a, r);
    look_at_bindings_of(c, KUBE_CLUSTER_ROLE_BINDING, "ClusterRoleBinding", a, r);
}

/* ---- the mesh's roots ---- */

/** What gives the right; it is for istio-system. */
#define ROOTS_ROLE "deploy/rbac-roots.yaml"

static void find_roots_forbidden(const struct doctor_cluster *c, const char *verbs,
                                 struct doctor_report *r)
{
    const struct config_kubernetes *k = &c->config->kubernetes;
    bool usual = strcmp(k->istio_namespace, "istio-system") == 0;
    char *flags = cluster_gate_flags(c, r);
    char edit[160] = "";

    if (!usual) {
        (void)snprintf(edit, sizeof(edit), "sed 's/: istio-system/: %.63s/' " ROOTS_ROLE " | ",
                       k->istio_namespace);
    }
    if (flags != NULL) {
        doctor_find_at(r, k->follow_roots ? DOCTOR_BAD : DOCTOR_WARN, DOCTOR_ROOTS_FORBIDDEN, verbs,
                       k->istio_namespace,
                       k->follow_roots ? "`follow_roots` cannot follow them"
                                       : "nobody is told when the mesh publishes a new root",
                       edit, flags, usual ? ROOTS_ROLE : "-", NULL);
    }
    free(flags);
}

static void look_at_roots_right(const struct doctor_cluster *c, struct doctor_report *r)
{
    static const char what[] = "whether the gateway may see the roots that the mesh publishes";
    static const char *const verbs[] = {"list", "watch"};
    bool allowed[2] = {false, false};
    struct kube_error err;

    if (!cluster_may_ask(c->gate, what, r)) {
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        const struct kube_right right = {.verb = verbs[i],
                                         .resource = "configmaps",
                                         .ns = c->config->kubernetes.istio_namespace,
                                         .name = MESH_ROOTS_NAME};
        enum kube_outcome outcome = kube_ask_right(c->gate->kube, &right, &allowed[i], &err);
        if (outcome != KUBE_OK) {
            cluster_say(outcome, 0, err.text, what, c->gate, r);
            return;
        }
    }
    if (!allowed[0] || !allowed[1]) {
        find_roots_forbidden(c, allowed[1] ? "list" : allowed[0] ? "watch" : "list and watch", r);
    }
    doctor_looked(r, "%s", what);
}

/* ---- all of it ---- */

enum rc doctor_rights(const struct doctor_cluster *c, struct doctor_report *r)
{
    struct cluster_accounts *accounts = calloc(1, sizeof(*accounts));
    bool makes_tokens = c->gate != NULL && token_upstream(c->config) != NULL;
    enum rc rc = RC_OK;

    if (accounts == NULL) {
        return RC_NO_MEMORY;
    }
    if (makes_tokens) {
        cluster_accounts_read(c->config, accounts, r);
    }
    for (size_t i = 0; i < accounts->n && rc == RC_OK; i++) {
        const struct cluster_account *a = &accounts->list[i];
        look_at_width(c, a->ns, r);
        if (a->name[0] == '\0') {
            doctor_skipped(r,
                           "tokens of the service accounts of namespace %s: it is a pattern; name "
                           "a VM: xdsgate doctor NAME -n %s",
                           a->ns, a->ns);
            continue;
        }
        rc = cluster_try_token(c, a, r);
        cluster_look_at_bindings(c, a, r);
    }
    free(accounts);
    if (rc == RC_OK && c->gate != NULL && config_has_roots(c->config)) {
        look_at_roots_right(c, r);
    }
    return rc;
}
