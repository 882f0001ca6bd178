/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt of a call: an easy handle of libcurl with all its options, and where the body goes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/wipe.h"
#include "kube/kube_internal.h"

#define FIRST_ANSWER_BYTES 16384

/** A watch may be quiet for a minute; a peer that is gone is noticed sooner: Linux probes it nine
 * times. */
#define KEEPALIVE_IDLE_S 30L
#define KEEPALIVE_INTERVAL_S 3L

/* ---- what comes ---- */

static int status_of(const struct kube_call *c)
{
    long status = 0;

    (void)c->k->curl->easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

static void wipe_answer(struct kube_call *c)
{
    wipe_free(c->answer, c->n_answer);
    c->answer = NULL;
    c->n_answer = 0;
    c->answer_size = 0;
}

/* Not by realloc(): it may leave a copy of a token behind. */
static bool make_room(struct kube_call *c, size_t n)
{
    size_t size = c->answer_size > 0 ? c->answer_size : FIRST_ANSWER_BYTES;

    while (size < n) {
        size *= 2;
    }
    if (size == c->answer_size) {
        return true;
    }
    char *room = malloc(size);
    if (room == NULL) {
        return false;
    }
    size_t n_old = c->n_answer;
    if (n_old > 0) {
        memcpy(room, c->answer, n_old);
    }
    wipe_answer(c);
    c->answer = room;
    c->n_answer = n_old;
    c->answer_size = size;
    return true;
}

static bool collect(struct kube_call *c, const char *bytes, size_t n)
{
    if (n > c->k->opts.answer_max_bytes - c->n_answer) {
        c->too_large = true;
        return false;
    }
    if (!make_room(c, c->n_answer + n)) {
        c->no_memory = true;
        return false;
    }
    memcpy(c->answer + c->n_answer, bytes, n);
    c->n_answer += n;
    return true;
}

/* Less than what was offered makes libcurl end the transfer. */
static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct kube_call *c = arg;

    CHECK_MAGIC(c, KUBE_CALL_MAGIC);
    n *= size;
    if (c->state != CALL_RUNNING) {
        return CURL_WRITEFUNC_ERROR;
    }
    if (c->opened) {
        c->k->stirred = true;
        c->stopped = !c->stream->on_bytes(c->arg, bytes, n);
        return c->stopped ? CURL_WRITEFUNC_ERROR : n;
    }
    return collect(c, bytes, n) ? n : CURL_WRITEFUNC_ERROR;
}

/* Called for each line; the empty one is the last. */
static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct kube_call *c = arg;

    CHECK_MAGIC(c, KUBE_CALL_MAGIC);
    n *= size;
    bool last = n > 0 && (bytes[0] == '\r' || bytes[0] == '\n');
    if (last && c->stream != NULL && c->state == CALL_RUNNING && status_of(c) == 200) {
        c->opened = true;
        c->k->stirred = true;
        c->stream->on_open(c->arg);
    }
    return n;
}

/* ---- what goes ---- */

/* A libcurl that does not know an option is no lack of memory. */
static bool went_well(struct kube_call *c, CURLcode code)
{
    c->setup = code == CURLE_OK ? c->setup : code;
    return code == CURLE_OK;
}

/* Sets one option; after a failure nothing more. */
#define SET(option, value) (ok = ok && went_well(c, curl->easy_setopt(c->easy, option, value)))

static bool append(const struct curl_table *curl, struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl->slist_append(*list, text);

    if (longer == NULL) {
        return false;
    }
    *list = longer;
    return true;
}

static bool append_authorization(struct kube_call *c)
{
    static const char name[] = "Authorization: Bearer ";
    const struct kube_source *token = &c->k->access->token;
    size_t size = sizeof(name) + token->n;
    char *line = token->data == NULL ? NULL : malloc(size);

    if (line == NULL) {
        return token->data == NULL;
    }
    (void)snprintf(line, size, "%s%s", name, token->data);
    bool ok = append(c->k->curl, &c->headers, line);
    wipe_free(line, size);
    return ok;
}

static bool set_request(struct kube_call *c)
{
    const struct curl_table *curl = c->k->curl;
    bool ok = append(curl, &c->headers, "Accept: application/json") && append_authorization(c);

    if (c->body != NULL) {
        ok = ok && append(curl, &c->headers, "Content-Type: application/json") &&
             append(curl, &c->headers, "Expect:");
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE, (long)strlen(c->body));
        SET(CURLOPT_POSTFIELDS, c->body);
    }
    SET(CURLOPT_HTTPHEADER, c->headers);
    SET(CURLOPT_USERAGENT, "xdsgate");
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, c);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, c);
    SET(CURLOPT_ERRORBUFFER, c->why);
    SET(CURLOPT_PRIVATE, c);
    return ok;
}

/* With a name of its own, the certificate's name becomes the URL's, and the connection goes where
 * the kubeconfig says. */
static bool set_server(struct kube_call *c)
{
    const struct curl_table *curl = c->k->curl;
    const struct kube_access *a = c->k->access;
    const struct kube_url *u = &a->url;
    char text[KUBE_URL_BYTES];
    bool ok = true;

    kube_url_write(u, a->tls_name, text);
    size_t size = strlen(text) + strlen(c->path) + 1;
    char *url = malloc(size);
    if (url == NULL) {
        return false;
    }
    (void)snprintf(url, size, "%s%s", text, c->path);
    SET(CURLOPT_URL, url);
    free(url);
    if (a->tls_name != NULL) {
        (void)snprintf(text, sizeof(text), "::%s%s%s:%u", u->ipv6 ? "[" : "", u->host,
                       u->ipv6 ? "]" : "", u->port);
        ok = ok && append(curl, &c->connect_to, text);
        SET(CURLOPT_CONNECT_TO, c->connect_to);
    }
    if (a->proxy != NULL) {
        SET(CURLOPT_PROXY, a->proxy);
    }
    return ok;
}

static bool set_blob(struct kube_call *c, CURLoption option, const struct kube_source *s)
{
    const struct curl_table *curl = c->k->curl;
    struct curl_blob blob = {.data = s->data, .len = s->n, .flags = CURL_BLOB_COPY};
    bool ok = true;

    if (s->data != NULL) {
        SET(option, &blob);
    }
    return ok;
}

static bool set_tls(struct kube_call *c)
{
    const struct curl_table *curl = c->k->curl;
    const struct kube_access *a = c->k->access;
    bool ok = true;

    SET(CURLOPT_PROTOCOLS_STR, "https");
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_KEYPASSWD, ""); /* OpenSSL would ask for one on the terminal */
    if (a->authority.data != NULL) {
        /* Else the folder of the system's authorities counts, too. */
        SET(CURLOPT_CAPATH, NULL);
        SET(CURLOPT_CAINFO, NULL);
    }
    return ok && set_blob(c, CURLOPT_CAINFO_BLOB, &a->authority) &&
           set_blob(c, CURLOPT_SSLCERT_BLOB, &a->certificate) &&
           set_blob(c, CURLOPT_SSLKEY_BLOB, &a->key);
}

/* No attempt outlives its call; only streams know better how long they take. */
static long timeout_of(const struct kube_call *c, double now)
{
    double left_ms = (c->retry.began + c->retry.policy.deadline_s - now) * 1000;

    if (c->stream != NULL || left_ms > c->timeout_ms) {
        return (long)c->timeout_ms;
    }
    return left_ms > 1 ? (long)left_ms : 1;
}

static bool set_transport(struct kube_call *c, double now)
{
    const struct curl_table *curl = c->k->curl;
    bool ok = true;

    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a look-up that hangs holds nobody up */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)c->k->opts.connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, timeout_of(c, now));
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    SET(CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    return ok;
}

/* ---- the attempt ---- */

CURLcode kube_attempt_start(struct kube_call *c, double now)
{
    struct kube *k = c->k;

    CHECK(c->easy == NULL);
    c->why[0] = '\0';
    c->setup = CURLE_OUT_OF_MEMORY;
    c->generation = kube_access_generation(k->access);
    c->easy = k->curl->easy_init();
    if (c->easy == NULL || !set_transport(c, now) || !set_tls(c) || !set_server(c) ||
        !set_request(c) || k->curl->multi_add_handle(k->multi, c->easy) != CURLM_OK) {
        return c->setup;
    }
    c->in_multi = true;
    return CURLE_OK;
}

static void free_headers(struct kube_call *c)
{
    for (struct curl_slist *i = c->headers; i != NULL; i = i->next) {
        explicit_bzero(i->data, strlen(i->data));
    }
    c->k->curl->slist_free_all(c->headers);
    c->headers = NULL;
}

void kube_attempt_end(struct kube_call *c)
{
    const struct curl_table *curl = c->k->curl;

    if (c->in_multi) {
        (void)curl->multi_remove_handle(c->k->multi, c->easy);
        c->in_multi = false;
    }
    if (c->easy != NULL) {
        curl->easy_cleanup(c->easy);
        c->easy = NULL;
    }
    free_headers(c);
    curl->slist_free_all(c->connect_to);
    c->connect_to = NULL;
    wipe_answer(c);
    c->opened = false;
    c->stopped = false;
    c->too_large = false;
    c->no_memory = false;
}
