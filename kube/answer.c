/* SPDX-License-Identifier: Apache-2.0 */
/* How an attempt has ended: libcurl's codes and Kubernetes' Status objects as outcomes and texts.
 * Source of Status: k8s.io/apimachinery pkg/apis/meta/v1/types.go. */
#include <stdio.h>
#include <string.h>

#include "kube/kube_internal.h"

/** Of an API server's message, which may quote what it was asked. */
#define MESSAGE_MAX_BYTES 300
#define PATH_MAX_BYTES 160

/** A server that asks for more rest than this gets this much. */
#define RETRY_AFTER_MAX_S 3600

static void append(char *text, const char *more, size_t max)
{
    kube_text_append(text, KUBE_TEXT_BYTES, more, max, NULL);
}

/* "GET https://10.0.0.1:6443/api/v1/nodes: ", without what was searched for. */
static void begin_text(const struct kube_call *c, char *text)
{
    size_t n = strcspn(c->path, "?");

    (void)snprintf(text, KUBE_TEXT_BYTES, "%s %.200s", c->body == NULL ? "GET" : "POST",
                   c->k->access->server);
    append(text, c->path, n < PATH_MAX_BYTES ? n : PATH_MAX_BYTES);
    append(text, ": ", 2);
}

/* ---- statuses ---- */

/* "403 Forbidden: pods is forbidden: ..." */
static void append_status(const struct kube_call *c, const struct kube_ending *e, char *text)
{
    const char *reason = doc_text(e->body, "reason", NULL);
    const char *message = doc_text(e->body, "message", NULL);
    char number[32];

    (void)snprintf(number, sizeof(number), "%d", e->status);
    append(text, number, sizeof(number));
    if (reason != NULL && reason[0] != '\0') {
        append(text, " ", 1);
        append(text, reason, 60);
    }
    if (message != NULL && message[0] != '\0') {
        append(text, ": ", 2);
        kube_text_append(text, KUBE_TEXT_BYTES, message, MESSAGE_MAX_BYTES,
                         c->k->access->token.data);
    }
    if (e->status == 401) {
        append(text, "; the credentials are not, or no longer, good: ", 100);
        append(text, c->k->access->origin, 200);
    }
}

/* A body that is no JSON is no matter with a refusal: proxies send pages. */
static enum kube_outcome judge_answer(const struct kube_call *c, struct kube_ending *e,
                                      char *problem, size_t size)
{
    struct doc_error why;
    enum rc rc = RC_OK;

    if (c->opened) {
        return KUBE_OK;
    }
    rc = doc_parse_json(c->answer != NULL ? c->answer : "", c->n_answer, &why, &e->body);
    if (e->status < 200 || e->status > 299) {
        return KUBE_REFUSED;
    }
    if (rc == RC_NO_MEMORY) {
        return KUBE_NO_MEMORY;
    }
    if (rc != RC_OK) {
        (void)snprintf(problem, size, "%u:%u: %s", why.line, why.column, why.text);
        return KUBE_BAD_ANSWER;
    }
    return KUBE_OK;
}

/* ---- libcurl ---- */

static enum kube_outcome judge_code(const struct kube_call *c, CURLcode code)
{
    if (c->no_memory || code == CURLE_OUT_OF_MEMORY) {
        return KUBE_NO_MEMORY;
    }
    if (c->too_large || c->stopped) {
        return KUBE_BAD_ANSWER;
    }
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return KUBE_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return KUBE_UNTRUSTED;
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer that is no HTTP */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return KUBE_BAD_ANSWER;
    default:
        return KUBE_UNREACHABLE;
    }
}

static const char *what_libcurl_says(const struct kube_call *c, CURLcode code)
{
    return c->why[0] != '\0' ? c->why : c->k->curl->easy_strerror(code);
}

/* "not reachable: Connection refused" */
static void append_reason(const struct kube_call *c, const char *words, const char *problem,
                          char *text)
{
    append(text, words, strlen(words));
    kube_text_append(text, KUBE_TEXT_BYTES, problem, MESSAGE_MAX_BYTES, c->k->access->token.data);
}

static void append_problem(const struct kube_call *c, const struct kube_ending *e,
                           const char *problem, char *text)
{
    switch (e->outcome) {
    case KUBE_UNTRUSTED:
        append_reason(c, "TLS: ", problem, text);
        append(text, "; certificate-authority and client-certificate are those of: ", 100);
        append(text, c->k->access->origin, 200);
        break;
    case KUBE_UNREACHABLE:
        append_reason(c, "not reachable: ", problem, text);
        break;
    case KUBE_TIMEOUT:
        append_reason(c, "no answer in time: ", problem, text);
        break;
    case KUBE_BAD_ANSWER:
        append_reason(c, "bad answer: ", problem, text);
        break;
    case KUBE_NO_MEMORY:
        append(text, "out of memory", 100);
        break;
    case KUBE_CANCELLED:
        append(text, "given up", 100);
        break;
    case KUBE_REFUSED:
        append_status(c, e, text);
        break;
    case KUBE_OK:
    case KUBE_INVALID:
        break;
    }
}

static void write_text(const struct kube_call *c, struct kube_ending *e, const char *problem)
{
    const char *trouble = c->k->trouble.text;

    e->text[0] = '\0';
    if (e->outcome == KUBE_OK) {
        return;
    }
    begin_text(c, e->text);
    append_problem(c, e, problem, e->text);
    if (trouble[0] != '\0') {
        append(e->text, "; ", 2);
        append(e->text, trouble, MESSAGE_MAX_BYTES);
    }
}

void kube_ending_make(const struct kube_call *c, enum kube_outcome outcome, struct kube_ending *out)
{
    *out = (struct kube_ending){.outcome = outcome};
    write_text(c, out, "the deadline is over");
}

static double read_retry_after(const struct kube_call *c)
{
    curl_off_t s = 0;

    (void)c->k->curl->easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &s);
    return s <= 0 ? 0 : s < RETRY_AFTER_MAX_S ? (double)s : RETRY_AFTER_MAX_S;
}

void kube_attempt_judge(const struct kube_call *c, CURLcode code, struct kube_ending *out)
{
    char problem[KUBE_TEXT_BYTES] = "";
    long status = 0;

    *out = (struct kube_ending){0};
    (void)c->k->curl->easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    out->status = (int)status;
    out->retry_after_s = read_retry_after(c);
    if (code == CURLE_OK) {
        out->outcome = judge_answer(c, out, problem, sizeof(problem));
    } else {
        out->outcome = judge_code(c, code);
        (void)snprintf(problem, sizeof(problem), "%s", what_libcurl_says(c, code));
    }
    if (c->too_large) {
        (void)snprintf(problem, sizeof(problem), "it is larger than %zu bytes",
                       c->k->opts.answer_max_bytes);
    }
    write_text(c, out, problem);
}

bool kube_is_heard(int status)
{
    return status >= 200 && status < 500 && status != 401 && status != 429;
}

bool kube_is_unknown_api(int status, const json_t *body)
{
    return status == 404 && doc_text(body, "details", "name", NULL) == NULL;
}
