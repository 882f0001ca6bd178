/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/address.h"
#include "bootstrap/render_internal.h"
#include "bootstrap/token.h"
#include "core/base/check.h"
#include "core/base/name.h"

/* Nobody's token is longer; istiod reads headers of at most 1 MiB. */
#define TOKEN_MAX_BYTES (64 * 1024)

bool render_has_revision(const struct bundle_opts *o)
{
    return o->revision != NULL && *o->revision != '\0' && strcmp(o->revision, "default") != 0;
}

const char *render_istiod(const struct bundle_opts *o, bool with_port, char *buf)
{
    bool revision = render_has_revision(o);

    (void)snprintf(buf, ISTIOD_NAME_BYTES, "istiod%s%s.%s.svc%s", revision ? "-" : "",
                   revision ? o->revision : "", o->istio_namespace, with_port ? ":15012" : "");
    return buf;
}

/* ---- hosts ---- */

/*
 * The name to dial when it is not the usual one: the gateway's own, or discoveryAddress names
 * another service of the cluster, whose name means nothing to the VM's resolver either. NULL: it is
 * the usual one, an address, or a name of the world. Borrowed from buf, of 254 bytes.
 */
static const char *other_name(const struct bundle_opts *o, const json_t *config, const char *usual,
                              char *buf)
{
    const char *address = doc_text(config, "discoveryAddress", NULL);
    size_t n = address != NULL ? strcspn(address, ":") : 0;

    if (n == 0 || n > 253) {
        return NULL;
    }
    (void)snprintf(buf, 254, "%.*s", (int)n, address);
    const char *svc = strstr(buf, ".svc");
    bool of_cluster = svc != NULL && (svc[4] == '\0' || svc[4] == '.');
    bool is_ours = of_cluster || o->gateway_name != NULL;
    return is_ours && name_is_subdomain(buf) && strcmp(buf, usual) != 0 ? buf : NULL;
}

static enum rc check_gateways(const struct bundle_opts *o, const struct why *w,
                              char gateways[][INET6_ADDRSTRLEN])
{
    if (o->n_gateways == 0) {
        return why_set(w, "no address of a gateway: without one the VM does not find istiod");
    }
    CHECK(o->n_gateways <= BUNDLE_GATEWAYS_MAX);
    for (size_t i = 0; i < o->n_gateways; i++) {
        TRY(address_read("gateway", o->gateways[i], w, gateways[i]));
        for (size_t j = 0; j < i; j++) {
            if (strcmp(gateways[i], gateways[j]) == 0) {
                return why_set(w, "gateway: %s is given twice", gateways[i]);
            }
        }
    }
    return RC_OK;
}

enum rc render_hosts(const struct bundle_opts *o, const json_t *config, const struct why *w,
                     char **out)
{
    char gateways[BUNDLE_GATEWAYS_MAX][INET6_ADDRSTRLEN];
    char usual[ISTIOD_NAME_BYTES];
    char buf[254];
    char *text = NULL;
    size_t n = 0;

    TRY(check_gateways(o, w, gateways));
    const char *other = other_name(o, config, render_istiod(o, false, usual), buf);
    FILE *f = open_memstream(&text, &n);
    if (f == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i < o->n_gateways; i++) {
        (void)fprintf(f, "%s %s%s%s\n", gateways[i], usual, other != NULL ? " " : "",
                      other != NULL ? other : "");
    }
    if (fclose(f) != 0) {
        free(text);
        return RC_NO_MEMORY;
    }
    *out = text;
    return RC_OK;
}

/* ---- what needs no rendering ---- */

static enum rc check_pem(const char *what, const char *pem, const struct why *w)
{
    if (pem == NULL || strstr(pem, "-----BEGIN CERTIFICATE-----") == NULL) {
        return why_set(w, "%s: it holds no PEM certificate", what);
    }
    return RC_OK;
}

static enum rc check_roots(const struct bundle_opts *o, const struct why *w)
{
    if (o->gateway_root != NULL) {
        TRY(check_pem("the gateway's root certificate", o->gateway_root, w));
    }
    return check_pem("root certificate", o->root_cert, w);
}

static enum rc check_opts(const struct bundle_opts *o, const struct why *w)
{
    if (!name_is_label(o->istio_namespace)) {
        return why_set(w, "istio's namespace %.60s is no name of Kubernetes", o->istio_namespace);
    }
    if (render_has_revision(o) && !name_is_label(o->revision)) {
        return why_set(w, "revision %.60s is no name of Kubernetes", o->revision);
    }
    if (o->mesh_config == NULL) {
        return why_set(w, "mesh config: there is none");
    }
    return check_roots(o, w);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static enum rc check_claims(const struct bundle_opts *o, const struct group *g,
                            const json_t *claims, const struct why *w)
{
    char expected[TOKEN_SUBJECT_BYTES];
    char buf[WHY_TIME_BYTES];
    int64_t until = token_until(claims);

    if (until < o->now_s) {
        return why_set(w, "token: it ran out %s ago", why_time(o->now_s - until, buf));
    }
    const char *other =
        token_other_subject(claims, token_subject(g->name_space, g->account, expected));
    if (other != NULL) {
        return why_set(w, "token: it is for %.120s, but the WorkloadGroup says %.120s", other,
                       expected);
    }
    return RC_OK;
}

/* Somebody else has made it, maybe long ago, and for another VM. */
static enum rc look_into_token(const struct bundle_opts *o, const struct group *g, size_t n,
                               const struct why *w)
{
    json_t *claims = NULL;

    TRY(token_read_claims(o->token, n, &claims));
    enum rc rc = check_claims(o, g, claims, w);
    json_decref(claims);
    return rc;
}

/* A token that was pasted may have a newline at its end, but none inside. */
static enum rc add_token(const struct bundle_opts *o, const struct group *g, const struct why *w,
                         struct bundle *b)
{
    size_t n = strlen(o->token);

    while (n > 0 && is_blank(o->token[n - 1])) {
        n--;
    }
    if (n == 0) {
        return why_set(w, "token: it is empty");
    }
    if (n > TOKEN_MAX_BYTES) {
        return why_set(w, "token: it is longer than %d bytes", TOKEN_MAX_BYTES);
    }
    if (!name_is_word(o->token, n)) {
        return why_set(w, "token: it must be one word, without blanks and newlines inside");
    }
    if (o->now_s != 0) {
        TRY(look_into_token(o, g, n, w));
    }
    return bundle_add(b, BUNDLE_TOKEN, o->token, n, 0600);
}

/* A rendered text as a file; frees it. */
static enum rc add_text(struct bundle *b, const char *name, char *text)
{
    enum rc rc = bundle_add(b, name, text, strlen(text), 0644);

    free(text);
    return rc;
}

static enum rc add_mesh(struct bundle *b, json_t *config)
{
    char *text = NULL;
    json_t *file = json_pack("{s:O}", "defaultConfig", config);

    if (file == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = doc_write_yaml(file, &text, NULL);
    json_decref(file);
    TRY(rc);
    return add_text(b, BUNDLE_MESH, text);
}

static enum rc add_root(const struct bundle_opts *o, struct bundle *b)
{
    return bundle_add(b, BUNDLE_ROOT, o->root_cert, strlen(o->root_cert), 0644);
}

static enum rc add_gateway_root(const struct bundle_opts *o, struct bundle *b)
{
    if (o->gateway_root == NULL) {
        return RC_OK;
    }
    return bundle_add(b, BUNDLE_GATEWAY_ROOT, o->gateway_root, strlen(o->gateway_root), 0644);
}

/* The files in istioctl's order, and ours last. */
static enum rc add_files(const struct bundle_opts *o, const struct group *g, json_t *config,
                         const struct why *w, struct bundle *b)
{
    char *text = NULL;

    TRY(add_mesh(b, config));
    TRY(render_env(o, g, config, w, &text));
    TRY(add_text(b, BUNDLE_ENV, text));
    TRY(add_root(o, b));
    if (o->token != NULL) {
        TRY(add_token(o, g, w, b));
    }
    TRY(render_hosts(o, config, w, &text));
    TRY(add_text(b, BUNDLE_HOSTS, text));
    return add_gateway_root(o, b);
}

static enum rc render(const struct bundle_opts *o, const struct why *w, struct bundle *b)
{
    struct group g;
    json_t *config = NULL;

    TRY(check_opts(o, w));
    TRY(group_read(o->workload_group, o->group, o->name_space, w, &g));
    enum rc rc = render_proxy_config(o, &g, w, &config);
    if (rc == RC_OK) {
        rc = add_files(o, &g, config, w, b);
    }
    json_decref(config);
    group_fini(&g);
    return rc;
}

static enum rc render_renewal(const struct bundle_opts *o, const struct why *w, struct bundle *b)
{
    struct group g;

    TRY(check_roots(o, w));
    TRY(group_read(o->workload_group, o->group, o->name_space, w, &g));
    enum rc rc = add_root(o, b);
    if (rc == RC_OK && o->token != NULL) {
        rc = add_token(o, &g, w, b);
    }
    if (rc == RC_OK) {
        rc = add_gateway_root(o, b);
    }
    group_fini(&g);
    return rc;
}

/* All or nothing. */
static enum rc make(enum rc (*files)(const struct bundle_opts *, const struct why *,
                                     struct bundle *),
                    const struct bundle_opts *o, struct bundle *out, const struct why *w)
{
    struct bundle made;

    w->text[0] = '\0';
    bundle_init(&made);
    enum rc rc = files(o, w, &made);
    if (rc != RC_OK) {
        bundle_fini(&made);
        return rc;
    }
    CHECK(out->n == 0);
    *out = made;
    return RC_OK;
}

enum rc bundle_render(const struct bundle_opts *o, struct bundle *out, char *why, size_t why_bytes)
{
    const struct why w = {.text = why, .bytes = why_bytes};

    return make(render, o, out, &w);
}

enum rc bundle_render_renewal(const struct bundle_opts *o, struct bundle *out, char *why,
                              size_t why_bytes)
{
    const struct why w = {.text = why, .bytes = why_bytes};

    return make(render_renewal, o, out, &w);
}
