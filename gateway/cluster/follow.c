/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cluster/follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "gateway/cluster/service_path.h"
#include "kube/watch.h"

#define FOLLOW_MAGIC 0xf0110e11u
#define PART_MAGIC 0xf0112a47u

/* What could not be taken, for want of memory or sense, is asked for again. */
#define AGAIN_S 5.0

/* One watch. */
struct part {
    uint32_t magic;
    struct follow *follow; /* borrowed */
    enum kube_kind kind;
    char name[SERVICE_NODE_NAME_BYTES]; /* of a node */
    struct kube_watch *watch;           /* owned; NULL: to be begun */
    bool listed;                        /* since then */
    bool bad;                           /* does not work; was logged */
    double again_at;                    /* begin anew; 0: no need to */
    char why[SERVICE_WHY_BYTES];        /* it does not work */
};

struct follow {
    uint32_t magic;
    const struct upstream_discovery *discovery; /* borrowed */
    const struct follow_ops *ops;
    void *arg;
    struct service *service; /* owned */
    struct part slices;
    struct part object;
    struct part *nodes[SERVICE_NODES_MAX]; /* owned */
    size_t n_nodes;
};

/* ---- its life ---- */

static bool wants_nodes(const struct follow *f)
{
    return f->discovery->addresses == UPSTREAM_NODES;
}

enum rc follow_new(const struct upstream_discovery *discovery, const struct follow_ops *ops,
                   void *arg, struct follow **out)
{
    struct follow *f = calloc(1, sizeof(*f));

    if (f == NULL || service_new(discovery, &f->service) != RC_OK) {
        free(f);
        return RC_NO_MEMORY;
    }
    f->magic = FOLLOW_MAGIC;
    f->discovery = discovery;
    f->ops = ops;
    f->arg = arg;
    f->slices = (struct part){.magic = PART_MAGIC, .follow = f, .kind = KUBE_ENDPOINT_SLICE};
    f->object = (struct part){.magic = PART_MAGIC, .follow = f, .kind = KUBE_SERVICE};
    *out = f;
    return RC_OK;
}

static void close_part(struct part *p)
{
    kube_watch_close(&p->watch);
    p->listed = false;
    p->again_at = 0;
}

static void remove_node(struct follow *f, size_t i)
{
    close_part(f->nodes[i]);
    free(f->nodes[i]);
    f->nodes[i] = f->nodes[--f->n_nodes];
}

void follow_close(struct follow *f)
{
    CHECK_MAGIC(f, FOLLOW_MAGIC);
    close_part(&f->slices);
    close_part(&f->object);
    for (size_t i = 0; i < f->n_nodes; i++) {
        close_part(f->nodes[i]);
    }
}

static void forget_part(struct part *p)
{
    p->bad = false;
    p->why[0] = '\0';
}

void follow_forget(struct follow *f)
{
    follow_close(f);
    while (f->n_nodes > 0) {
        remove_node(f, 0);
    }
    forget_part(&f->slices);
    forget_part(&f->object);
    service_forget(f->service);
}

void follow_free(struct follow **pf)
{
    struct follow *f = *pf;

    *pf = NULL;
    if (f == NULL) {
        return;
    }
    follow_close(f);
    while (f->n_nodes > 0) {
        remove_node(f, 0);
    }
    service_free(&f->service);
    f->magic = 0;
    free(f);
}

const struct service *follow_service(const struct follow *f)
{
    CHECK_MAGIC(f, FOLLOW_MAGIC);
    return f->service;
}

/* ---- what a watch brings ---- */

/* A list of one name: its only object, or none. */
static enum rc take_single(struct part *p, const json_t *object)
{
    return p->kind == KUBE_SERVICE ? service_set_object(p->follow->service, object)
                                   : service_set_node(p->follow->service, p->name, object);
}

static void end_change(struct part *p, enum rc rc)
{
    if (rc != RC_OK && rc != RC_FULL) {
        p->again_at = clock_mono() + AGAIN_S;
    }
    p->follow->ops->changed(p->follow->arg);
}

static void on_list(void *arg, const json_t *items)
{
    struct part *p = arg;
    enum rc rc = RC_OK;

    CHECK_MAGIC(p, PART_MAGIC);
    if (p->kind == KUBE_ENDPOINT_SLICE) {
        rc = service_list_slices(p->follow->service, items);
    } else {
        rc = take_single(p, json_array_get(items, 0));
    }
    p->listed = p->listed || rc == RC_OK;
    end_change(p, rc);
}

static void on_change(void *arg, enum kube_change change, const json_t *object)
{
    struct part *p = arg;
    enum rc rc = RC_OK;

    CHECK_MAGIC(p, PART_MAGIC);
    if (p->kind == KUBE_ENDPOINT_SLICE) {
        rc = service_change_slice(p->follow->service, change, object);
    } else {
        rc = take_single(p, change == KUBE_DELETED ? NULL : object);
    }
    end_change(p, rc);
}

static void tell(const struct part *p, bool ok, const char *why)
{
    const struct upstream_discovery *d = p->follow->discovery;
    char name[160];

    (void)snprintf(name, sizeof(name), "%s/%s", d->ns, d->service);
    if (ok) {
        log_event(LOG_INFO, "endpoints of a service are followed again", LOG_S("service", name),
                  LOG_S("watch", kube_kind_plural(p->kind)));
    } else {
        log_event(LOG_WARNING, "endpoints of a service cannot be followed", LOG_S("service", name),
                  LOG_S("watch", kube_kind_plural(p->kind)), LOG_S("reason", why));
    }
}

static void on_state(void *arg, bool ok, int status, const char *why)
{
    struct part *p = arg;

    CHECK_MAGIC(p, PART_MAGIC);
    if (p->bad == ok) {
        tell(p, ok, why);
    }
    p->bad = !ok;
    (void)snprintf(p->why, sizeof(p->why), "%s", why);
    p->follow->ops->heard(p->follow->arg, ok || kube_is_heard(status));
    p->follow->ops->changed(p->follow->arg);
}

static void on_end(void *arg)
{
    struct part *p = arg;

    CHECK_MAGIC(p, PART_MAGIC);
    if (!p->bad) {
        tell(p, false, rc_text(RC_NO_MEMORY));
    }
    p->bad = true;
    (void)snprintf(p->why, sizeof(p->why), "%s", rc_text(RC_NO_MEMORY));
    end_change(p, RC_NO_MEMORY);
}

/* ---- the watches ---- */

static void look_at(struct part *p, struct kube *k, double now)
{
    static const struct kube_watch_ops ops = {on_list, on_change, on_state, on_end};
    char path[KUBE_PATH_BYTES];
    const struct kube_watch_opts opts = {.path = path, .ops = &ops, .arg = p};

    if (p->again_at > 0 && now >= p->again_at) {
        close_part(p);
    }
    if (p->watch != NULL || service_path(p->follow->discovery, p->kind, p->name, path) != RC_OK) {
        return;
    }
    if (kube_watch_open(k, &opts, &p->watch) != RC_OK) {
        p->watch = NULL; /* for want of memory: with the next look */
    }
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

static bool has_node(const struct follow *f, const char *name)
{
    for (size_t i = 0; i < f->n_nodes; i++) {
        if (strcmp(f->nodes[i]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void add_node(struct follow *f, const char *name)
{
    struct part *p = f->n_nodes < SERVICE_NODES_MAX ? calloc(1, sizeof(*p)) : NULL;

    if (p == NULL) {
        return;
    }
    *p = (struct part){.magic = PART_MAGIC, .follow = f, .kind = KUBE_NODE};
    (void)snprintf(p->name, sizeof(p->name), "%s", name);
    f->nodes[f->n_nodes++] = p;
}

static void look_at_nodes(struct follow *f, struct kube *k, double now)
{
    const char *names[SERVICE_NODES_MAX];
    size_t n;

    service_nodes(f->service, names, &n);
    for (size_t i = f->n_nodes; i > 0; i--) {
        if (!has_name(names, n, f->nodes[i - 1]->name)) {
            remove_node(f, i - 1);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!has_node(f, names[i])) {
            add_node(f, names[i]);
        }
    }
    for (size_t i = 0; i < f->n_nodes; i++) {
        look_at(f->nodes[i], k, now);
    }
}

void follow_look(struct follow *f, struct kube *k, double now)
{
    CHECK_MAGIC(f, FOLLOW_MAGIC);
    look_at(&f->slices, k, now);
    if (wants_nodes(f)) {
        look_at(&f->object, k, now);
        look_at_nodes(f, k, now);
    }
}

static bool works(const struct part *p, const char **why)
{
    if (p->bad || !p->listed) {
        *why = p->bad ? p->why : "Kubernetes has not answered yet";
        return false;
    }
    return true;
}

bool follow_is_current(const struct follow *f, const char **why)
{
    CHECK_MAGIC(f, FOLLOW_MAGIC);
    if (!works(&f->slices, why) || (wants_nodes(f) && !works(&f->object, why))) {
        return false;
    }
    for (size_t i = 0; i < f->n_nodes; i++) {
        if (!works(f->nodes[i], why)) {
            return false;
        }
    }
    return true;
}
