/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that the configuration names. Each is tried by itself first, so that every bad one is
 * reported, then all of a listener together.
 */
#include "gateway/config/config_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file_put.h"
#include "core/base/file_read.h"
#include "core/base/file_stamp.h"
#include "core/net/tls13.h"
#include "gateway/registry/denylist.h"
#include "kube/access.h"

/* ---- reading ---- */

enum rc files_read(const char *path, char **out, size_t *n, const char **why)
{
    enum rc rc = file_read(path, CONFIG_MAX_FILE_BYTES, NULL, out, n);

    if (rc == RC_OK || rc == RC_NO_MEMORY) {
        return rc;
    }
    *why = rc == RC_SYSTEM ? strerror(errno)
           : rc == RC_FULL ? "it is larger than 1MiB"
                           : "it is not a regular file";
    return RC_INVALID;
}

/* ---- the list of files ---- */

void files_note(struct report *r, struct config *c, const char *path)
{
    size_t n = 0;
    for (; c->files != NULL && c->files[n] != NULL; n++) {
        if (strcmp(c->files[n], path) == 0) {
            return;
        }
    }
    char **files = realloc(c->files, (n + 2) * sizeof(char *));
    if (files == NULL) {
        r->no_memory = true;
        return;
    }
    c->files = files;
    c->files_stamp = file_stamp_add(c->files_stamp, path);
    files[n] = schema_copy(r, path);
    files[n + 1] = NULL;
}

/* ---- certificates of a listener ---- */

static bool is_good_text(const struct node *n)
{
    return n != NULL && !n->bad && n->kind == NODE_TEXT;
}

/* The path of a key, when it was read without an error; NULL otherwise. */
static struct node *path_node(struct report *r, struct config *c, struct node *n)
{
    if (!is_good_text(n)) {
        return NULL;
    }
    files_note(r, c, n->text);
    return n;
}

static void report_file(struct report *r, struct node *n, const struct cert_error *err)
{
    char quoted[REPORT_QUOTE_BYTES];
    node_error(r, n, "%s %s", report_quote(quoted, n->text, n->len), err->text);
}

/* A key is not looked at when its certificate is bad, but its absence can be said in the same run.
 */
static void report_unreadable(struct report *r, struct node *n)
{
    char quoted[REPORT_QUOTE_BYTES];
    if (access(n->text, R_OK) != 0) {
        node_error(r, n, "%s cannot be opened: %s", report_quote(quoted, n->text, n->len),
                   strerror(errno));
    }
}

/* One certificate and its key, alone. */
static void try_pair(struct report *r, struct node *certificate, struct node *key)
{
    const struct cert_pair_files pair = {certificate->text, key->text};
    struct cert_error err;
    enum rc rc = cert_set_try_pair(&pair, &err);
    r->no_memory |= rc == RC_NO_MEMORY;
    if (rc == RC_INVALID && err.blame == CERT_BLAME_PRIVATE_KEY) {
        report_file(r, key, &err);
    } else if (rc == RC_INVALID) {
        report_file(r, certificate, &err);
        report_unreadable(r, key);
    }
}

/* One file of roots, and more beside it or NULL. out: owned, untouched on failure. */
static void try_roots(struct report *r, struct node *n, const struct root_list *more,
                      struct root_set **out)
{
    struct cert_error err;
    enum rc rc = root_set_load_with(n->text, more, out, &err);
    r->no_memory |= rc == RC_NO_MEMORY;
    if (rc == RC_INVALID) {
        report_file(r, n, &err);
    }
    if (rc == RC_OK) {
        root_set_on_secret(*out, tls13_on_keylog);
    }
}

static void try_all(struct report *r, struct config *c, const struct node *tls)
{
    const struct node *pairs = node_get(tls, "certificates");
    const struct node *roots = node_get(tls, "client_roots");
    for (size_t i = 0; pairs != NULL && pairs->kind == NODE_LIST && i < pairs->n_items; i++) {
        struct node *certificate = path_node(r, c, node_get(pairs->items[i], "certificate"));
        struct node *key = path_node(r, c, node_get(pairs->items[i], "private_key"));
        if (certificate != NULL && key != NULL) {
            try_pair(r, certificate, key);
        }
    }
    for (size_t i = 0; roots != NULL && roots->kind == NODE_LIST && i < roots->n_items; i++) {
        struct node *n = path_node(r, c, roots->items[i]);
        struct root_set *set = NULL;
        if (n != NULL) {
            try_roots(r, n, NULL, &set);
        }
        root_set_unref(&set);
    }
}

/* The texts of a list, borrowed, NULL-terminated; the array is owned by the caller. */
static const char **texts_of(struct report *r, const struct node *list)
{
    const char **texts = calloc(list->n_items + 1, sizeof(char *));
    if (texts == NULL) {
        r->no_memory = true;
        return NULL;
    }
    for (size_t i = 0; i < list->n_items; i++) {
        texts[i] = list->items[i]->text;
    }
    return texts;
}

static struct cert_pair_files *pairs_of(struct report *r, const struct node *list)
{
    struct cert_pair_files *pairs = calloc(list->n_items, sizeof(*pairs));
    if (pairs == NULL) {
        r->no_memory = true;
        return NULL;
    }
    for (size_t i = 0; i < list->n_items; i++) {
        pairs[i].certificate = node_get(list->items[i], "certificate")->text;
        pairs[i].private_key = node_get(list->items[i], "private_key")->text;
    }
    return pairs;
}

/* Everything together. Only for a file without errors. */
static void load_set(struct report *r, const struct node *root, struct node *n,
                     const struct root_list *more, struct config_listener *l)
{
    struct node *tls = node_get(n, "tls");
    const struct node *td = node_get(n, "trust_domain");
    struct cert_pair_files *pairs = pairs_of(r, node_get(tls, "certificates"));
    const char **roots = texts_of(r, node_get(tls, "client_roots"));
    const char **identities = texts_of(r, node_get(n, "vm_identities"));
    if (pairs != NULL && roots != NULL && identities != NULL) {
        const struct cert_set_opts opts = {
            .pairs = pairs,
            .n_pairs = node_get(tls, "certificates")->n_items,
            .client_roots = roots,
            .more_roots = more,
            .trust_domain = (td != NULL ? td : node_get(root, "trust_domain"))->text,
            .vm_identities = identities,
            .on_secret = tls13_on_keylog,
        };
        struct cert_error err;
        enum rc rc = cert_set_load(&opts, &l->certs, &err);
        r->no_memory |= rc == RC_NO_MEMORY;
        if (rc == RC_INVALID) { /* a file changed since try_all() */
            report_add(r, tls->line, tls->column, "`tls`: %s", err.text);
        }
    }
    free(pairs);
    free((void *)roots);
    free((void *)identities);
}

static bool terminates(const struct config_listener *l)
{
    for (size_t i = 0; i < l->n_routes; i++) {
        if (l->routes[i].mode == ROUTE_TERMINATE) {
            return true;
        }
    }
    return false;
}

/* ---- the kubeconfig ---- */

static void try_kubeconfig(struct report *r, struct config *c, struct node *n)
{
    struct kube_error err = {{0}};
    struct kube_access *access = NULL;
    enum rc rc = kube_access_from_file(n->text, c->kubernetes.context, &err, &access);
    r->no_memory |= rc == RC_NO_MEMORY;
    if (rc != RC_OK && rc != RC_NO_MEMORY) {
        node_error(r, n, "%s", err.text[0] != '\0' ? err.text : rc_text(rc));
    }
    kube_access_free(&access);
}

/* ---- what we write: none of c->files, whose changes are reloads ---- */

/* A list that cannot be read would let in whom an operator has sent away. */
static void try_deny_list(struct report *r, struct node *n)
{
    char why[DENYLIST_WHY_BYTES] = "";
    enum rc rc = denylist_try(n->text, why);
    r->no_memory |= rc == RC_NO_MEMORY;
    if (rc == RC_INVALID) {
        node_error(r, n, "`deny_list` cannot be used: %s", why);
    }
}

/* Only who opens it knows for sure; and that would make it. */
static bool may_log_to(struct report *r, const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        enum rc rc = file_put_may(path);
        r->no_memory |= rc == RC_NO_MEMORY;
        return rc != RC_SYSTEM;
    }
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return false;
    }
    return access(path, W_OK) == 0;
}

static void try_log_file(struct report *r, struct node *n)
{
    char quoted[REPORT_QUOTE_BYTES];
    if (!may_log_to(r, n->text)) {
        node_error(r, n, "`file` of `log`: %s cannot be written: %s",
                   report_quote(quoted, n->text, n->len), strerror(errno));
    }
}

static void try_what_we_write(struct report *r, const struct node *root)
{
    struct node *deny_list = node_get(node_get(root, "registry"), "deny_list");
    struct node *log_file = node_get(node_get(root, "log"), "file");
    if (is_good_text(deny_list)) {
        try_deny_list(r, deny_list);
    }
    if (is_good_text(log_file)) {
        try_log_file(r, log_file);
    }
}

void files_load(struct report *r, const struct node *root, struct config *c)
{
    const struct node *listeners = node_get(root, "listeners");
    const struct node *upstreams = node_get(root, "upstreams");
    struct node *kubeconfig = path_node(r, c, node_get(node_get(root, "kubernetes"), "kubeconfig"));
    if (kubeconfig != NULL && !node_bad(node_get(node_get(root, "kubernetes"), "context"))) {
        try_kubeconfig(r, c, kubeconfig);
    }
    try_what_we_write(r, root);
    for (size_t i = 0; i < c->n_listeners; i++) {
        try_all(r, c, node_get(listeners->items[i], "tls"));
    }
    for (size_t i = 0; i < c->n_upstreams; i++) {
        const struct node *list = node_get(node_get(upstreams->items[i], "tls"), "roots");
        if (c->upstreams[i].opts.roots_file != NULL && list != NULL && !node_bad(list)) {
            struct node *n = path_node(r, c, list->items[0]);
            try_roots(r, n, c->roots, &c->upstreams[i].roots);
        }
    }
    for (size_t i = 0; i < c->n_listeners && !report_any(r) && !r->no_memory; i++) {
        if (terminates(&c->listeners[i])) {
            load_set(r, root, listeners->items[i], c->roots, &c->listeners[i]);
        }
    }
}
