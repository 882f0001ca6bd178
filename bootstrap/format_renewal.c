/* SPDX-License-Identifier: Apache-2.0 */
/* Which older bundle a renewal is for. install.sh asks the same of a VM, in check_installed(). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/env_file.h"
#include "bootstrap/formats_internal.h"
#include "core/base/file_read.h"

#define ENV_MAX_BYTES (1U << 20)

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

static enum rc check_gateway(const char *path, const json_t *env, const struct format_renewal *r,
                             const struct why *w)
{
    const char *calls = value_of(env, "CA_ADDR");

    if (r->gateway == NULL || strcmp(calls, r->gateway) == 0) {
        return RC_OK;
    }
    return why_set(w,
                   "%s: VMs call %.80s, not %.80s: another name takes a whole bundle (xdsgate "
                   "bundle create)",
                   path, *calls != '\0' ? calls : "istiod's name", r->gateway);
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

static enum rc check_env(const char *path, const char *text, size_t n, const struct bundle *b,
                         const struct format_renewal *r, const struct why *w)
{
    char said[200];
    const struct why line = {said, sizeof(said)};
    json_t *env = NULL;
    enum rc rc = env_file_read(text, n, &line, &env);

    if (rc == RC_INVALID) {
        return why_set(w, "%s: %s", path, said);
    }
    TRY(rc);
    rc = check_account(path, env, r, w);
    if (rc == RC_OK) {
        rc = check_gateway(path, env, r, w);
    }
    if (rc == RC_OK) {
        rc = check_root(path, env, b, w);
    }
    json_decref(env);
    return rc;
}

enum rc format_check_older(const char *folder, const struct bundle *b,
                           const struct format_renewal *r, const struct why *w)
{
    char path[4096];
    char *text = NULL;
    size_t n = 0;

    (void)snprintf(path, sizeof(path), "%s/" BUNDLE_ENV, folder);
    enum rc rc = file_read(path, ENV_MAX_BYTES, NULL, &text, &n);
    if (rc == RC_SYSTEM && errno == ENOENT) {
        return RC_OK;
    }
    if (rc == RC_SYSTEM || rc == RC_INVALID || rc == RC_FULL) {
        return why_set(w, "%s: %s", path,
                       rc == RC_SYSTEM    ? strerror(errno)
                       : rc == RC_INVALID ? "is no file"
                                          : "is too large");
    }
    TRY(rc);
    rc = check_env(path, text, n, b, r, w);
    free(text);
    return rc;
}
