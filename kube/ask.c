/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/ask.h"

#include <stdio.h>
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

/* What is asked for behind a path; NULLs are left out. */
struct query {
    const char *selector;
    const char *limit;
    const char *next;
};

static enum rc add_query(char *path, const struct query *q)
{
    if (q->selector != NULL) {
        TRY(kube_path_query(path, "labelSelector", q->selector));
    }
    if (q->limit != NULL) {
        TRY(kube_path_query(path, "limit", q->limit));
    }
    return q->next != NULL ? kube_path_query(path, "continue", q->next) : RC_OK;
}

/* *version: the first to try, then the one that the server knows. */
static enum kube_outcome get(struct kube *k, enum kube_kind kind, const char *ns, const char *name,
                             const struct query *q, size_t *version, struct kube_reply *out)
{
    char path[KUBE_PATH_BYTES];
    size_t n = kube_kind_versions(kind);

    *out = (struct kube_reply){0};
    for (; *version < n; (*version)++) {
        if (kube_path_make(kind, *version, ns, name, path) != RC_OK ||
            add_query(path, q) != RC_OK) {
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

enum kube_outcome kube_ask_get(struct kube *k, enum kube_kind kind, const char *ns,
                               const char *name, const char *selector, struct kube_reply *out)
{
    const struct query q = {.selector = selector};
    size_t version = 0;

    return get(k, kind, ns, name, &q, &version, out);
}

/* ---- lists ---- */

/* "" and no key mean the same. */
static const char *next_of(const json_t *list)
{
    const char *next = doc_text(list, "metadata", "continue", NULL);

    return next != NULL && *next != '\0' ? next : NULL;
}

bool kube_list_is_whole(const json_t *list, size_t max)
{
    return next_of(list) == NULL && json_array_size(doc_at(list, "items", NULL)) <= max;
}

/* A list has the objects of this page, too, and goes on where the page ends. */
static bool add_page(json_t *list, const json_t *page)
{
    json_t *items = json_object_get(list, "items");
    json_t *more = json_object_get(page, "items");
    const char *next = next_of(page);
    json_t *metadata = json_object_get(list, "metadata");

    if (json_is_array(items) && json_is_array(more) && json_array_extend(items, more) != 0) {
        return false;
    }
    return json_object_set_new(metadata, "continue", json_string(next != NULL ? next : "")) == 0;
}

enum kube_outcome kube_ask_list(struct kube *k, enum kube_kind kind, const char *ns, size_t max,
                                struct kube_reply *out)
{
    char limit[24];
    struct query q = {.limit = limit};
    size_t version = 0;
    struct kube_reply page;

    (void)snprintf(limit, sizeof(limit), "%d", KUBE_PAGE_ITEMS);
    if (get(k, kind, ns, NULL, &q, &version, out) != KUBE_OK) {
        return out->outcome;
    }
    /* A page may have fewer objects; a server that sends none for ever is left. */
    for (size_t i = 0; i < 2 * (max / KUBE_PAGE_ITEMS); i++) {
        q.next = next_of(out->body);
        if (q.next == NULL || json_array_size(json_object_get(out->body, "items")) >= max) {
            break;
        }
        (void)get(k, kind, ns, NULL, &q, &version, &page);
        if (page.outcome == KUBE_OK && !add_page(out->body, page.body)) {
            kube_error_write(&page.error, "out of memory");
            page.outcome = KUBE_NO_MEMORY;
        }
        json_decref(page.body);
        page.body = NULL;
        if (page.outcome != KUBE_OK) {
            kube_reply_fini(out);
            *out = page;
            break;
        }
    }
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
