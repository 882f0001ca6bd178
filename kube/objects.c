/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/objects.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/base64.h"
#include "core/base/name.h"
#include "core/base/wipe.h"
#include "kube/source.h"
#include "kube/text.h"

/* ---- addresses ---- */

/* Takes an address in any spelling; false for what is none. */
static bool normalise_ip(const char *text, char *out)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;

    return inet_pton(family, text, bytes) == 1 &&
           inet_ntop(family, bytes, out, KUBE_IP_BYTES) != NULL;
}

/* text: its address, in any spelling; NULL: it has none after all. */
static void add_endpoint(struct kube_endpoints *out, const char *text, struct kube_endpoint e)
{
    if (text == NULL || !normalise_ip(text, e.ip)) {
        return;
    }
    for (size_t i = 0; i < out->n; i++) {
        struct kube_endpoint *old = &out->list[i];
        if (old->port == e.port && strcmp(old->ip, e.ip) == 0) {
            old->pod = e.ready && !old->ready ? e.pod : old->pod;
            old->ready = old->ready || e.ready;
            return;
        }
    }
    if (out->n == KUBE_ENDPOINTS_MAX) {
        out->cut = true;
        return;
    }
    out->list[out->n++] = e;
}

static bool is_port(json_int_t v)
{
    return v >= 1 && v <= UINT16_MAX;
}

/* Is it the port that is asked for, by name or by number? */
static bool is_port_named(const json_t *port, const char *wanted)
{
    char number[24];
    const char *name = doc_text(port, "name", NULL);

    (void)snprintf(number, sizeof(number), "%lld",
                   (long long)json_integer_value(doc_at(port, "port", NULL)));
    return (name != NULL && strcmp(name, wanted) == 0) || strcmp(number, wanted) == 0;
}

/* A field of the port of that name or number; 0 when there is none. */
static uint16_t find_port(const json_t *ports, const char *wanted, const char *field)
{
    size_t i;
    json_t *port;

    json_array_foreach(ports, i, port)
    {
        json_int_t v = json_integer_value(doc_at(port, field, NULL));
        if (is_port_named(port, wanted) && is_port(v)) {
            return (uint16_t)v;
        }
    }
    return 0;
}

/* The name of the pod behind an endpoint, or NULL. */
static const char *pod_of(const json_t *row)
{
    const char *kind = doc_text(row, "targetRef", "kind", NULL);
    const char *name = doc_text(row, "targetRef", "name", NULL);

    return kind != NULL && strcmp(kind, "Pod") == 0 && name != NULL && name_is_subdomain(name)
               ? name
               : NULL;
}

static void read_slice_row(const json_t *row, uint16_t port, struct kube_endpoints *out)
{
    const struct kube_endpoint e = {
        .port = port,
        .ready = !json_is_false(doc_at(row, "conditions", "ready", NULL)),
        .pod = pod_of(row),
    };
    size_t i;
    json_t *address;

    json_array_foreach(doc_at(row, "addresses", NULL), i, address)
    {
        add_endpoint(out, json_string_value(address), e);
    }
}

static const json_t *slice_rows(const json_t *slice)
{
    return doc_at(slice, "endpoints", NULL);
}

/* Go's nil slice is null, or left out. */
static bool is_list(const json_t *rows)
{
    return rows == NULL || json_is_array(rows) || json_is_null(rows);
}

static bool is_slice(const json_t *slice)
{
    return doc_text(slice, "addressType", NULL) != NULL && is_list(slice_rows(slice));
}

enum rc kube_slice_read(const json_t *slice, const char *port, struct kube_endpoints *out)
{
    const json_t *rows = slice_rows(slice);
    const char *type = doc_text(slice, "addressType", NULL);
    uint16_t number = find_port(doc_at(slice, "ports", NULL), port, "port");
    size_t i;
    json_t *row;

    if (!is_slice(slice)) {
        return RC_PEER_MALFORMED;
    }
    if (number == 0 || (strcmp(type, "IPv4") != 0 && strcmp(type, "IPv6") != 0)) {
        return RC_OK;
    }
    json_array_foreach(rows, i, row)
    {
        read_slice_row(row, number, out);
    }
    return RC_OK;
}

static bool has_name(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

enum rc kube_slice_nodes(const json_t *slice, const char **names, size_t max, size_t *n)
{
    size_t i;
    json_t *row;

    if (!is_slice(slice)) {
        return RC_PEER_MALFORMED;
    }
    *n = 0;
    json_array_foreach(slice_rows(slice), i, row)
    {
        const char *name = doc_text(row, "nodeName", NULL);
        bool ready = !json_is_false(doc_at(row, "conditions", "ready", NULL));
        if (ready && *n < max && name != NULL && name_is_subdomain(name) &&
            !has_name(names, *n, name)) {
            names[(*n)++] = name;
        }
    }
    return RC_OK;
}

enum rc kube_service_node_port(const json_t *service, const char *port, uint16_t *out)
{
    const json_t *ports = doc_at(service, "spec", "ports", NULL);
    uint16_t number = find_port(ports, port, "nodePort");

    if (!json_is_object(doc_at(service, "spec", NULL)) || !is_list(ports)) {
        return RC_PEER_MALFORMED;
    }
    if (number == 0) {
        return RC_NOT_FOUND;
    }
    *out = number;
    return RC_OK;
}

static bool is_node_ready(const json_t *node)
{
    size_t i;
    json_t *row;

    json_array_foreach(doc_at(node, "status", "conditions", NULL), i, row)
    {
        const char *type = doc_text(row, "type", NULL);
        const char *status = doc_text(row, "status", NULL);
        if (type != NULL && strcmp(type, "Ready") == 0) {
            return status != NULL && strcmp(status, "True") == 0;
        }
    }
    return false;
}

enum rc kube_node_read(const json_t *node, const char *type, uint16_t port,
                       struct kube_endpoints *out)
{
    const json_t *rows = doc_at(node, "status", "addresses", NULL);
    size_t i;
    json_t *row;

    if (!json_is_object(doc_at(node, "status", NULL)) || !is_list(rows)) {
        return RC_PEER_MALFORMED;
    }
    json_array_foreach(rows, i, row)
    {
        const char *found = doc_text(row, "type", NULL);
        if (found != NULL && strcmp(found, type) == 0) {
            add_endpoint(out, doc_text(row, "address", NULL),
                         (struct kube_endpoint){.port = port, .ready = is_node_ready(node)});
        }
    }
    return RC_OK;
}

/* ---- secrets and tokens ---- */

enum rc kube_secret_value(const json_t *secret, const char *key, char **out, size_t *n)
{
    const char *text = doc_text(secret, "data", key, NULL);

    if (text == NULL) {
        return RC_NOT_FOUND;
    }
    size_t size = BASE64_DECODED_BYTES(strlen(text));
    char *value = malloc(size);
    if (value == NULL) {
        return RC_NO_MEMORY;
    }
    if (base64_decode(text, strlen(text), value, n) != RC_OK) {
        wipe_free(value, size);
        return RC_PEER_MALFORMED;
    }
    *out = value;
    return RC_OK;
}

/* Write v as JSON and let go of it; NULL: there was no memory. */
static enum rc write_body(json_t *v, char **out)
{
    enum rc rc = v == NULL ? RC_NO_MEMORY : doc_write_json(v, out, NULL);
    json_decref(v);
    return rc;
}

enum rc kube_token_ask(const char *const *audiences, int64_t expires_s, char **out)
{
    json_t *list = json_array();

    if (audiences[0] == NULL || expires_s < KUBE_TOKEN_MIN_S || expires_s > KUBE_TOKEN_MAX_S) {
        json_decref(list);
        return RC_INVALID;
    }
    for (; *audiences != NULL; audiences++) {
        if (json_array_append_new(list, json_string(*audiences)) != 0) {
            json_decref(list);
            return RC_NO_MEMORY;
        }
    }
    return write_body(json_pack("{s:s, s:s, s:{s:o, s:I}}", "apiVersion",
                                "authentication.k8s.io/v1", "kind", "TokenRequest", "spec",
                                "audiences", list, "expirationSeconds", (json_int_t)expires_s),
                      out);
}

enum rc kube_token_read(const json_t *body, struct kube_token *out)
{
    const char *token = doc_text(body, "status", "token", NULL);
    const char *date = doc_text(body, "status", "expirationTimestamp", NULL);
    struct kube_token t = {0};

    if (token == NULL || date == NULL || !kube_token_is_valid(token, strlen(token))) {
        return RC_PEER_MALFORMED;
    }
    TRY(kube_time_read(date, &t.expires));
    t.token = strdup(token);
    if (t.token == NULL) {
        return RC_NO_MEMORY;
    }
    *out = t;
    return RC_OK;
}

void kube_token_fini(struct kube_token *t)
{
    wipe_text(&t->token);
    t->expires = 0;
}

/* ---- rights ---- */

static const char *or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

enum rc kube_right_ask(const struct kube_right *right, char **out)
{
    json_t *what = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "verb", or_empty(right->verb),
                             "group", or_empty(right->group), "resource", or_empty(right->resource),
                             "subresource", or_empty(right->sub), "namespace", or_empty(right->ns),
                             "name", or_empty(right->name));

    return write_body(json_pack("{s:s, s:s, s:{s:o}}", "apiVersion", "authorization.k8s.io/v1",
                                "kind", "SelfSubjectAccessReview", "spec", "resourceAttributes",
                                what),
                      out);
}

enum rc kube_right_read(const json_t *body, bool *allowed)
{
    const json_t *v = doc_at(body, "status", "allowed", NULL);

    if (!json_is_boolean(v)) {
        return RC_PEER_MALFORMED;
    }
    *allowed = json_is_true(v);
    return RC_OK;
}

/* ---- dates ---- */

/* Digits where the form has a "0", the same character elsewhere. */
static bool has_form(const char *text, const char *form)
{
    for (; *form != '\0'; form++, text++) {
        bool digit = *text >= '0' && *text <= '9';
        if (*form == '0' ? !digit : *text != *form) {
            return false;
        }
    }
    return true;
}

static int two_digits(const char *p)
{
    return (p[0] - '0') * 10 + (p[1] - '0');
}

enum rc kube_time_read(const char *text, int64_t *out)
{
    static const char form[] = "0000-00-00T00:00:00";

    if (!has_form(text, form)) {
        return RC_PEER_MALFORMED;
    }
    const char *end = text + sizeof(form) - 1;
    if (*end == '.') {
        size_t n = strspn(++end, "0123456789");
        end = n > 0 ? end + n : "";
    }
    struct tm t = {.tm_year = two_digits(text) * 100 + two_digits(text + 2) - 1900,
                   .tm_mon = two_digits(text + 5) - 1,
                   .tm_mday = two_digits(text + 8),
                   .tm_hour = two_digits(text + 11),
                   .tm_min = two_digits(text + 14),
                   .tm_sec = two_digits(text + 17)};
    struct tm given = t;
    int64_t s = timegm(&t);
    /* timegm() makes a good date of a bad one. */
    if (strcmp(end, "Z") != 0 || t.tm_mon != given.tm_mon || t.tm_mday != given.tm_mday ||
        t.tm_hour != given.tm_hour || t.tm_min != given.tm_min || t.tm_sec != given.tm_sec) {
        return RC_PEER_MALFORMED;
    }
    *out = s;
    return RC_OK;
}
