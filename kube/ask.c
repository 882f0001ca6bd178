/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/ask.h"

#include <stdlib.h>

/* ---- objects ---- */

static enum kube_outcome refuse_name(enum kube_kind kind, const char *ns, const char *name,
                                     struct kube_reply *out)
{
    char shown[128] = "";

    kube_text_append(shown, sizeof(shown), ns != NULL ? ns : "", 50, NULL);
    kube_text_append(shown, sizeof(shown), "/", 1, NULL);
    kube_text_append(shown, sizeof(shown), name != NULL ? name : "", 70, NULL);
    kube_error_write(
        &out->error,
        "\"%s\" cannot be in %s: names are lower-case letters, digits, \"-\" and \".\"", shown,
        kube_kind_plural(kind));
    out->outcome = KUBE_INVALID;
    return KUBE_INVALID;
}

enum kube_outcome kube_ask_get(struct kube *k, enum kube_kind kind, const char *ns,
                               const char *name, const char *selector, struct kube_reply *out)
{
    char path[KUBE_PATH_BYTES];
    size_t n = kube_kind_versions(kind);

    *out = (struct kube_reply){0};
    for (size_t version = 0; version < n; version++) {
        if (kube_path_make(kind, version, ns, name, path) != RC_OK ||
            (selector != NULL && kube_path_query(path, "labelSelector", selector) != RC_OK)) {
            return refuse_name(kind, ns, name, out);
        }
        const struct kube_request request = {.path = path};
        kube_reply_fini(out);
        (void)kube_call_wait(k, &request, out);
        if (!kube_is_unknown_api(out->status, out->body)) {
            return out->outcome;
        }
    }
    kube_error_write(&out->error, "%s knows no %s%s%s: is it the right cluster?",
                     kube_access_server(kube_access_of(k)), kube_kind_plural(kind),
                     kube_kind_group(kind)[0] != '\0' ? "." : "", kube_kind_group(kind));
    return out->outcome;
}

/* ---- questions with a body ---- */

/* Takes the body. */
static enum kube_outcome post(struct kube *k, const char *path, char **body, struct kube_reply *out)
{
    const struct kube_request request = {.path = path, .body = *body, .repeatable = true};
    enum kube_outcome outcome = kube_call_wait(k, &request, out);

    free(*body);
    *body = NULL;
    return outcome;
}

/* The answer was well-formed JSON, but not what it should be. */
static enum kube_outcome judge(enum rc rc, const char *path, struct kube_error *err)
{
    if (rc == RC_OK) {
        return KUBE_OK;
    }
    kube_error_write(err, "POST %s: %s", path,
                     rc == RC_NO_MEMORY ? "out of memory" : "the API server sent something else");
    return rc == RC_NO_MEMORY ? KUBE_NO_MEMORY : KUBE_BAD_ANSWER;
}

enum kube_outcome kube_ask_token(struct kube *k, const char *ns, const char *account,
                                 const char *const *audiences, int64_t expires_s,
                                 struct kube_token *out, struct kube_error *err)
{
    char path[KUBE_PATH_BYTES];
    struct kube_reply reply = {0};
    char *body = NULL;

    if (kube_path_make(KUBE_SERVICE_ACCOUNT, 0, ns, account, path) != RC_OK) {
        (void)refuse_name(KUBE_SERVICE_ACCOUNT, ns, account, &reply);
        *err = reply.error;
        return KUBE_INVALID;
    }
    if (kube_path_sub(path, "/token") != RC_OK ||
        kube_token_ask(audiences, expires_s, &body) != RC_OK) {
        kube_error_write(err, "a token needs an audience, and a lifetime of at least 10 minutes");
        return KUBE_INVALID;
    }
    enum kube_outcome outcome = post(k, path, &body, &reply);
    if (outcome == KUBE_OK) {
        outcome = judge(kube_token_read(reply.body, out), path, err);
    } else if (reply.status == 404) {
        kube_error_write(err, "there is no service account %s in namespace %.63s: create it first",
                         account, ns);
    } else {
        *err = reply.error;
    }
    kube_reply_fini(&reply);
    return outcome;
}

enum kube_outcome kube_ask_right(struct kube *k, const struct kube_right *right, bool *allowed,
                                 struct kube_error *err)
{
    char path[KUBE_PATH_BYTES];
    struct kube_reply reply = {0};
    char *body = NULL;

    if (kube_path_make(KUBE_ACCESS_REVIEW, 0, NULL, NULL, path) != RC_OK ||
        kube_right_ask(right, &body) != RC_OK) {
        kube_error_write(err, "out of memory");
        return KUBE_NO_MEMORY;
    }
    enum kube_outcome outcome = post(k, path, &body, &reply);
    if (outcome == KUBE_OK) {
        outcome = judge(kube_right_read(reply.body, allowed), path, err);
    } else {
        *err = reply.error;
    }
    kube_reply_fini(&reply);
    return outcome;
}
