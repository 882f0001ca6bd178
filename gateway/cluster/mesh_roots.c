/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cluster/mesh_roots.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "kube/path.h"
#include "kube/watch.h"

#define MESH_ROOTS_MAGIC 0x3e580075u

/* The thread looks again that often. */
#define LOOK_S 1.0

/* What could not be taken for want of memory is asked for again. */
#define AGAIN_S 5.0

#define NOT_YET "Kubernetes has not answered yet"

/* A namespace, a slash, and the name. */
#define PLACE_BYTES 300

struct mesh_roots {
    uint32_t magic;
    mesh_roots_heard_fn *heard;
    void *arg;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t told;
    char *fresh; /* owned; the namespace that is wanted */
    bool has_fresh;
    bool wanted;            /* mesh_roots_set() has named one */
    bool current;           /* changes are told */
    bool refused;           /* an API server has answered, but not with roots */
    struct root_list *list; /* shared (ref); NULL: not known */
    char why[MESH_ROOTS_WHY_BYTES];
    /* The thread's own: */
    char *ns;                       /* owned; NULL: none */
    struct kube_watch *watch;       /* owned; NULL: to be begun */
    bool bad;                       /* it does not work; was logged */
    char odd[MESH_ROOTS_WHY_BYTES]; /* what cannot be read; was logged */
    double again_at;                /* begin anew; 0: no need to */
};

/* ---- its life ---- */

enum rc mesh_roots_new(mesh_roots_heard_fn *heard, void *arg, struct mesh_roots **out)
{
    struct mesh_roots *m = calloc(1, sizeof(*m));
    pthread_condattr_t monotonic;

    if (m == NULL) {
        return RC_NO_MEMORY;
    }
    m->magic = MESH_ROOTS_MAGIC;
    m->heard = heard;
    m->arg = arg;
    (void)snprintf(m->why, sizeof(m->why), "%s", NOT_YET);
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&m->told, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *out = m;
    return RC_OK;
}

void mesh_roots_free(struct mesh_roots **pm)
{
    struct mesh_roots *m = *pm;

    *pm = NULL;
    if (m == NULL) {
        return;
    }
    CHECK_MAGIC(m, MESH_ROOTS_MAGIC);
    kube_watch_close(&m->watch);
    root_list_unref(&m->list);
    free(m->fresh);
    free(m->ns);
    pthread_cond_destroy(&m->told);
    pthread_mutex_destroy(&m->lock);
    m->magic = 0;
    free(m);
}

/* ---- what is known ---- */

/* The reference is taken. */
static void set_list(struct mesh_roots *m, struct root_list *list)
{
    pthread_mutex_lock(&m->lock);
    struct root_list *old = m->list;
    m->list = list;
    (void)pthread_cond_broadcast(&m->told);
    pthread_mutex_unlock(&m->lock);
    root_list_unref(&old);
}

static void set_state(struct mesh_roots *m, bool current, bool refused, const char *why)
{
    pthread_mutex_lock(&m->lock);
    m->current = current;
    m->refused = refused;
    (void)snprintf(m->why, sizeof(m->why), "%s", why);
    (void)pthread_cond_broadcast(&m->told);
    pthread_mutex_unlock(&m->lock);
}

static void write_place(const struct mesh_roots *m, char place[PLACE_BYTES])
{
    (void)snprintf(place, PLACE_BYTES, "%s/" MESH_ROOTS_NAME, m->ns);
}

/* ---- what the watch brings ---- */

enum rc mesh_roots_read(const json_t *map, struct root_list **out, char *why)
{
    const char *pem = map != NULL ? doc_text(map, "data", MESH_ROOTS_KEY, NULL) : NULL;
    struct cert_error err;

    if (map == NULL) {
        return root_list_new(out);
    }
    if (pem == NULL) {
        (void)snprintf(why, MESH_ROOTS_WHY_BYTES, "it has no text under " MESH_ROOTS_KEY);
        return RC_INVALID;
    }
    enum rc rc = root_list_parse(pem, strlen(pem), out, &err);
    if (rc == RC_INVALID) {
        (void)snprintf(why, MESH_ROOTS_WHY_BYTES, "its " MESH_ROOTS_KEY " %s", err.text);
    }
    return rc;
}

/* Said once for each thing that is wrong. */
static void tell_odd(struct mesh_roots *m, const char *why)
{
    char place[PLACE_BYTES];

    if (strcmp(m->odd, why) != 0 && why[0] != '\0') {
        write_place(m, place);
        log_event(LOG_WARNING, "roots of the mesh cannot be read", LOG_S("configmap", place),
                  LOG_S("reason", why));
    }
    (void)snprintf(m->odd, sizeof(m->odd), "%s", why);
}

/* The reference is taken. */
static void take_list(struct mesh_roots *m, struct root_list *list)
{
    char place[PLACE_BYTES];

    if (root_list_same(m->list, list)) { /* written by this thread only */
        root_list_unref(&list);
        return;
    }
    write_place(m, place);
    log_event(LOG_INFO, "roots of the mesh", LOG_S("configmap", place),
              LOG_I("roots", root_list_count(list)));
    set_list(m, list);
}

/* object: NULL: it is not there. */
static void take(struct mesh_roots *m, const json_t *object)
{
    char why[MESH_ROOTS_WHY_BYTES] = "";
    struct root_list *list = NULL;

    enum rc rc = mesh_roots_read(object, &list, why);
    if (rc == RC_NO_MEMORY) {
        m->again_at = clock_mono() + AGAIN_S;
        return;
    }
    if (rc == RC_OK) {
        take_list(m, list);
        (void)snprintf(why, sizeof(why), "%s", object == NULL ? "it is not there" : "");
    }
    tell_odd(m, why);
    set_state(m, !m->bad && why[0] == '\0', why[0] != '\0', why);
}

static void on_list(void *arg, const json_t *items)
{
    struct mesh_roots *m = arg;

    CHECK_MAGIC(m, MESH_ROOTS_MAGIC);
    take(m, json_array_get(items, 0));
}

static void on_change(void *arg, enum kube_change change, const json_t *object)
{
    struct mesh_roots *m = arg;

    CHECK_MAGIC(m, MESH_ROOTS_MAGIC);
    take(m, change == KUBE_DELETED ? NULL : object);
}

static void tell_bad(const struct mesh_roots *m, int status, const char *why)
{
    char place[PLACE_BYTES];

    write_place(m, place);
    if (status == 403) {
        log_event(LOG_WARNING, "roots of the mesh cannot be followed", LOG_S("configmap", place),
                  LOG_S("reason", why),
                  LOG_S("missing", "the right to list and watch this ConfigMap: "
                                   "deploy/rbac-roots.yaml"));
    } else {
        log_event(LOG_WARNING, "roots of the mesh cannot be followed", LOG_S("configmap", place),
                  LOG_S("reason", why));
    }
}

static void tell_good(const struct mesh_roots *m)
{
    char place[PLACE_BYTES];

    write_place(m, place);
    log_event(LOG_INFO, "roots of the mesh are followed again", LOG_S("configmap", place));
}

static void on_state(void *arg, bool ok, int status, const char *why)
{
    struct mesh_roots *m = arg;
    bool heard = ok || kube_is_heard(status);

    CHECK_MAGIC(m, MESH_ROOTS_MAGIC);
    if (ok && m->bad) {
        tell_good(m);
    } else if (!ok && !m->bad) {
        tell_bad(m, status, why);
    }
    m->bad = !ok;
    bool odd = m->odd[0] != '\0';
    set_state(m, ok && !odd, ok ? odd : heard, ok ? m->odd : why);
    m->heard(m->arg, heard);
}

static void on_end(void *arg)
{
    struct mesh_roots *m = arg;

    CHECK_MAGIC(m, MESH_ROOTS_MAGIC);
    if (!m->bad) {
        tell_bad(m, 0, rc_text(RC_NO_MEMORY));
    }
    m->bad = true;
    m->again_at = clock_mono() + AGAIN_S;
    set_state(m, false, false, rc_text(RC_NO_MEMORY));
}

/* ---- the watch ---- */

static void close_watch(struct mesh_roots *m)
{
    kube_watch_close(&m->watch);
    m->again_at = 0;
}

void mesh_roots_forget_client(struct mesh_roots *m)
{
    CHECK_MAGIC(m, MESH_ROOTS_MAGIC);
    close_watch(m);
    set_state(m, false, false, NOT_YET);
}

void mesh_roots_forget_cluster(struct mesh_roots *m)
{
    mesh_roots_forget_client(m);
    m->bad = false;
    m->odd[0] = '\0';
    set_list(m, NULL);
}

/* What mesh_roots_set() wants. */
static void take_fresh(struct mesh_roots *m)
{
    pthread_mutex_lock(&m->lock);
    bool has_fresh = m->has_fresh;
    char *ns = m->fresh;
    m->fresh = NULL;
    m->has_fresh = false;
    pthread_mutex_unlock(&m->lock);
    bool same = ns != NULL && m->ns != NULL ? strcmp(ns, m->ns) == 0 : ns == m->ns;
    if (!has_fresh || same) {
        free(ns);
        return;
    }
    mesh_roots_forget_cluster(m);
    free(m->ns);
    m->ns = ns;
}

static enum rc make_path(const struct mesh_roots *m, char *path)
{
    TRY(kube_path_make(KUBE_CONFIG_MAP, 0, m->ns, NULL, path));
    return kube_path_query(path, "fieldSelector", "metadata.name=" MESH_ROOTS_NAME);
}

static void begin_watch(struct mesh_roots *m, struct kube *k)
{
    static const struct kube_watch_ops ops = {on_list, on_change, on_state, on_end};
    char path[KUBE_PATH_BYTES];
    const struct kube_watch_opts opts = {.path = path, .ops = &ops, .arg = m};

    if (make_path(m, path) == RC_OK && kube_watch_open(k, &opts, &m->watch) != RC_OK) {
        m->watch = NULL; /* for want of memory: with the next turn */
    }
}

double mesh_roots_turn(struct mesh_roots *m, struct kube *k, double now)
{
    CHECK_MAGIC(m, MESH_ROOTS_MAGIC);
    take_fresh(m);
    if (m->again_at > 0 && now >= m->again_at) {
        close_watch(m);
    }
    if (k != NULL && m->ns != NULL && m->watch == NULL) {
        begin_watch(m, k);
    }
    return LOOK_S;
}

/* ---- any thread ---- */

enum rc mesh_roots_set(struct mesh_roots *m, const char *ns)
{
    char *copy = ns != NULL ? strdup(ns) : NULL;

    CHECK_MAGIC(m, MESH_ROOTS_MAGIC);
    if (ns != NULL && copy == NULL) {
        return RC_NO_MEMORY;
    }
    pthread_mutex_lock(&m->lock);
    char *unused = m->fresh;
    m->fresh = copy;
    m->has_fresh = true;
    m->wanted = copy != NULL;
    pthread_mutex_unlock(&m->lock);
    free(unused);
    return RC_OK;
}

struct root_list *mesh_roots_take(struct mesh_roots *m)
{
    CHECK_MAGIC(m, MESH_ROOTS_MAGIC);
    pthread_mutex_lock(&m->lock);
    struct root_list *list = root_list_ref(m->list);
    pthread_mutex_unlock(&m->lock);
    return list;
}

bool mesh_roots_is_current(struct mesh_roots *m, bool *wanted)
{
    CHECK_MAGIC(m, MESH_ROOTS_MAGIC);
    pthread_mutex_lock(&m->lock);
    bool current = m->current;
    *wanted = m->wanted;
    pthread_mutex_unlock(&m->lock);
    return current;
}

/* The lock is held. */
static bool is_settled(const struct mesh_roots *m)
{
    return !m->wanted || m->list != NULL || m->refused;
}

bool mesh_roots_await(struct mesh_roots *m, double seconds, char *why)
{
    struct timespec until;
    int rc = 0;

    CHECK_MAGIC(m, MESH_ROOTS_MAGIC);
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)seconds;
    pthread_mutex_lock(&m->lock);
    while (!is_settled(m) && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&m->told, &m->lock, &until);
    }
    bool settled = is_settled(m);
    memcpy(why, m->why, MESH_ROOTS_WHY_BYTES);
    pthread_mutex_unlock(&m->lock);
    return settled;
}
