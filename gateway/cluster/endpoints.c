/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table: a row for each service that is followed, with the upstreams that want its addresses.
 * Rows are made and freed by the cluster's thread, with the lock held, because others look at them.
 */
#include "gateway/cluster/endpoints.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/list.h"
#include "core/base/log.h"
#include "gateway/cluster/follow.h"

#define ENDPOINTS_MAGIC 0xe4d90175u
#define ROW_MAGIC 0xe4d90120u

/* The thread looks again that often; also what memory was missing for is tried again then. */
#define LOOK_S 1.0

#define NOT_YET "Kubernetes has not answered yet"

/* A set of upstreams. */
struct users {
    struct upstream **list; /* owned; references */
    size_t n;
};

struct row {
    uint32_t magic;
    struct list node;
    struct endpoints *owner; /* borrowed */
    struct upstream *model;  /* shared (ref); whose discovery this is */
    struct follow *follow;   /* owned */
    struct users users;
    bool told_cut;
    double due;      /* when addresses are given; 0: nothing new */
    double some_due; /* when some of the first ones are, if not all are known; 0: none are */
    struct endpoints_state state;
};

struct endpoints {
    uint32_t magic;
    endpoints_heard_fn *heard;
    void *arg;
    pthread_mutex_t lock; /* of fresh, has_fresh, rows with their users and states */
    pthread_cond_t told;
    struct users fresh;
    bool has_fresh;
    struct list rows;
    /* The thread's own: */
    struct service_found found;
};

/* ---- upstreams ---- */

static void free_users(struct users *u)
{
    for (size_t i = 0; i < u->n; i++) {
        upstream_unref(&u->list[i]);
    }
    free(u->list);
    *u = (struct users){0};
}

static bool has_user(const struct users *users, const struct upstream *u)
{
    for (size_t i = 0; i < users->n; i++) {
        if (users->list[i] == u) {
            return true;
        }
    }
    return false;
}

static enum rc copy_users(struct upstream *const *upstreams, size_t n, struct users *out)
{
    *out = (struct users){.list = calloc(n + 1, sizeof(struct upstream *))};
    if (out->list == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        if (upstreams[i]->opts.discovery.on) {
            out->list[out->n++] = upstream_ref(upstreams[i]);
        }
    }
    return RC_OK;
}

/* ---- its life ---- */

enum rc endpoints_new(endpoints_heard_fn *heard, void *arg, struct endpoints **out)
{
    struct endpoints *e = calloc(1, sizeof(*e));
    pthread_condattr_t monotonic;

    if (e == NULL) {
        return RC_NO_MEMORY;
    }
    e->magic = ENDPOINTS_MAGIC;
    e->heard = heard;
    e->arg = arg;
    list_init(&e->rows);
    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&e->told, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *out = e;
    return RC_OK;
}

static void free_row(struct row *r)
{
    CHECK_MAGIC(r, ROW_MAGIC);
    list_del(&r->node);
    follow_free(&r->follow);
    free_users(&r->users);
    upstream_unref(&r->model);
    r->magic = 0;
    free(r);
}

void endpoints_free(struct endpoints **pe)
{
    struct endpoints *e = *pe;
    struct list *n;
    struct list *spare;

    *pe = NULL;
    if (e == NULL) {
        return;
    }
    CHECK_MAGIC(e, ENDPOINTS_MAGIC);
    LIST_FOREACH_SAFE(n, spare, &e->rows)
    {
        free_row(LIST_ENTRY(n, struct row, node));
    }
    free_users(&e->fresh);
    pthread_cond_destroy(&e->told);
    pthread_mutex_destroy(&e->lock);
    e->magic = 0;
    free(e);
}

/* ---- rows ---- */

/* Out of kube_turn(). */
static void on_changed(void *arg)
{
    struct row *r = arg;

    double at = clock_mono() + (r->state.n > 0 ? ENDPOINTS_GATHER_S : 0);

    CHECK_MAGIC(r, ROW_MAGIC);
    if (r->due == 0 || at < r->due) {
        r->due = at;
    }
}

static void on_heard(void *arg, bool heard)
{
    const struct row *r = arg;

    r->owner->heard(r->owner->arg, heard);
}

static enum rc add_row(struct endpoints *e, struct upstream *u, struct row **out)
{
    static const struct follow_ops ops = {on_changed, on_heard};
    struct row *r = calloc(1, sizeof(*r));

    if (r == NULL || follow_new(&u->opts.discovery, &ops, r, &r->follow) != RC_OK) {
        free(r);
        return RC_NO_MEMORY;
    }
    r->magic = ROW_MAGIC;
    r->owner = e;
    r->model = upstream_ref(u);
    (void)snprintf(r->state.why, sizeof(r->state.why), "%s", NOT_YET);
    list_add_tail(&e->rows, &r->node);
    *out = r;
    return RC_OK;
}

static struct row *find_row(struct endpoints *e, const struct upstream *u)
{
    for (struct list *n = e->rows.next; n != &e->rows; n = n->next) {
        struct row *r = LIST_ENTRY(n, struct row, node);
        if (upstream_same_discovery(&r->model->opts.discovery, &u->opts.discovery)) {
            return r;
        }
    }
    return NULL;
}

static enum rc add_user(struct endpoints *e, struct upstream *u)
{
    struct row *r = find_row(e, u);

    if (r == NULL) {
        TRY(add_row(e, u, &r));
    }
    struct upstream **list = realloc(r->users.list, (r->users.n + 1) * sizeof(struct upstream *));
    if (list == NULL) {
        return RC_NO_MEMORY;
    }
    r->users.list = list;
    r->users.list[r->users.n++] = upstream_ref(u);
    r->due = clock_mono(); /* it gets what is known */
    return RC_OK;
}

/* Give the rows their new users; those that are left without go. Returns how many upstreams are
 * left out for want of memory. */
static size_t share_out(struct endpoints *e, const struct users *fresh)
{
    size_t missing = 0;
    struct list *n;
    struct list *spare;

    for (n = e->rows.next; n != &e->rows; n = n->next) {
        free_users(&LIST_ENTRY(n, struct row, node)->users);
    }
    for (size_t i = 0; i < fresh->n; i++) {
        missing += add_user(e, fresh->list[i]) != RC_OK;
    }
    LIST_FOREACH_SAFE(n, spare, &e->rows)
    {
        struct row *r = LIST_ENTRY(n, struct row, node);
        if (r->users.n == 0) {
            free_row(r);
        }
    }
    return missing;
}

static void take_fresh(struct endpoints *e)
{
    struct users fresh = {0};
    size_t missing = 0;

    pthread_mutex_lock(&e->lock);
    if (e->has_fresh) {
        fresh = e->fresh;
        e->fresh = (struct users){0};
        e->has_fresh = false;
        missing = share_out(e, &fresh);
    }
    pthread_mutex_unlock(&e->lock);
    free_users(&fresh);
    if (missing > 0) {
        log_event(LOG_ERROR, "upstreams are not followed until the next reload",
                  LOG_S("reason", rc_text(RC_NO_MEMORY)), LOG_I("upstreams", missing));
    }
}

/* ---- giving addresses ---- */

static enum rc give(struct upstream *u, const struct service_found *found)
{
    struct address_set *old = upstream_addresses(u);
    bool same = address_set_has_all(old, found->addrs, found->n);
    bool same_pods = same && address_set_has_pods(old, found->addrs, found->pods, found->n);

    address_set_unref(&old);
    if (found->n == 0) {
        upstream_set_health(u, UPSTREAM_UNUSABLE); /* nobody else would find out */
    }
    if (same_pods) {
        return RC_OK;
    }
    TRY(upstream_set_addresses(u, found->addrs, found->pods, found->n));
    if (!same) {
        log_event(LOG_INFO, "upstream addresses changed", LOG_S("upstream", u->opts.name),
                  LOG_I("addresses", found->n));
    }
    return RC_OK;
}

static void tell(const struct row *r, const char *what, const char *why)
{
    const struct upstream_discovery *d = &r->model->opts.discovery;
    char name[160];

    (void)snprintf(name, sizeof(name), "%s/%s", d->ns, d->service);
    log_event(LOG_WARNING, what, LOG_S("service", name), LOG_S("reason", why));
}

static void set_state(struct row *r, const struct endpoints_state *s)
{
    pthread_mutex_lock(&r->owner->lock);
    r->state = *s;
    (void)pthread_cond_broadcast(&r->owner->told);
    pthread_mutex_unlock(&r->owner->lock);
}

/* The watches as they are now; client_why: there is no client. */
static void note_watches(const struct row *r, const char *client_why, struct endpoints_state *s)
{
    const char *why = client_why;

    s->current = client_why == NULL && follow_is_current(r->follow, &why);
    if (!s->current) {
        (void)snprintf(s->why, sizeof(s->why), "%s", why);
    }
}

/* Some of the first addresses are known. A moment later it may be all: whoever comes first should
 * not all go to the same one. */
static bool has_waited(struct row *r, double now)
{
    if (r->some_due == 0) {
        r->some_due = now + ENDPOINTS_NODES_S;
    }
    if (now < r->some_due) {
        r->due = r->some_due;
    }
    return now >= r->some_due;
}

/* Are there addresses to be given? */
static bool find_addresses(struct row *r, double now)
{
    struct service_found *found = &r->owner->found;
    enum rc rc = service_addresses(follow_service(r->follow), found);

    return rc == RC_OK || (found->n > 0 && (r->state.known || has_waited(r, now)));
}

static void tell_what_is_odd(struct row *r, const struct service_found *found)
{
    if (found->n == 0 && (!r->state.known || r->state.n > 0)) {
        tell(r, "a service has no endpoints", found->why);
    }
    if (found->cut && !r->told_cut) {
        tell(r, "a service has more endpoints than are used",
             "it has more addresses, slices or nodes than are followed");
    }
    r->told_cut = found->cut;
}

/* Returns RC_NO_MEMORY when some upstream did not get them. */
static enum rc publish(struct row *r, const char *client_why, double now)
{
    struct endpoints_state s = {.known = r->state.known, .n = r->state.n};
    const struct service_found *found = &r->owner->found;
    enum rc rc = RC_OK;

    note_watches(r, client_why, &s);
    if (find_addresses(r, now)) {
        tell_what_is_odd(r, found);
        s.known = true;
        s.n = found->n;
        for (size_t i = 0; i < r->users.n; i++) {
            rc = give(r->users.list[i], found) == RC_OK ? rc : RC_NO_MEMORY;
        }
        if (found->n == 0) {
            memcpy(s.why, found->why, sizeof(s.why));
        }
    }
    set_state(r, &s);
    return rc;
}

/* Seconds until this row has something to do. */
static double turn_row(struct row *r, struct kube *k, const char *why, double now)
{
    const char *client_why = k == NULL ? why : NULL;

    if (k != NULL) {
        follow_look(r->follow, k, now);
    }
    if (client_why != NULL && !r->state.known &&
        strncmp(r->state.why, why, SERVICE_WHY_BYTES - 1) != 0) {
        r->due = now;
    }
    if (r->due > 0 && now >= r->due) {
        r->due = 0;
        if (publish(r, client_why, now) != RC_OK) {
            r->due = now + LOOK_S;
        } else if (k != NULL) {
            follow_look(r->follow, k, now); /* nodes that are new */
        }
    }
    return r->due > 0 ? r->due - now : LOOK_S;
}

double endpoints_turn(struct endpoints *e, struct kube *k, const char *why, double now)
{
    double pause = LOOK_S;

    CHECK_MAGIC(e, ENDPOINTS_MAGIC);
    take_fresh(e);
    for (struct list *n = e->rows.next; n != &e->rows; n = n->next) {
        double one = turn_row(LIST_ENTRY(n, struct row, node), k, why, now);
        pause = one < pause ? one : pause;
    }
    return pause > 0 ? pause : 0;
}

void endpoints_forget_client(struct endpoints *e)
{
    CHECK_MAGIC(e, ENDPOINTS_MAGIC);
    for (struct list *n = e->rows.next; n != &e->rows; n = n->next) {
        struct row *r = LIST_ENTRY(n, struct row, node);
        follow_close(r->follow);
        on_changed(r);
    }
}

void endpoints_forget_cluster(struct endpoints *e)
{
    CHECK_MAGIC(e, ENDPOINTS_MAGIC);
    for (struct list *n = e->rows.next; n != &e->rows; n = n->next) {
        struct row *r = LIST_ENTRY(n, struct row, node);
        const struct endpoints_state s = {.why = NOT_YET};
        follow_forget(r->follow);
        r->due = 0;
        r->some_due = 0;
        set_state(r, &s);
    }
}

/* ---- any thread ---- */

enum rc endpoints_set(struct endpoints *e, struct upstream *const *upstreams, size_t n)
{
    struct users fresh;

    CHECK_MAGIC(e, ENDPOINTS_MAGIC);
    TRY(copy_users(upstreams, n, &fresh));
    pthread_mutex_lock(&e->lock);
    struct users unused = e->fresh;
    e->fresh = fresh;
    e->has_fresh = true;
    pthread_mutex_unlock(&e->lock);
    free_users(&unused);
    return RC_OK;
}

bool endpoints_look(struct endpoints *e, const struct upstream *u, struct endpoints_state *out)
{
    CHECK_MAGIC(e, ENDPOINTS_MAGIC);
    pthread_mutex_lock(&e->lock);
    const struct row *r = find_row(e, u);
    bool found = e->has_fresh ? has_user(&e->fresh, u) : r != NULL && has_user(&r->users, u);
    if (found && r != NULL) {
        *out = r->state;
    } else if (found) {
        *out = (struct endpoints_state){.why = NOT_YET};
    }
    pthread_mutex_unlock(&e->lock);
    return found;
}

/* The lock is held. */
static bool all_known(const struct endpoints *e, char *why)
{
    if (e->has_fresh && e->fresh.n > 0) {
        (void)snprintf(why, SERVICE_WHY_BYTES, "%s", NOT_YET);
        return false;
    }
    for (struct list *n = e->rows.next; n != &e->rows; n = n->next) {
        const struct row *r = LIST_ENTRY(n, struct row, node);
        if (!r->state.known) {
            memcpy(why, r->state.why, SERVICE_WHY_BYTES);
            return false;
        }
    }
    return true;
}

bool endpoints_await(struct endpoints *e, double seconds, char *why)
{
    struct timespec until;
    int rc = 0;

    CHECK_MAGIC(e, ENDPOINTS_MAGIC);
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)seconds;
    pthread_mutex_lock(&e->lock);
    bool known = all_known(e, why);
    while (!known && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&e->told, &e->lock, &until);
        known = all_known(e, why);
    }
    pthread_mutex_unlock(&e->lock);
    return known;
}
