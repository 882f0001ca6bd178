/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/wipe.h"
#include "kube/access_internal.h"

#define NAMESPACE_MAX_BYTES 63
#define PATH_BYTES 4096

static enum rc no_memory(struct kube_error *err)
{
    return kube_fail(err, RC_NO_MEMORY, "out of memory");
}

struct kube_access *kube_access_new(void)
{
    struct kube_access *a = calloc(1, sizeof(*a));

    if (a != NULL) {
        a->magic = KUBE_ACCESS_MAGIC;
        kube_source_init(&a->authority, KUBE_SOURCE_CERTIFICATE);
        kube_source_init(&a->certificate, KUBE_SOURCE_CERTIFICATE);
        kube_source_init(&a->key, KUBE_SOURCE_KEY);
        kube_source_init(&a->token, KUBE_SOURCE_TOKEN);
    }
    return a;
}

void kube_access_free(struct kube_access **pa)
{
    struct kube_access *a = *pa;

    if (a == NULL) {
        return;
    }
    CHECK_MAGIC(a, KUBE_ACCESS_MAGIC);
    kube_source_fini(&a->authority);
    kube_source_fini(&a->certificate);
    kube_source_fini(&a->key);
    kube_source_fini(&a->token);
    wipe_text(&a->proxy);
    free(a->server);
    free(a->origin);
    free(a->ns);
    free(a->tls_name);
    a->magic = 0;
    free(a);
    *pa = NULL;
}

/* ---- completing ---- */

static enum rc check_credentials(const struct kube_access *a, const char *origin,
                                 struct kube_error *err)
{
    if ((a->certificate.data == NULL) != (a->key.data == NULL)) {
        return kube_fail(err, RC_INVALID,
                         "%s: client-certificate and client-key belong together, one is missing",
                         origin);
    }
    if (a->certificate.data == NULL && a->token.data == NULL) {
        return kube_fail(err, RC_INVALID, "%s: the user has neither a token nor a certificate",
                         origin);
    }
    if (a->tls_name != NULL && !kube_host_is_valid(a->tls_name)) {
        return kube_fail(err, RC_INVALID, "%s: tls-server-name is no DNS name", origin);
    }
    return RC_OK;
}

enum rc kube_access_complete(struct kube_access *a, const char *server, const char *origin,
                             const char *ns, struct kube_error *err)
{
    char text[KUBE_URL_BYTES];
    const char *why = NULL;

    TRY(check_credentials(a, origin, err));
    if (kube_url_parse(server, &a->url, &why) != RC_OK) {
        return kube_fail(err, RC_INVALID, "%s: server: %s", origin, why);
    }
    kube_url_write(&a->url, NULL, text);
    a->server = strdup(text);
    a->origin = strdup(origin);
    a->ns = strdup(ns == NULL || ns[0] == '\0' ? "default" : ns);
    return a->server != NULL && a->origin != NULL && a->ns != NULL ? RC_OK : no_memory(err);
}

/* ---- a pod ---- */

static enum rc set_pod_file(struct kube_source *s, const char *folder, const char *name,
                            struct kube_error *err)
{
    char path[PATH_BYTES];

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path)) {
        return kube_fail(err, RC_INVALID,
                         "the name of the folder of the service account is too "
                         "long");
    }
    return kube_source_set_file(s, "service account", path, err);
}

/* Only a hint for people's commands: without it, it is "default". */
static void read_pod_namespace(const char *folder, char *out, size_t size)
{
    char path[PATH_BYTES];
    struct kube_error ignored;
    char *text = NULL;
    size_t n = 0;

    out[0] = '\0';
    if ((size_t)snprintf(path, sizeof(path), "%s/namespace", folder) < sizeof(path) &&
        kube_file_read(path, NAMESPACE_MAX_BYTES + 1, &ignored, &text, &n) == RC_OK) {
        n = strcspn(text, "\r\n");
        (void)snprintf(out, size, "%.*s", (int)n, text);
        free(text);
    }
}

static enum rc fill_from_pod(struct kube_access *a, const char *folder, const char *host,
                             const char *port, struct kube_error *err)
{
    char server[KUBE_HOST_BYTES + 32];
    char ns[NAMESPACE_MAX_BYTES + 1];
    bool ipv6 = strchr(host, ':') != NULL;

    TRY(set_pod_file(&a->token, folder, "token", err));
    TRY(set_pod_file(&a->authority, folder, "ca.crt", err));
    read_pod_namespace(folder, ns, sizeof(ns));
    (void)snprintf(server, sizeof(server), "https://%s%.*s%s:%.8s", ipv6 ? "[" : "",
                   KUBE_HOST_BYTES, host, ipv6 ? "]" : "", port);
    return kube_access_complete(a, server, "service account of this pod", ns, err);
}

enum rc kube_access_in_pod(const char *folder, struct kube_error *err, struct kube_access **out)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");

    if (host == NULL || port == NULL || host[0] == '\0' || port[0] == '\0') {
        return kube_fail(err, RC_NOT_FOUND,
                         "this is no pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are "
                         "not set; name a kubeconfig");
    }
    struct kube_access *a = kube_access_new();
    enum rc rc = a == NULL ? no_memory(err) : fill_from_pod(a, folder, host, port, err);
    if (rc != RC_OK) {
        kube_access_free(&a);
        return rc;
    }
    *out = a;
    return RC_OK;
}

/* ---- a command line ---- */

static enum rc from_environment(const char *list, const char *context, struct kube_error *err,
                                struct kube_access **out)
{
    if (strchr(list, ':') != NULL) {
        return kube_fail(err, RC_INVALID,
                         "$KUBECONFIG names several files: make them one by `kubectl config view "
                         "--raw --flatten > FILE` and name that");
    }
    return kube_access_from_file(list, context, err, out);
}

enum rc kube_access_find(const char *path, const char *context, struct kube_error *err,
                         struct kube_access **out)
{
    char usual[PATH_BYTES];
    const char *list = getenv("KUBECONFIG");
    const char *home = getenv("HOME");

    if (path != NULL) {
        return kube_access_from_any_file(path, context, err, out);
    }
    if (list != NULL && list[0] != '\0') {
        return from_environment(list, context, err, out);
    }
    if (home != NULL &&
        (size_t)snprintf(usual, sizeof(usual), "%s/.kube/config", home) < sizeof(usual) &&
        access(usual, F_OK) == 0) {
        return kube_access_from_file(usual, context, err, out);
    }
    if (context == NULL && getenv("KUBERNETES_SERVICE_HOST") != NULL) {
        return kube_access_in_pod(KUBE_POD_FOLDER, err, out);
    }
    return kube_fail(err, RC_NOT_FOUND,
                     "there is no kubeconfig: neither one was named, nor is $KUBECONFIG set, nor "
                     "is there a file ~/.kube/config");
}

/* ---- looking at it ---- */

const char *kube_access_server(const struct kube_access *a)
{
    CHECK_MAGIC(a, KUBE_ACCESS_MAGIC);
    return a->server;
}

const char *kube_access_namespace(const struct kube_access *a)
{
    CHECK_MAGIC(a, KUBE_ACCESS_MAGIC);
    return a->ns;
}

const char *kube_access_origin(const struct kube_access *a)
{
    CHECK_MAGIC(a, KUBE_ACCESS_MAGIC);
    return a->origin;
}

uint64_t kube_access_generation(const struct kube_access *a)
{
    CHECK_MAGIC(a, KUBE_ACCESS_MAGIC);
    return a->generation;
}

enum rc kube_access_refresh(struct kube_access *a, struct kube_error *err)
{
    CHECK_MAGIC(a, KUBE_ACCESS_MAGIC);
    struct kube_source *const sources[] = {&a->authority, &a->certificate, &a->key, &a->token};
    enum rc first = RC_OK;
    bool changed = false;

    for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++) {
        struct kube_error why;
        enum rc rc = kube_source_refresh(sources[i], &changed, &why);
        if (rc != RC_OK && first == RC_OK) {
            first = rc;
            *err = why;
        }
    }
    a->generation += changed ? 1 : 0;
    return first;
}
