/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kubeconfig: lists of clusters, users and contexts by name; a context names one of each. Unknown
 * keys are passed over, as kubectl does; known ones that would change who we are, or how the server
 * is verified, are done or refused.
 */
#include "kube/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/base64.h"
#include "core/base/wipe.h"
#include "core/doc/doc.h"
#include "kube/access_internal.h"

#define PATH_BYTES 4096
#define LABEL_BYTES 512

/* What to do about users that this is no client for. */
#define CURE                                                                         \
    "use a kubeconfig with a token (`kubectl create token ACCOUNT`, or a secret of " \
    "type kubernetes.io/service-account-token) or with a client certificate"

struct reader {
    const char *path;       /* of the kubeconfig */
    struct kube_error *err; /* borrowed */
};

/* An entry of one of the lists, and what to call it. */
struct entry {
    const json_t *body;      /* borrowed; an object */
    char label[LABEL_BYTES]; /* "/x/config: users[web]" */
};

static bool is_empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

/* ---- the lists ---- */

static const json_t *find_by_name(const json_t *list, const char *name)
{
    size_t i;
    json_t *row;

    json_array_foreach(list, i, row)
    {
        const char *text = doc_text(row, "name", NULL);
        if (text != NULL && strcmp(text, name) == 0) {
            return row;
        }
    }
    return NULL;
}

/* list is "clusters", body "cluster", and so on. */
static enum rc find_entry(const struct reader *r, const json_t *doc, const char *list,
                          const char *body, const char *name, struct entry *out)
{
    char shown[128] = "";

    kube_text_append(shown, sizeof(shown), name, 100, NULL);
    const json_t *row = find_by_name(doc_at(doc, list, NULL), name);
    if (row == NULL) {
        return kube_fail(r->err, RC_INVALID, "%s: %s has no \"%s\"", r->path, list, shown);
    }
    (void)snprintf(out->label, sizeof(out->label), "%.255s: %s[%s]", r->path, list, shown);
    out->body = doc_at(row, body, NULL);
    if (!json_is_object(out->body)) {
        return kube_fail(r->err, RC_INVALID, "%s has no %s", out->label, body);
    }
    return RC_OK;
}

/* A text that may be missing; NULL then, or when it is empty. Anything else is an error. */
static enum rc take_text(const struct reader *r, const struct entry *e, const char *key,
                         const char **out)
{
    const json_t *v = doc_at(e->body, key, NULL);
    const char *text = doc_text(e->body, key, NULL);

    if (v != NULL && !json_is_null(v) && text == NULL) {
        return kube_fail(r->err, RC_INVALID, "%s.%s: a text is expected", e->label, key);
    }
    *out = is_empty(text) ? NULL : text;
    return RC_OK;
}

static enum rc copy_text(const struct reader *r, const struct entry *e, const char *key, char **out)
{
    const char *text = NULL;

    TRY(take_text(r, e, key, &text));
    if (text != NULL && (*out = strdup(text)) == NULL) {
        return kube_fail(r->err, RC_NO_MEMORY, "out of memory");
    }
    return RC_OK;
}

/* ---- credentials ---- */

static enum rc set_data(const struct reader *r, struct kube_source *s, const char *label,
                        const char *base64)
{
    size_t n = strlen(base64);
    char *data = malloc(BASE64_DECODED_BYTES(n));

    if (data == NULL) {
        return kube_fail(r->err, RC_NO_MEMORY, "out of memory");
    }
    enum rc rc = base64_decode(base64, n, data, &n);
    rc = rc == RC_OK ? kube_source_set(s, label, data, n, r->err)
                     : kube_fail(r->err, RC_INVALID, "%s is not base64", label);
    explicit_bzero(data, BASE64_DECODED_BYTES(strlen(base64)));
    free(data);
    return rc;
}

/* A relative name is relative to the folder of the kubeconfig. */
static enum rc set_file(const struct reader *r, struct kube_source *s, const char *label,
                        const char *name)
{
    char path[PATH_BYTES];
    const char *slash = strrchr(r->path, '/');
    int n_folder = name[0] == '/' || slash == NULL ? 0 : (int)(slash - r->path + 1);

    if ((size_t)snprintf(path, sizeof(path), "%.*s%s", n_folder, r->path, name) >= sizeof(path)) {
        return kube_fail(r->err, RC_INVALID, "%s: the name of the file is too long", label);
    }
    return kube_source_set_file(s, label, path, r->err);
}

/* KEY-data wins over KEY, as with kubectl. */
static enum rc read_pem(const struct reader *r, const struct entry *e, const char *key,
                        struct kube_source *s)
{
    char data_key[64];
    char label[LABEL_BYTES + 64];
    const char *data = NULL;
    const char *file = NULL;

    (void)snprintf(data_key, sizeof(data_key), "%s-data", key);
    TRY(take_text(r, e, data_key, &data));
    TRY(take_text(r, e, key, &file));
    (void)snprintf(label, sizeof(label), "%s.%s", e->label, data != NULL ? data_key : key);
    if (data != NULL) {
        return set_data(r, s, label, data);
    }
    return file != NULL ? set_file(r, s, label, file) : RC_OK;
}

/* tokenFile wins over token, because it is renewed. */
static enum rc read_token(const struct reader *r, const struct entry *e, struct kube_source *s)
{
    char label[LABEL_BYTES + 64];
    const char *token = NULL;
    const char *file = NULL;

    TRY(take_text(r, e, "token", &token));
    TRY(take_text(r, e, "tokenFile", &file));
    (void)snprintf(label, sizeof(label), "%s.%s", e->label, file != NULL ? "tokenFile" : "token");
    if (file != NULL) {
        return set_file(r, s, label, file);
    }
    return token != NULL ? kube_source_set(s, label, token, strlen(token), r->err) : RC_OK;
}

static bool has(const struct entry *e, const char *key)
{
    const json_t *v = doc_at(e->body, key, NULL);
    return v != NULL && !json_is_null(v) && (!json_is_string(v) || json_string_length(v) > 0);
}

static enum rc refuse_user(const struct reader *r, const struct entry *e)
{
    static const char *const plugins[] = {"exec", "auth-provider"};
    static const char *const passwords[] = {"username", "password"};
    static const char *const others[] = {"as", "as-uid", "as-groups", "as-user-extra"};

    for (size_t i = 0; i < sizeof(plugins) / sizeof(*plugins); i++) {
        if (has(e, plugins[i])) {
            return kube_fail(r->err, RC_INVALID, "%s.%s: plug-ins are not run; " CURE, e->label,
                             plugins[i]);
        }
    }
    for (size_t i = 0; i < sizeof(passwords) / sizeof(*passwords); i++) {
        if (has(e, passwords[i])) {
            return kube_fail(r->err, RC_INVALID,
                             "%s.%s: Kubernetes knows no passwords any more; " CURE, e->label,
                             passwords[i]);
        }
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        if (has(e, others[i])) {
            return kube_fail(r->err, RC_INVALID,
                             "%s.%s: acting as somebody else is not supported; " CURE, e->label,
                             others[i]);
        }
    }
    return RC_OK;
}

static enum rc read_user(const struct reader *r, const struct entry *e, struct kube_access *a)
{
    TRY(refuse_user(r, e));
    TRY(read_token(r, e, &a->token));
    TRY(read_pem(r, e, "client-certificate", &a->certificate));
    return read_pem(r, e, "client-key", &a->key);
}

/* ---- the cluster ---- */

/* kubectl knows the same. A proxy's password is not shown. */
static enum rc check_proxy(const struct reader *r, const struct entry *e, const char *proxy)
{
    static const char *const schemes[] = {"http://", "https://", "socks5://"};

    for (size_t i = 0; proxy != NULL && i < sizeof(schemes) / sizeof(*schemes); i++) {
        if (strncmp(proxy, schemes[i], strlen(schemes[i])) == 0) {
            return RC_OK;
        }
    }
    return proxy == NULL
               ? RC_OK
               : kube_fail(r->err, RC_INVALID,
                           "%s.proxy-url must begin with http://, https:// or socks5://", e->label);
}

static enum rc read_cluster(const struct reader *r, const struct entry *e, struct kube_access *a,
                            const char **server)
{
    const json_t *insecure = doc_at(e->body, "insecure-skip-tls-verify", NULL);

    if (insecure != NULL && !json_is_false(insecure) && !json_is_null(insecure)) {
        return kube_fail(r->err, RC_INVALID,
                         "%s.insecure-skip-tls-verify: the server is always verified; put its CA "
                         "into certificate-authority-data, and the name in its certificate into "
                         "tls-server-name if that is another one",
                         e->label);
    }
    TRY(take_text(r, e, "server", server));
    if (*server == NULL) {
        return kube_fail(r->err, RC_INVALID, "%s has no server", e->label);
    }
    TRY(copy_text(r, e, "tls-server-name", &a->tls_name));
    TRY(copy_text(r, e, "proxy-url", &a->proxy));
    TRY(check_proxy(r, e, a->proxy));
    return read_pem(r, e, "certificate-authority", &a->authority);
}

/* ---- the file ---- */

static enum rc find_context(const struct reader *r, const json_t *doc, const char *context,
                            struct entry *out)
{
    const char *name = context != NULL ? context : doc_text(doc, "current-context", NULL);

    if (!json_is_object(doc)) {
        return kube_fail(r->err, RC_INVALID, "%s: this is no kubeconfig", r->path);
    }
    if (is_empty(name)) {
        return kube_fail(r->err, RC_INVALID, "%s has no current-context: name a context", r->path);
    }
    return find_entry(r, doc, "contexts", "context", name, out);
}

static enum rc fill(const struct reader *r, const json_t *doc, const char *name,
                    struct kube_access *a)
{
    struct entry context;
    struct entry cluster;
    struct entry user;
    const char *server = NULL;
    const char *cluster_name = NULL;
    const char *user_name = NULL;
    const char *ns = NULL;

    TRY(find_context(r, doc, name, &context));
    TRY(take_text(r, &context, "cluster", &cluster_name));
    TRY(take_text(r, &context, "user", &user_name));
    TRY(take_text(r, &context, "namespace", &ns));
    if (cluster_name == NULL || user_name == NULL) {
        return kube_fail(r->err, RC_INVALID, "%s names no %s", context.label,
                         cluster_name == NULL ? "cluster" : "user");
    }
    TRY(find_entry(r, doc, "clusters", "cluster", cluster_name, &cluster));
    TRY(find_entry(r, doc, "users", "user", user_name, &user));
    TRY(read_cluster(r, &cluster, a, &server));
    TRY(read_user(r, &user, a));
    return kube_access_complete(a, server, context.label, ns, r->err);
}

enum rc kube_access_from_text(const char *path, const char *text, size_t n, const char *context,
                              struct kube_error *err, struct kube_access **out)
{
    struct reader r = {path, err};
    struct doc_error where = {0};
    json_t *doc = NULL;

    enum rc rc = doc_parse_yaml(text, n, &where, &doc);
    if (rc == RC_INVALID) {
        return kube_fail(err, rc, "%s:%u:%u: %s", path, where.line, where.column, where.text);
    }
    struct kube_access *a = rc == RC_OK ? kube_access_new() : NULL;
    rc = a == NULL ? kube_fail(err, RC_NO_MEMORY, "out of memory") : fill(&r, doc, context, a);
    json_decref(doc);
    if (rc != RC_OK) {
        kube_access_free(&a);
        return rc;
    }
    *out = a;
    return RC_OK;
}

typedef enum rc reader(const char *path, size_t max, struct kube_error *err, char **out, size_t *n);

static enum rc from_file(reader *read, const char *path, const char *context,
                         struct kube_error *err, struct kube_access **out)
{
    char *text = NULL;
    size_t n = 0;

    TRY(read(path, KUBE_CONFIG_MAX_BYTES, err, &text, &n));
    enum rc rc = kube_access_from_text(path, text, n, context, err, out);
    wipe_free(text, n);
    return rc;
}

enum rc kube_access_from_file(const char *path, const char *context, struct kube_error *err,
                              struct kube_access **out)
{
    return from_file(kube_file_read, path, context, err, out);
}

enum rc kube_access_from_any_file(const char *path, const char *context, struct kube_error *err,
                                  struct kube_access **out)
{
    return from_file(kube_file_read_waiting, path, context, err, out);
}
