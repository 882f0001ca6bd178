/* SPDX-License-Identifier: Apache-2.0 */
/* What a bundle is made from, out of the cluster: the same five things that istioctl asks for. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bootstrap/render.h"
#include "core/base/clock.h"
#include "gateway/cli/bundle_inputs.h"
#include "gateway/cluster/mesh_roots.h"
#include "kube/ask.h"

/* istiod takes tokens for this audience (and for its own trust domain). */
#define AUDIENCE "istio-ca"

/* istiod publishes the mesh's roots in a new namespace a moment after that is there. */
#define ROOT_PATIENCE_S 5.0
#define ROOT_PAUSE_NS 200000000

/* One command's questions. */
struct asker {
    const struct command_line *line;
    const struct bundle_where *w;
    struct bundle_inputs *in;
    struct kube *k;
    const char *ns; /* of the group; borrowed */
};

static int no_memory(const struct asker *a)
{
    return bundle_complain(a->line, EXIT_CODE_NO, "%s", rc_text(RC_NO_MEMORY));
}

/* ---- one question ---- */

/* The exit code for an outcome that is none of KUBE_OK. */
static int code_of(enum kube_outcome outcome)
{
    switch (outcome) {
    case KUBE_INVALID:
        return EXIT_CODE_USAGE;
    case KUBE_REFUSED:
    case KUBE_NO_MEMORY:
        return EXIT_CODE_NO;
    default:
        return EXIT_CODE_UNREACHABLE;
    }
}

static bool is_missing(const struct kube_reply *reply)
{
    return reply->status == 404 && !kube_is_unknown_api(reply->status, reply->body);
}

/* Once; again while it is the roots that are not there yet. */
static enum kube_outcome ask(const struct asker *a, enum kube_kind kind, const char *ns,
                             const char *name, struct kube_reply *reply)
{
    static const struct timespec pause = {.tv_nsec = ROOT_PAUSE_NS};
    double end = clock_mono() + (strcmp(name, MESH_ROOTS_NAME) == 0 ? ROOT_PATIENCE_S : 0);
    enum kube_outcome outcome = kube_ask_get(a->k, kind, ns, name, NULL, reply);

    while (is_missing(reply) && clock_mono() < end) {
        kube_reply_fini(reply);
        (void)nanosleep(&pause, NULL);
        outcome = kube_ask_get(a->k, kind, ns, name, NULL, reply);
    }
    return outcome;
}

/* `hint` says what to do when it is not there. */
static int get(const struct asker *a, enum kube_kind kind, const char *ns, const char *name,
               const char *hint, json_t **out)
{
    char what[KUBE_PATH_BYTES];
    struct kube_reply reply;
    int code = EXIT_CODE_OK;

    (void)snprintf(what, sizeof(what), "%s %s in namespace %s", kube_kind_plural(kind), name, ns);
    enum kube_outcome outcome = ask(a, kind, ns, name, &reply);
    if (outcome == KUBE_OK) {
        *out = json_incref(reply.body);
    } else if (is_missing(&reply)) {
        code = bundle_complain(a->line, EXIT_CODE_NO, "%s is not there%s", what, hint);
    } else {
        code = bundle_complain(a->line, code_of(outcome), "%s: %s", what, reply.error.text);
    }
    kube_reply_fini(&reply);
    return code;
}

/* ---- config maps ---- */

/* The text under key of a ConfigMap; owned by the caller. */
static int get_text(const struct asker *a, const char *ns, const char *name, const char *key,
                    const char *hint, char **out)
{
    json_t *map = NULL;
    int code = get(a, KUBE_CONFIG_MAP, ns, name, hint, &map);

    if (code != EXIT_CODE_OK) {
        return code;
    }
    const char *text = doc_text(map, "data", key, NULL);
    if (text == NULL) {
        code =
            bundle_complain(a->line, EXIT_CODE_NO, "configmaps %s in namespace %s has no key %s%s",
                            name, ns, key, hint);
    } else {
        *out = strdup(text);
        code = *out != NULL ? EXIT_CODE_OK : no_memory(a);
    }
    json_decref(map);
    return code;
}

static int get_document(const struct asker *a, const char *name, const char *key, const char *hint,
                        json_t **out)
{
    struct doc_error err;
    char *text = NULL;
    int code = get_text(a, a->w->istio_namespace, name, key, hint, &text);

    if (code != EXIT_CODE_OK) {
        return code;
    }
    enum rc rc = doc_parse_yaml(text, strlen(text), &err, out);
    free(text);
    if (rc == RC_INVALID) {
        return bundle_complain(a->line, EXIT_CODE_NO, "configmaps %s: %s: line %u, column %u: %s",
                               name, key, err.line, err.column, err.text);
    }
    return rc == RC_OK ? EXIT_CODE_OK : no_memory(a);
}

/* "istio" or "istio-REVISION". */
static const char *with_revision(const struct asker *a, const char *name, char *buf, size_t bytes)
{
    const char *revision = a->w->revision;
    bool has = revision != NULL && strcmp(revision, "default") != 0;

    (void)snprintf(buf, bytes, "%s%s%s", name, has ? "-" : "", has ? revision : "");
    return buf;
}

static int get_mesh(const struct asker *a)
{
    char name[300];

    return get_document(a, with_revision(a, "istio", name, sizeof(name)), "mesh",
                        a->w->revision != NULL ? ": is --revision right?"
                                               : ": name the --revision, if istiod has one",
                        &a->in->mesh);
}

static int get_values(const struct asker *a)
{
    char name[300];

    return get_document(a, with_revision(a, "istio-sidecar-injector", name, sizeof(name)), "values",
                        ": say the cluster's name with --clusterID", &a->in->values);
}

/* ---- token ---- */

static int get_token(const struct asker *a)
{
    static const char *const audiences[] = {AUDIENCE, NULL};
    const char *account = bundle_service_account(a->in->group);
    struct kube_token token;
    struct kube_error err;
    enum kube_outcome outcome =
        kube_ask_token(a->k, a->ns, account, audiences, (int64_t)a->w->token_s, &token, &err);

    if (outcome != KUBE_OK) {
        return bundle_complain(a->line, code_of(outcome),
                               "a token for service account %.253s in namespace %s: %s", account,
                               a->ns, err.text);
    }
    a->in->token = token.token; /* taken */
    return EXIT_CODE_OK;
}

/* ---- all of it ---- */

/* Where the group is: as the line says, else as its file does, else as kubectl would. */
static const char *namespace_of(const struct asker *a)
{
    const char *said = doc_text(a->in->group, "metadata", "namespace", NULL);

    if (a->in->name_space != NULL) {
        return a->in->name_space;
    }
    return said != NULL && *said != '\0' ? said : kube_access_namespace(kube_access_of(a->k));
}

/* What the mesh says to every VM. */
static int get_settings(const struct asker *a)
{
    struct bundle_inputs *in = a->in;
    int code = in->mesh == NULL ? get_mesh(a) : EXIT_CODE_OK;

    if (code == EXIT_CODE_OK && in->values == NULL && a->w->cluster_id == NULL) {
        code = get_values(a);
    }
    return code;
}

static int get_all(struct asker *a)
{
    struct bundle_inputs *in = a->in;
    int code = EXIT_CODE_OK;

    if (in->group == NULL) {
        code = get(a, KUBE_WORKLOAD_GROUP, a->ns, a->w->group, ": create it first", &in->group);
    }
    if (code == EXIT_CODE_OK && !a->w->only_renewal) {
        code = get_settings(a);
    }
    if (code == EXIT_CODE_OK && in->root == NULL) {
        code = get_text(a, a->ns, MESH_ROOTS_NAME, MESH_ROOTS_KEY,
                        ": istiod makes it in every namespace that it serves", &in->root);
    }
    if (code == EXIT_CODE_OK && in->token == NULL && !a->w->no_token) {
        code = get_token(a);
    }
    return code;
}

static int ask_all(struct asker *a)
{
    a->ns = namespace_of(a);
    if (a->in->name_space == NULL) {
        a->in->name_space = strdup(a->ns);
        if (a->in->name_space == NULL) {
            return no_memory(a);
        }
        a->ns = a->in->name_space;
    }
    return get_all(a);
}

/* The first option that would spare a question. */
static const char *first_missing(const struct asker *a)
{
    const struct bundle_inputs *in = a->in;

    if (in->group == NULL) {
        return "-f";
    }
    if (in->mesh == NULL && !a->w->only_renewal) {
        return "--meshConfig";
    }
    if (in->values == NULL && a->w->cluster_id == NULL && !a->w->only_renewal) {
        return "--clusterID";
    }
    return in->root == NULL ? "--rootCert" : "--token";
}

int bundle_inputs_ask(const struct command_line *line, const struct bundle_where *w,
                      struct bundle_inputs *in)
{
    struct kube_error err;
    struct kube_access *access = NULL;
    struct asker a = {.line = line, .w = w, .in = in};
    enum rc rc = kube_access_find(w->kubeconfig, w->context, &err, &access);

    if (rc == RC_OK) {
        rc = kube_new(&access, NULL, &err, &a.k);
    }
    if (rc == RC_NO_MEMORY) {
        return no_memory(&a);
    }
    if (rc != RC_OK) {
        return bundle_complain(line, EXIT_CODE_USAGE, "%s (it is needed without %s)", err.text,
                               first_missing(&a));
    }
    int code = ask_all(&a);
    kube_free(&a.k);
    return code;
}
