/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config/cert_paths.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/config/config_internal.h"

struct list {
    struct cert_path *paths; /* owned */
    size_t n;
    bool no_memory;
};

static const char *text_of(const struct node *n)
{
    return n != NULL && n->kind == NODE_TEXT ? n->text : NULL;
}

static void free_one(struct cert_path *p)
{
    free(p->owner);
    free(p->file);
    free(p->private_key);
}

static void add(struct list *list, enum cert_path_kind kind, const struct node *owner,
                const struct node *file, const struct node *key)
{
    if (text_of(file) == NULL) {
        return;
    }
    const char *name = text_of(node_get(owner, "name"));
    struct cert_path *paths = realloc(list->paths, (list->n + 1) * sizeof(*paths));
    if (paths == NULL) {
        list->no_memory = true;
        return;
    }
    list->paths = paths;
    struct cert_path *p = &paths[list->n];
    *p = (struct cert_path){.kind = kind,
                            .owner = strdup(name != NULL ? name : ""),
                            .file = strdup(text_of(file)),
                            .private_key = text_of(key) != NULL ? strdup(text_of(key)) : NULL};
    if (p->owner == NULL || p->file == NULL || (text_of(key) != NULL && p->private_key == NULL)) {
        list->no_memory = true;
        free_one(p);
        return;
    }
    list->n++;
}

/* Item i of a list; NULL beyond its end, or when it is no list. */
static const struct node *item(const struct node *list, size_t i)
{
    return list != NULL && list->kind == NODE_LIST && i < list->n_items ? list->items[i] : NULL;
}

static void find_in_listener(struct list *list, const struct node *listener)
{
    const struct node *tls = node_get(listener, "tls");
    const struct node *certificates = node_get(tls, "certificates");
    const struct node *roots = node_get(tls, "client_roots");

    for (size_t i = 0; item(certificates, i) != NULL; i++) {
        const struct node *pair = item(certificates, i);
        add(list, CERT_PATH_SERVING, listener, node_get(pair, "certificate"),
            node_get(pair, "private_key"));
    }
    for (size_t i = 0; item(roots, i) != NULL; i++) {
        add(list, CERT_PATH_CLIENT_ROOTS, listener, item(roots, i), NULL);
    }
}

static void find_all(struct list *list, const struct node *root)
{
    const struct node *listeners = node_get(root, "listeners");
    const struct node *upstreams = node_get(root, "upstreams");

    for (size_t i = 0; item(listeners, i) != NULL; i++) {
        find_in_listener(list, item(listeners, i));
    }
    for (size_t i = 0; item(upstreams, i) != NULL; i++) {
        const struct node *roots = node_get(node_get(item(upstreams, i), "tls"), "roots");
        for (size_t k = 0; item(roots, k) != NULL; k++) {
            add(list, CERT_PATH_UPSTREAM_ROOTS, item(upstreams, i), item(roots, k), NULL);
        }
    }
}

static void read_file(struct report *r, const char *path, struct list *list)
{
    char *text = NULL;
    size_t n = 0;
    const char *why = NULL;
    struct node *root = NULL;
    enum rc rc = files_read(path, &text, &n, &why);

    if (rc == RC_INVALID) {
        report_add(r, 1, 1, "the file cannot be read: %s", why);
    }
    if (rc == RC_OK) {
        rc = tree_parse(text, n, r, &root);
    }
    r->no_memory |= rc == RC_NO_MEMORY;
    find_all(list, root);
    tree_free(&root);
    free(text);
}

enum rc cert_paths_load(const char *path, FILE *errors, struct cert_path **out, size_t *n)
{
    struct report r;
    struct list list = {.n = 0};
    enum rc rc = RC_OK;

    report_init(&r, path);
    read_file(&r, path, &list);
    if (r.no_memory || list.no_memory) {
        rc = RC_NO_MEMORY;
    } else if (report_any(&r)) {
        report_write(&r, errors);
        rc = RC_INVALID;
    }
    report_fini(&r);
    if (rc != RC_OK) {
        cert_paths_free(&list.paths, list.n);
        return rc;
    }
    *out = list.paths;
    *n = list.n;
    return RC_OK;
}

void cert_paths_free(struct cert_path **paths, size_t n)
{
    for (size_t i = 0; *paths != NULL && i < n; i++) {
        free_one(&(*paths)[i]);
    }
    free(*paths);
    *paths = NULL;
}
