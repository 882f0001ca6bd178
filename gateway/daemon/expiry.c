/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/expiry.h"

#include <stdlib.h>
#include <string.h>

#include "certs/cert_time.h"
#include "core/base/log.h"

#define DAY_S 86400

struct expiry_row {
    enum expiry_kind kind;
    char *owner; /* owned */
    int64_t expiry;
    enum expiry_stage said;
};

static enum expiry_stage stage_of(int64_t expiry, int64_t now)
{
    int64_t left = expiry - now;

    if (left <= 0) {
        return EXPIRY_OVER;
    }
    if (left <= DAY_S) {
        return EXPIRY_IN_1_DAY;
    }
    if (left <= 7 * DAY_S) {
        return EXPIRY_IN_7_DAYS;
    }
    return left <= 30 * DAY_S ? EXPIRY_IN_30_DAYS : EXPIRY_FAR;
}

static struct expiry_row *find(const struct expiry_watch *w, enum expiry_kind kind,
                               const char *owner)
{
    for (size_t i = 0; i < w->n; i++) {
        if (w->rows[i].kind == kind && strcmp(w->rows[i].owner, owner) == 0) {
            return &w->rows[i];
        }
    }
    return NULL;
}

static struct expiry_row *add(struct expiry_watch *w, enum expiry_kind kind, const char *owner)
{
    char *copy = strdup(owner);
    struct expiry_row *rows = copy != NULL ? realloc(w->rows, (w->n + 1) * sizeof(*rows)) : NULL;

    if (rows == NULL) {
        free(copy);
        return NULL;
    }
    w->rows = rows;
    rows[w->n] = (struct expiry_row){.kind = kind, .owner = copy};
    return &rows[w->n++];
}

enum expiry_stage expiry_watch_note(struct expiry_watch *w, enum expiry_kind kind,
                                    const char *owner, int64_t expiry, int64_t now)
{
    enum expiry_stage stage = stage_of(expiry, now);
    struct expiry_row *row = find(w, kind, owner);

    if (row == NULL && stage != EXPIRY_FAR) { /* only what was said has to be remembered */
        row = add(w, kind, owner);
    }
    if (row == NULL) {
        return EXPIRY_FAR;
    }
    if (row->expiry != expiry) {
        row->expiry = expiry;
        row->said = EXPIRY_FAR;
    }
    if (stage <= row->said) {
        return EXPIRY_FAR;
    }
    row->said = stage;
    return stage;
}

static void look_at(struct expiry_watch *w, enum expiry_kind kind, const char *owner,
                    int64_t expiry, int64_t now)
{
    static const char *const what[] = {
        [EXPIRY_SERVING] = "a serving certificate of the listener",
        [EXPIRY_CLIENT_ROOTS] = "the last of the client roots of the listener",
        [EXPIRY_UPSTREAM_ROOTS] = "the last of the roots of the upstream",
    };
    char end[CERT_TIME_BYTES];

    if (expiry == 0) { /* there is none */
        return;
    }
    enum expiry_stage stage = expiry_watch_note(w, kind, owner, expiry, now);
    cert_format_time(expiry, end);
    if (stage == EXPIRY_OVER) {
        log_event(LOG_ERROR, "certificate has expired", LOG_S("what", what[kind]),
                  LOG_S("name", owner), LOG_S("expired", end));
    } else if (stage != EXPIRY_FAR) {
        log_event(LOG_WARNING, "certificate expires soon", LOG_S("what", what[kind]),
                  LOG_S("name", owner), LOG_S("expires", end),
                  LOG_I("days_left", (expiry - now) / DAY_S));
    }
}

void expiry_watch_look(struct expiry_watch *w, const struct generation *g, int64_t now)
{
    /* Names that are gone are forgotten, and the rest with them: reloads must not fill memory. */
    if (w->n > 2 * g->config->n_listeners + g->config->n_upstreams) {
        expiry_watch_fini(w);
    }
    for (size_t i = 0; i < g->config->n_listeners; i++) {
        const struct config_listener *l = &g->config->listeners[i];
        if (l->certs != NULL) {
            look_at(w, EXPIRY_SERVING, l->name, cert_set_expiry(l->certs), now);
            look_at(w, EXPIRY_CLIENT_ROOTS, l->name, cert_set_roots_expiry(l->certs), now);
        }
    }
    for (size_t i = 0; i < g->config->n_upstreams; i++) {
        const struct upstream *u = g->upstreams[i];
        if (u->roots != NULL) {
            look_at(w, EXPIRY_UPSTREAM_ROOTS, u->opts.name, root_set_expiry(u->roots), now);
        }
    }
}

void expiry_watch_fini(struct expiry_watch *w)
{
    for (size_t i = 0; i < w->n; i++) {
        free(w->rows[i].owner);
    }
    free(w->rows);
    *w = (struct expiry_watch){.n = 0};
}
