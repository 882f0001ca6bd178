/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/admin/host_check.h"
#include "gateway/admin/page.h"

static const char TYPE_TEXT[] = "text/plain; charset=utf-8";
static const char TYPE_METRICS[] = "text/plain; version=0.0.4; charset=utf-8";
static const char TYPE_JSON[] = "application/json";
static const char TYPE_HTML[] = "text/html; charset=utf-8";

/* Of all that is no page for browsers: if one shows it, it runs and fetches nothing. */
static const char POLICY_NOTHING[] = "default-src 'none'; frame-ancestors 'none'";

static const char API_PREFIX[] = "/api/v1/";

/** No HTTP status: the page could not be made. */
#define NO_MEMORY 0U

/** A page: writes its body and returns the status. */
typedef unsigned page(const struct routes_request *q, const struct admin_source *s, FILE *out);

/* Reasons when it is not well; notes when it is and they are asked for. */
static unsigned health(const struct routes_request *q, FILE *out,
                       bool (*ask)(void *arg, FILE *reasons), void *arg)
{
    char *text = NULL;
    size_t n = 0;
    FILE *reasons = open_memstream(&text, &n);

    if (reasons == NULL) {
        return NO_MEMORY;
    }
    bool well = ask(arg, reasons);
    if (fclose(reasons) != 0) {
        free(text);
        return NO_MEMORY;
    }
    if (!well || q->verbose) {
        (void)fwrite(text, 1, n, out);
    }
    if (well) {
        (void)fputs("ok\n", out);
    } else if (n == 0) {
        (void)fputs("no reason is known\n", out);
    }
    free(text);
    return well ? 200 : 503;
}

static unsigned page_ready(const struct routes_request *q, const struct admin_source *s, FILE *out)
{
    return health(q, out, s->ready, s->arg);
}

static unsigned page_live(const struct routes_request *q, const struct admin_source *s, FILE *out)
{
    return health(q, out, s->live, s->arg);
}

static unsigned page_metrics(const struct routes_request *q, const struct admin_source *s,
                             FILE *out)
{
    (void)q;
    s->metrics(s->arg, out);
    return 200;
}

static unsigned page_status(const struct routes_request *q, const struct admin_source *s, FILE *out)
{
    (void)q, (void)s;
    (void)fwrite(page_html, 1, page_html_bytes, out);
    return 200;
}

static unsigned page_version(const struct routes_request *q, const struct admin_source *s,
                             FILE *out)
{
    (void)q;
    s->version(s->arg, out);
    return 200;
}

static const char *no_argument(const struct admin_call *call, const char *name)
{
    (void)call, (void)name;
    return NULL;
}

static unsigned page_api(const struct routes_request *q, const struct admin_source *s, FILE *out)
{
    struct admin_call call = {
        .path = q->path + strlen(API_PREFIX),
        .change = strcmp(q->method, "POST") == 0,
        .uid = q->uid,
        .argument = q->argument != NULL ? q->argument : no_argument,
        .place = q->place,
    };
    return s->api(s->arg, &call, out);
}

static const struct route {
    const char *path;
    page *write;
    const char *type;
    const char *policy; /**< Content-Security-Policy */
    bool on_metrics;    /**< also on the metrics address */
} routes[] = {
    {"/", page_status, TYPE_HTML, page_policy, false},
    {"/healthz", page_ready, TYPE_TEXT, POLICY_NOTHING, true},
    {"/healthz/live", page_live, TYPE_TEXT, POLICY_NOTHING, true},
    {"/healthz/ready", page_ready, TYPE_TEXT, POLICY_NOTHING, true},
    {"/metrics", page_metrics, TYPE_METRICS, POLICY_NOTHING, true},
    {"/api/v1/version", page_version, TYPE_JSON, POLICY_NOTHING, false},
};

static const struct route api = {API_PREFIX, page_api, TYPE_JSON, POLICY_NOTHING, false};

static bool is_api(const struct routes_request *q)
{
    return !q->metrics_only && strncmp(q->path, API_PREFIX, strlen(API_PREFIX)) == 0;
}

static const struct route *find_route(const struct routes_request *q)
{
    bool is_change = strcmp(q->method, "POST") == 0;

    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (strcmp(q->path, routes[i].path) == 0) {
            return is_change || (q->metrics_only && !routes[i].on_metrics) ? NULL : &routes[i];
        }
    }
    return is_api(q) ? &api : NULL;
}

static bool host_is_fine(const struct routes_request *q)
{
    if (q->any_host || q->n_hosts == 0) {
        return true; /* every browser sends one; load balancers that check health by HTTP/1.0 do not
                      */
    }
    return q->n_hosts == 1 && host_check_is_local(q->host);
}

static unsigned refuse_body(const struct routes_request *q, const char **why)
{
    if (q->has_body) {
        *why = "no page takes a body";
        return 413;
    }
    return 0;
}

/* Refusals before any page is asked; 0: none. */
static unsigned refuse(const struct routes_request *q, const char **why)
{
    if (!host_is_fine(q)) {
        *why = "the Host header must be an IP address or localhost";
        return 421;
    }
    if (strcmp(q->method, "POST") == 0 && q->may_change) {
        return refuse_body(q, why);
    }
    if (strcmp(q->method, "GET") != 0 && strcmp(q->method, "HEAD") != 0) {
        *why = "only GET and HEAD are known here; what changes anything goes over the unix "
               "socket";
        return 405;
    }
    return refuse_body(q, why);
}

/* Why no page was asked, in the form of the pages there. why: needs no escapes in JSON. Returns its
 * type. */
static const char *write_refusal(const struct routes_request *q, const char *why, FILE *out)
{
    if (is_api(q)) {
        (void)fprintf(out, "{\"error\": \"%s\"}\n", why);
        return TYPE_JSON;
    }
    (void)fprintf(out, "%s\n", why);
    return TYPE_TEXT;
}

enum rc routes_answer(const struct routes_request *q, const struct admin_source *source,
                      struct routes_answer *out)
{
    struct routes_answer a = {.type = TYPE_TEXT, .policy = POLICY_NOTHING};
    const char *why = "no such page";
    FILE *f = open_memstream(&a.body, &a.n_bytes);

    if (f == NULL) {
        return RC_NO_MEMORY;
    }
    a.status = refuse(q, &why);
    const struct route *r = a.status == 0 ? find_route(q) : NULL;
    if (r != NULL) {
        a.type = r->type;
        a.policy = r->policy;
        a.status = r->write(q, source, f);
    } else {
        a.status = a.status != 0 ? a.status : 404;
        a.type = write_refusal(q, why, f);
    }
    bool failed = ferror(f) != 0;
    if (fclose(f) != 0 || failed || a.status == NO_MEMORY) {
        free(a.body);
        return RC_NO_MEMORY;
    }
    *out = a;
    return RC_OK;
}
