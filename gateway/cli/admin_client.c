/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/admin_client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube/curl_table.h"

#define CONNECT_TIMEOUT_MS 5000L
#define TIMEOUT_MS 60000L

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct admin_answer *a = arg;

    (void)size; /* is 1 */
    if (n > ADMIN_CLIENT_MAX_BYTES - a->n) {
        return 0;
    }
    char *body = realloc(a->body, a->n + n + 1);
    if (body == NULL) {
        return 0;
    }
    a->body = body;
    memcpy(a->body + a->n, data, n);
    a->n += n;
    a->body[a->n] = '\0';
    return n;
}

static bool is_socket_path(const char *address)
{
    return strchr(address, '/') != NULL;
}

static bool set_up(const struct curl_table *curl, CURL *easy, const char *address, const char *url,
                   const char *method, struct admin_answer *out)
{
    bool ok = curl->easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;

    if (is_socket_path(address)) {
        ok = ok && curl->easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, address) == CURLE_OK;
    }
    if (strcmp(method, "POST") == 0) {
        ok = ok && curl->easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK;
        ok = ok && curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L) == CURLE_OK;
    }
    return ok && curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_WRITEDATA, out) == CURLE_OK;
}

/* Why no connection was made to a unix socket. What libcurl says speaks of a host and a port. */
static const char *socket_reason(CURLcode code, long os_errno, const struct curl_table *curl)
{
    if (os_errno != 0) {
        return strerror((int)os_errno);
    }
    return code == CURLE_COULDNT_RESOLVE_HOST ? strerror(ENAMETOOLONG) : curl->easy_strerror(code);
}

static void explain_socket(const char *path, const char *reason, long os_errno, char *err,
                           size_t err_size)
{
    if (os_errno == EACCES) {
        (void)snprintf(err, err_size,
                       "no daemon answers at %s: %s; be root or in the group of this file, or say "
                       "in its configuration who may use it: `admin: {socket_mode: ...}`",
                       path, reason);
    } else {
        (void)snprintf(err, err_size,
                       "no daemon answers at %s: %s; is xdsgate running, does its configuration "
                       "make this socket (`admin: {socket: %s}`), and is --admin right?",
                       path, reason, path);
    }
}

static void explain(const struct curl_table *curl, CURL *easy, CURLcode code, const char *address,
                    const char *why, char *err, size_t err_size)
{
    long os_errno = 0;

    (void)curl->easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
    if (is_socket_path(address)) {
        explain_socket(address, socket_reason(code, os_errno, curl), os_errno, err, err_size);
        return;
    }
    (void)snprintf(err, err_size,
                   "no daemon answers at %s: %s; is xdsgate running, does its configuration have "
                   "this address (`admin: {bind: ...}`), and is --admin right?",
                   address, why[0] != '\0' ? why : curl->easy_strerror(code));
}

static enum rc perform(const struct curl_table *curl, CURL *easy, const char *address,
                       struct admin_answer *out, char *err, size_t err_size)
{
    char why[CURL_ERROR_SIZE] = "";
    long status = 0;

    (void)curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, why);
    CURLcode code = curl->easy_perform(easy);
    if (code != CURLE_OK) {
        explain(curl, easy, code, address, why, err, err_size);
        return RC_UNREACHABLE;
    }
    (void)curl->easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    out->status = (int)status;
    return RC_OK;
}

static enum rc out_of_memory(char *err, size_t err_size)
{
    (void)snprintf(err, err_size, "%s", rc_text(RC_NO_MEMORY));
    return RC_NO_MEMORY;
}

enum rc admin_client_ask(const char *address, const char *method, const char *path,
                         struct admin_answer *out, char *err, size_t err_size)
{
    const struct curl_table *curl = NULL;
    struct kube_error why;
    struct admin_answer answer = {0};
    char *url = NULL;

    if (curl_table_load(&why, &curl) != RC_OK) {
        (void)snprintf(err, err_size, "%s", why.text);
        return RC_SYSTEM;
    }
    int n = asprintf(&url, "http://%s/api/v1/%s", is_socket_path(address) ? "localhost" : address,
                     path);
    CURL *easy = n > 0 ? curl->easy_init() : NULL;
    enum rc rc = RC_NO_MEMORY;
    if (easy != NULL && set_up(curl, easy, address, url, method, &answer)) {
        rc = perform(curl, easy, address, &answer, err, err_size);
    } else {
        rc = out_of_memory(err, err_size);
    }
    if (easy != NULL) {
        curl->easy_cleanup(easy);
    }
    if (n > 0) {
        free(url);
    }
    if (rc == RC_OK && answer.body == NULL) {
        answer.body = strdup("");
        rc = answer.body != NULL ? RC_OK : out_of_memory(err, err_size);
    }
    if (rc != RC_OK) {
        free(answer.body);
        return rc;
    }
    *out = answer;
    return RC_OK;
}

char *admin_client_encode(const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    char *out = malloc(3 * strlen(text) + 1);
    char *w = out;

    for (; out != NULL && *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL) {
            *w++ = *text;
        } else {
            w += snprintf(w, 4, "%%%02X", (unsigned char)*text);
        }
    }
    if (out != NULL) {
        *w = '\0';
    }
    return out;
}
