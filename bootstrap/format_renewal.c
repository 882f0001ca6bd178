/* SPDX-License-Identifier: Apache-2.0 */
/* Which older bundle a renewal is for. install.sh asks the same of a VM, in check_installed(). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/env_file.h"
#include "bootstrap/formats_internal.h"
#include "core/base/file_read.h"
#include "core/doc/doc.h"

#define OLDER_MAX_BYTES (1U << 20)

/* A file of the older bundle. */
struct older {
    char path[4096];
    char *text; /* owned, free(); NULL: it is not there */
    size_t n;
};

static enum rc read_older(const char *folder, const char *name, struct older *out,
                          const struct why *w)
{
    out->text = NULL;
    (void)snprintf(out->path, sizeof(out->path), "%s/%s", folder, name);
    enum rc rc = file_read(out->path, OLDER_MAX_BYTES, NULL, &out->text, &out->n);
    if (rc == RC_SYSTEM && errno == ENOENT) {
        return RC_OK;
    }
    if (rc == RC_SYSTEM || rc == RC_INVALID || rc == RC_FULL) {
        return why_set(w, "%s: %s", out->path,
                       rc == RC_SYSTEM    ? strerror(errno)
                       : rc == RC_INVALID ? "is no file"
                                          : "is too large");
    }
    return rc;
}

static const char *value_of(const json_t *env, const char *key)
{
    const char *text = doc_text(env, key, NULL);

    return text != NULL ? text : "";
}

static enum rc check_account(const char *path, const json_t *env, const struct format_renewal *r,
                             const struct why *w)
{
    char account[600];

    (void)snprintf(account, sizeof(account), "/ns/%.253s/sa/%.253s",
                   value_of(env, "ISTIO_NAMESPACE"), value_of(env, "SERVICE_ACCOUNT"));
    if (strcmp(account, r->account) == 0) {
        return RC_OK;
    }
    return why_set(w, "%s: is for %.80s, but this is for %.80s; write elsewhere", path, account + 1,
                   r->account + 1);
}

/* *mesh: owned by the caller, json_decref(); NULL: it is not there. */
static enum rc read_mesh(const char *folder, json_t **mesh, const struct why *w)
{
    struct doc_error err;
    struct older f;

    TRY(read_older(folder, BUNDLE_MESH, &f, w));
    if (f.text == NULL) {
        return RC_OK;
    }
    enum rc rc = doc_parse_yaml(f.text, f.n, &err, mesh);
    free(f.text);
    return rc == RC_INVALID
               ? why_set(w, "%s: line %u, column %u: %s", f.path, err.line, err.column, err.text)
               : rc;
}

static bool is_said(const char *text)
{
    return text != NULL && *text != '\0';
}

/* Usually only the mesh's configuration says what the agent calls, or nothing does. */
static enum rc check_gateway(const char *folder, const json_t *env, const struct format_renewal *r,
                             const struct why *w)
{
    const char *calls = value_of(env, "CA_ADDR");
    json_t *mesh = NULL;
    enum rc rc = RC_OK;

    if (r->gateway == NULL) {
        return RC_OK;
    }
    if (!is_said(calls)) {
        TRY(read_mesh(folder, &mesh, w));
        calls = doc_text(mesh, "defaultConfig", "discoveryAddress", NULL);
    }
    calls = is_said(calls) ? calls : BUNDLE_ISTIOD_ADDRESS;
    if (strcmp(calls, r->gateway) != 0) {
        rc = why_set(w,
                     "%s: its VMs call %.80s, not %.80s: another name takes a whole bundle "
                     "(xdsgate bundle create)",
                     folder, calls, r->gateway);
    }
    json_decref(mesh);
    return rc;
}

static bool names_root(const json_t *env, const char *key)
{
    return strcmp(value_of(env, key), BUNDLE_GATEWAY_ROOT_PATH) == 0;
}

/* Nobody would look at the file. */
static enum rc check_root(const char *path, const json_t *env, const struct bundle *b,
                          const struct why *w)
{
    if (bundle_find(b, BUNDLE_GATEWAY_ROOT) == NULL || names_root(env, "XDS_ROOT_CA") ||
        names_root(env, "CA_ROOT_CA")) {
        return RC_OK;
    }
    return why_set(w,
                   "%s: VMs have no root for the gateway: the first one takes a whole bundle "
                   "(xdsgate bundle create --gateway-root)",
                   path);
}

static enum rc check_env(const char *folder, const struct older *f, const struct bundle *b,
                         const struct format_renewal *r, const struct why *w)
{
    char said[200];
    const struct why line = {said, sizeof(said)};
    json_t *env = NULL;
    enum rc rc = env_file_read(f->text, f->n, &line, &env);

    if (rc == RC_INVALID) {
        return why_set(w, "%s: %s", f->path, said);
    }
    TRY(rc);
    rc = check_account(f->path, env, r, w);
    if (rc == RC_OK) {
        rc = check_gateway(folder, env, r, w);
    }
    if (rc == RC_OK) {
        rc = check_root(f->path, env, b, w);
    }
    json_decref(env);
    return rc;
}

enum rc format_check_older(const char *folder, const struct bundle *b,
                           const struct format_renewal *r, const struct why *w)
{
    struct older f;

    TRY(read_older(folder, BUNDLE_ENV, &f, w));
    if (f.text == NULL) {
        return RC_OK;
    }
    enum rc rc = check_env(folder, &f, b, r, w);
    free(f.text);
    return rc;
}
