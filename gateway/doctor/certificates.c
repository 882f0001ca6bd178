/* SPDX-License-Identifier: Apache-2.0 */
/* What listeners show to VMs: for the names that VMs ask for, by a root that they have, for how
 * long. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "certs/cert_file.h"
#include "core/base/clock.h"
#include "gateway/config/cert_paths.h"
#include "gateway/doctor/doctor.h"

#define WARN_S (INT64_C(30) * 86400)

/** What an agent calls when nobody tells it otherwise (Istio: istio-start.sh). */
#define USUAL_NAME "istiod.istio-system.svc"

/* One listener. */
struct look {
    const struct config_listener *l;
    const struct cert_path *paths;
    size_t n_paths;
    struct doctor_report *r;
};

/* ---- names ---- */

/* A name of a certificate, "*.a.b" for one label and then a.b. */
static bool name_matches(const char *pattern, const char *name)
{
    if (strncmp(pattern, "*.", 2) == 0) {
        const char *dot = strchr(name, '.');
        return dot != NULL && dot != name && strcasecmp(pattern + 1, dot) == 0;
    }
    return strcasecmp(pattern, name) == 0;
}

static bool is_for(const struct cert_info *info, const char *name)
{
    for (size_t i = 0; i < info->n_names; i++) {
        if (name_matches(info->names[i], name)) {
            return true;
        }
    }
    return false;
}

static bool is_of(const struct look *k, const struct cert_path *p, enum cert_path_kind kind)
{
    return p->kind == kind && strcmp(p->owner, k->l->name) == 0;
}

/* Has one of the listener's certificates this name? What cannot be read is no reason to complain
 * here: the configuration would have been refused. */
static enum rc has_name(const struct look *k, const char *name, bool *out)
{
    *out = false;
    for (size_t i = 0; i < k->n_paths && !*out; i++) {
        struct cert_file *f = NULL;
        struct cert_error err;
        struct cert_info info;
        if (!is_of(k, &k->paths[i], CERT_PATH_SERVING)) {
            continue;
        }
        enum rc rc = cert_file_load(k->paths[i].file, &f, &err);
        if (rc == RC_OK) {
            rc = cert_file_info(f, 0, &info);
        }
        if (rc == RC_OK) {
            *out = is_for(&info, name);
            cert_info_fini(&info);
        }
        cert_file_free(&f);
        if (rc == RC_NO_MEMORY) {
            return rc;
        }
    }
    return RC_OK;
}

/* Names that no certificate is for. */
struct missing {
    const char **list; /* owned; the names are borrowed */
    size_t n;
};

static enum rc look_at_name(const struct look *k, const char *name, struct missing *m)
{
    bool there = false;

    for (size_t i = 0; i < m->n && !there; i++) {
        there = strcmp(m->list[i], name) == 0;
    }
    if (!there) {
        TRY(has_name(k, name, &there));
    }
    if (!there) {
        const char **more = realloc(m->list, (m->n + 1) * sizeof(*more));
        if (more == NULL) {
            return RC_NO_MEMORY;
        }
        m->list = more;
        m->list[m->n++] = name;
    }
    return RC_OK;
}

/* Exact names are asked for as they are; "*" stands for what agents call usually; "*.suffix" for
 * nobody knows what. */
static enum rc gather_names(const struct look *k, struct missing *m)
{
    for (size_t i = 0; i < k->l->n_routes; i++) {
        const struct config_route *route = &k->l->routes[i];
        for (char **sni = route->sni; route->mode == ROUTE_TERMINATE && *sni != NULL; sni++) {
            if (strcmp(*sni, "*") == 0) {
                TRY(look_at_name(k, USUAL_NAME, m));
            } else if ((*sni)[0] != '*') {
                TRY(look_at_name(k, *sni, m));
            }
        }
    }
    return RC_OK;
}

/* All in one certificate: two of them would be written over each other. */
static enum rc find_missing(const struct look *k, const struct missing *m)
{
    char *options = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&options, &size);

    if (out == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i < m->n; i++) {
        (void)fprintf(out, " --name %s", m->list[i]);
    }
    bool good = fclose(out) == 0;
    for (size_t i = 0; good && i < m->n; i++) {
        doctor_find(k->r, DOCTOR_SERVING_NAME, k->l->name, m->list[i], options, NULL);
    }
    free(options);
    return good ? RC_OK : RC_NO_MEMORY;
}

static enum rc look_at_names(const struct look *k)
{
    struct missing m = {.n = 0};
    enum rc rc = gather_names(k, &m);

    if (rc == RC_OK && m.n > 0) {
        rc = find_missing(k, &m);
    }
    free(m.list);
    return rc;
}

/* ---- roots ---- */

/* The roots that VMs of the mesh have are those that their own certificates are by. */
static enum rc look_at_root(const struct look *k, const struct cert_path *serving)
{
    struct cert_file *chain = NULL;
    struct cert_error err;
    const char *asked = NULL;
    bool believed = false;
    enum rc rc = cert_file_load(serving->file, &chain, &err);

    for (size_t i = 0; i < k->n_paths && rc == RC_OK && !believed; i++) {
        struct cert_file *roots = NULL;
        char anchor[CERT_SUBJECT_BYTES];
        char why[CERT_SUBJECT_BYTES];
        if (!is_of(k, &k->paths[i], CERT_PATH_CLIENT_ROOTS)) {
            continue;
        }
        asked = k->paths[i].file;
        rc = cert_file_load(asked, &roots, &err);
        if (rc == RC_OK) {
            rc = cert_file_verify(chain, 0, roots, anchor, why, sizeof(why));
        }
        believed = rc == RC_OK;
        rc = rc == RC_NO_MEMORY ? rc : RC_OK;
        cert_file_free(&roots);
    }
    cert_file_free(&chain);
    if (asked != NULL && rc == RC_OK && !believed) {
        doctor_find(k->r, DOCTOR_SERVING_ROOT, k->l->name, serving->file, asked, NULL);
    }
    return rc == RC_NO_MEMORY ? rc : RC_OK;
}

/* ---- ends ---- */

static enum rc look_at_end(const struct look *k, const struct cert_path *serving)
{
    struct cert_file *f = NULL;
    struct cert_error err;
    struct cert_info info;
    char left[32];
    char folder[4096];
    enum rc rc = cert_file_load(serving->file, &f, &err);

    if (rc == RC_OK) {
        rc = cert_file_info(f, 0, &info);
    }
    cert_file_free(&f);
    if (rc != RC_OK) {
        return rc == RC_NO_MEMORY ? rc : RC_OK;
    }
    int64_t s = info.to - clock_wall();
    cert_info_fini(&info);
    if (s < WARN_S) {
        (void)snprintf(folder, sizeof(folder), "%s", serving->file);
        char *slash = strrchr(folder, '/');
        (void)snprintf(slash != NULL ? slash : folder, 2, "%s", slash != NULL ? "" : ".");
        doctor_find(k->r, DOCTOR_SERVING_ENDS, k->l->name, serving->file, doctor_duration(s, left),
                    folder, NULL);
    }
    return RC_OK;
}

static void look_at_roots_end(const char *kind, const char *name, int64_t end, const char *path,
                              struct doctor_report *r)
{
    char whose[300];
    char left[32];
    int64_t s = end - clock_wall();

    if (end != 0 && s < WARN_S) {
        (void)snprintf(whose, sizeof(whose), "%s %.200s", kind, name);
        doctor_find(r, DOCTOR_ROOTS_END, whose, doctor_duration(s, left), path, NULL);
    }
}

static enum rc look_at_listener(const struct look *k)
{
    TRY(look_at_names(k));
    for (size_t i = 0; i < k->n_paths; i++) {
        if (is_of(k, &k->paths[i], CERT_PATH_SERVING)) {
            TRY(look_at_root(k, &k->paths[i]));
            TRY(look_at_end(k, &k->paths[i]));
        }
    }
    return RC_OK;
}

enum rc doctor_certificates(const struct config *c, const char *path, struct doctor_report *r)
{
    struct cert_path *paths = NULL;
    size_t n = 0;
    FILE *errors = fopen("/dev/null", "we"); /* config_load() has said them */

    if (errors == NULL) {
        return RC_NO_FILES;
    }
    enum rc rc = cert_paths_load(path, errors, &paths, &n);
    (void)fclose(errors);
    for (size_t i = 0; i < c->n_listeners && rc == RC_OK; i++) {
        const struct config_listener *l = &c->listeners[i];
        const struct look k = {.l = l, .paths = paths, .n_paths = n, .r = r};
        if (l->certs != NULL) {
            rc = look_at_listener(&k);
            look_at_roots_end("listener", l->name, cert_set_roots_expiry(l->certs), path, r);
            doctor_looked(r, "the certificates of listener %s", l->name);
        }
    }
    for (size_t i = 0; i < c->n_upstreams && rc == RC_OK; i++) {
        const struct config_upstream *u = &c->upstreams[i];
        if (u->roots != NULL) {
            look_at_roots_end("upstream", u->opts.name, root_set_expiry(u->roots), path, r);
        }
    }
    cert_paths_free(&paths, n);
    return rc == RC_NO_MEMORY ? rc : RC_OK;
}
