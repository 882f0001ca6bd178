/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The composition root: workers with their gates, the directory, the admin pages, and what signals
 * ask for. All of it is run by the main thread, which carries no VM's bytes.
 */
#include "gateway/daemon/daemon.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <ev.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/exit_code.h"
#include "core/base/log.h"
#include "core/base/protect.h"
#include "gateway/daemon/daemon_internal.h"
#include "gateway/daemon/notify.h"

#define STATUS_INTERVAL_S 5.0

/* For the first answers of Kubernetes in a handover; less than the old process waits. */
#define ENDPOINTS_WAIT_S 10.0

/* ---- calls into workers ---- */

struct call {
    enum rc (*fn)(struct gate *g, void *arg);
    struct gate *gate;
    void *arg;
    enum rc rc;
    sem_t done;
};

static void run_call(struct worker *w, void *arg)
{
    struct call *c = arg;

    (void)w;
    c->rc = c->fn(c->gate, c->arg);
    sem_post(&c->done);
}

/* Run on a worker and wait for the result. */
static enum rc call_gate(struct daemon *d, unsigned i, enum rc (*fn)(struct gate *g, void *arg),
                         void *arg)
{
    struct call c = {.fn = fn, .gate = d->gates[i], .arg = arg};

    sem_init(&c.done, 0, 0);
    enum rc rc = worker_post(d->workers[i], run_call, &c);
    if (rc == RC_OK) {
        while (sem_wait(&c.done) != 0) {
        }
        rc = c.rc;
    }
    sem_destroy(&c.done);
    return rc;
}

struct apply_arg {
    struct generation *generation;
    const struct gate_socket *sockets;
    size_t n;
};

static enum rc do_apply(struct gate *g, void *arg)
{
    const struct apply_arg *a = arg;
    return gate_apply(g, a->generation, a->sockets, a->n);
}

void daemon_call_all(struct daemon *d, enum rc (*fn)(struct gate *g, void *arg), void *arg)
{
    for (unsigned i = 0; i < d->n_workers; i++) {
        if (call_gate(d, i, fn, arg) != RC_OK) {
            log_event(LOG_ERROR, "a worker could not be told", LOG_I("worker", i));
        }
    }
}

/* ---- putting a configuration in force ---- */

void daemon_log_errors(char *text)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        log_event(LOG_ERROR, "configuration refused", LOG_S("error", line));
    }
}

/* Errors go to standard error at the start, to the old process in a handover, to the log later. */
static void say_errors(struct daemon *d, bool first, char *text)
{
    if (!first) {
        daemon_log_errors(text);
    } else if (d->sockets.inherited.control >= 0) {
        handover_refuse(&d->sockets.inherited, text);
    } else {
        (void)fputs(text, stderr);
    }
}

static enum rc read_config(struct daemon *d, bool first, struct config **out)
{
    char *text = NULL;
    size_t n = 0;
    FILE *errors = open_memstream(&text, &n);

    if (errors == NULL) {
        return RC_NO_MEMORY;
    }
    struct root_list *published = d->cluster != NULL ? cluster_roots(d->cluster) : NULL;
    enum rc rc = config_load_with(d->config_path, published, errors, out);
    root_list_unref(&published);
    (void)fclose(errors);
    if (text != NULL && n > 0) {
        say_errors(d, first, text);
    }
    free(text);
    return rc;
}

static enum rc apply_to_workers(struct daemon *d, struct generation *g, struct sockets_plan *plan)
{
    for (unsigned i = 0; i < d->n_workers; i++) {
        struct apply_arg a = {g, &plan->rows[i * plan->n], plan->n};
        TRY(call_gate(d, i, do_apply, &a));
    }
    return sockets_commit(&d->sockets, plan);
}

static struct admin_opts admin_opts_of(const struct config *c)
{
    return (struct admin_opts){
        .socket_path = c->admin.socket,
        .socket_mode = c->admin.socket_mode,
        .bind = c->admin.bind,
        .allow_remote = c->admin.allow_remote,
        .metrics_bind = c->admin.metrics_bind,
    };
}

enum rc daemon_start_admin(struct daemon *d, const struct config *c)
{
    char err[200] = "";
    struct admin_opts o = admin_opts_of(c);
    struct admin_source source = status_source(&d->status);

    enum rc rc = admin_start(&o, &source, &d->admin, err, sizeof(err));
    if (rc != RC_OK) {
        log_event(LOG_ERROR, "cannot serve the admin pages", LOG_S("detail", err));
    }
    return rc;
}

/* After a reload: where the new configuration wants them, else where they were. */
static enum rc move_admin(struct daemon *d, const struct config *now, const struct config *before)
{
    struct admin_opts o = admin_opts_of(now);

    if (d->admin != NULL && admin_same(d->admin, &o)) {
        return RC_OK;
    }
    admin_stop(&d->admin);
    enum rc rc = daemon_start_admin(d, now);
    if (rc != RC_OK && daemon_start_admin(d, before) == RC_OK) {
        log_event(LOG_WARNING, "the admin pages stay where they were");
    }
    return rc;
}

/* A generation was not put in force: the directory and the deny list are of the one before. */
static void go_back(struct daemon *d)
{
    struct generation *g = d->generation;

    if (g == NULL) {
        return;
    }
    if (directory_set(d->directory, g->upstreams, g->config->n_upstreams) != RC_OK) {
        log_event(LOG_ERROR, "host names of upstreams are not resolved until the next reload");
    }
    if (vms_use_deny_list(&d->vms, &g->config->registry) != RC_OK) {
        log_event(LOG_ERROR, "revoked VMs are kept in the file of the refused configuration");
    }
}

/* Where tokens and endpoints come from: from now on this cluster. */
static enum rc use_cluster(struct daemon *d, const struct config *c)
{
    const struct cluster_opts opts = {.kubeconfig = c->kubernetes.kubeconfig,
                                      .context = c->kubernetes.context};

    return cluster_use(d->cluster, c->kubernetes.on ? &opts : NULL);
}

/* From now on the threads beside the workers work for this generation. What fails is logged. */
static void follow_generation(struct daemon *d, struct generation *g)
{
    const struct config_kubernetes *k = &g->config->kubernetes;

    enum rc rc = use_cluster(d, g->config);
    if (rc != RC_OK) {
        log_event(LOG_ERROR, "Kubernetes is not asked until the next reload",
                  LOG_S("reason", rc_text(rc)));
    }
    rc = cluster_follow(d->cluster, g->upstreams, g->config->n_upstreams);
    if (rc != RC_OK) {
        log_event(LOG_ERROR, "endpoints are not discovered until the next reload",
                  LOG_S("reason", rc_text(rc)));
    }
    rc = cluster_watch_roots(d->cluster,
                             k->on && config_has_roots(g->config) ? k->istio_namespace : NULL);
    if (rc != RC_OK) {
        log_event(LOG_ERROR, "roots of the mesh are not followed until the next reload",
                  LOG_S("reason", rc_text(rc)));
    }
    if (guard_use(d->guard, g) != RC_OK) {
        log_event(LOG_ERROR, "nobody asks whom istiod believes until the next reload");
    }
}

/* What cannot be told by the file alone: it is refused when istiod answers, and believes VMs. */
static enum rc plan_it(struct daemon *d, const struct generation *g, struct sockets_plan *plan)
{
    char err[GUARD_WHY_BYTES] = "";
    enum rc rc = guard_look(g, GUARD_FIRST_LOOK_S, err) ? RC_OK : RC_INVALID;

    if (rc == RC_OK) {
        rc = sockets_plan(&d->sockets, g->config, plan, err, sizeof(err));
    }
    if (rc != RC_OK) {
        log_event(LOG_ERROR, "configuration refused", LOG_S("error", err));
    }
    return rc;
}

/* Make everything that can fail, then switch. The config is taken. */
static enum rc put_in_force(struct daemon *d, struct config *c)
{
    struct generation *g = NULL;
    struct sockets_plan plan = {0};

    TRY(generation_new(&c, d->generation, &g));
    enum rc rc = plan_it(d, g, &plan);
    if (rc != RC_OK) {
        generation_unref(&g);
        return rc;
    }
    rc = directory_set(d->directory, g->upstreams, g->config->n_upstreams);
    if (rc == RC_OK) { /* before anybody comes in by it */
        rc = vms_use_deny_list(&d->vms, &g->config->registry);
    }
    if (rc == RC_OK) {
        rc = apply_to_workers(d, g, &plan);
    }
    sockets_plan_free(&plan);
    if (rc != RC_OK) {
        go_back(d);
        generation_unref(&g);
        return rc;
    }
    follow_generation(d, g);
    vms_use(&d->vms, &g->config->registry);
    status_set_generation(&d->status, g);
    generation_unref(&d->generation);
    d->generation = g;
    return RC_OK;
}

static void tell_reload_begins(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    (void)notify_tell("RELOADING=1\nMONOTONIC_USEC=%lld",
                      (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
}

static enum rc use_log(const struct config *c)
{
    enum rc rc = log_setup(&c->log);

    if (rc != RC_OK) {
        log_event(LOG_ERROR, "the log file cannot be opened", LOG_S("log.file", c->log_file),
                  LOG_S("reason", strerror(errno)));
    }
    return rc;
}

static void follow_reload(struct daemon *d, const struct config *before)
{
    const struct config *now = d->generation->config;

    watch_mark(&d->watch, now->files_stamp);
    enum rc admin = move_admin(d, now, before);
    enum rc log = use_log(now);
    log_audit(log == RC_OK && admin == RC_OK ? LOG_INFO : LOG_WARNING, "configuration in force",
              "configuration", LOG_S("file", d->config_path),
              LOG_I("generation", d->generation->number), LOG_S("log", rc_text(log)),
              LOG_S("admin", rc_text(admin)));
}

static void reload(struct daemon *d, const char *why)
{
    struct config *c = NULL;
    struct generation *before = generation_ref(d->generation);

    tell_reload_begins();
    log_event(LOG_INFO, "reloading", LOG_S("because", why));
    watch_mark_now(&d->watch, d->generation->config->files);
    enum rc rc = read_config(d, false, &c);
    if (rc == RC_OK && c->workers != d->n_workers) {
        log_event(LOG_WARNING, "a changed number of workers needs a restart",
                  LOG_I("workers", d->n_workers));
    }
    if (rc == RC_OK) {
        rc = put_in_force(d, c);
    }
    if (rc == RC_OK) {
        follow_reload(d, before->config);
    } else {
        log_event(LOG_ERROR, "the old configuration stays in force", LOG_S("reason", rc_text(rc)));
    }
    status_count_reload(&d->status, rc == RC_OK); /* who sees it sees all that was reloaded */
    generation_unref(&before);
    (void)notify_tell("READY=1");
}

/* While a new program starts, it reads the file itself. */
static bool may_reload(const struct daemon *d)
{
    return !d->draining && d->handover.pid == 0;
}

static void on_hup(struct ev_loop *loop, ev_signal *s, int revents)
{
    struct daemon *d = s->data;

    (void)loop;
    (void)revents;
    if (may_reload(d)) {
        reload(d, "SIGHUP");
    }
}

static void on_usr1(struct ev_loop *loop, ev_signal *s, int revents)
{
    (void)loop;
    (void)s;
    (void)revents;
    enum rc rc = log_reopen();
    log_event(rc == RC_OK ? LOG_INFO : LOG_ERROR, "log opened again", LOG_S("result", rc_text(rc)));
}

static enum rc do_end_unsafe(struct gate *g, void *arg)
{
    (void)arg;
    gate_end_unsafe(g);
    return RC_OK;
}

/* What the mesh publishes as its roots: take it when it is to be followed, and say what is missing.
 */
static void look_at_roots(struct daemon *d)
{
    struct root_list *now = cluster_roots(d->cluster);
    bool follow = d->generation->config->kubernetes.follow_roots;

    if (root_watch_is_quiet(&d->roots, now) && may_reload(d)) {
        if (follow && root_watch_try(&d->roots, d->generation, now)) {
            reload(d, "the mesh publishes other roots");
        }
        root_watch_tell(&d->roots, d->generation, now);
    }
    root_list_unref(&now);
}

/* Each second. */
static void on_second(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct daemon *d = t->data;

    (void)loop;
    (void)revents;
    if (trim_due(&d->trim, status_work(&d->status))) {
        (void)malloc_trim(0);
    }
    if (guard_take_alarm(d->guard)) {
        daemon_call_all(d, do_end_unsafe, NULL);
    }
    registry_sweep(d->vms.registry, clock_wall_ms());
    expiry_watch_look(&d->expiry, d->generation, clock_wall());
    if (may_reload(d) && watch_changed(&d->watch, d->generation->config->files)) {
        reload(d, "a file changed");
    }
    look_at_roots(d);
}

/* ---- the service manager ---- */

static void beat(struct worker *w, void *arg)
{
    struct daemon *d = arg;

    (void)w;
    __atomic_add_fetch(&d->beats, 1, __ATOMIC_RELAXED);
}

/* The watchdog is fed only when every worker's loop has turned since the last time. */
static void on_status(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct daemon *d = t->data;
    char status[160];

    (void)loop;
    (void)revents;
    status_line(&d->status, status, sizeof(status));
    if (!d->draining) {
        (void)notify_tell("STATUS=%s", status);
    }
    if (__atomic_load_n(&d->beats, __ATOMIC_RELAXED) >= d->n_workers) {
        (void)notify_tell("WATCHDOG=1");
        __atomic_store_n(&d->beats, 0, __ATOMIC_RELAXED);
        for (unsigned i = 0; i < d->n_workers; i++) {
            if (worker_post(d->workers[i], beat, d) != RC_OK) {
                __atomic_add_fetch(&d->beats, 1, __ATOMIC_RELAXED);
            }
        }
    }
}

static double status_interval(void)
{
    double third = (double)notify_watchdog_usec() / 3e6;

    return third > 0 && third < STATUS_INTERVAL_S ? third : STATUS_INTERVAL_S;
}

/* ---- start and end of the process ---- */

/* As many connections as the hard limit allows. */
static void raise_file_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

void daemon_watch_signal(struct daemon *d, ev_signal *s, int signum,
                         void (*cb)(struct ev_loop *, ev_signal *, int))
{
    ev_signal_init(s, cb, signum);
    s->data = d;
    ev_signal_start(d->loop, s);
}

static void start_watching(struct daemon *d)
{
    daemon_watch_signal(d, &d->hup, SIGHUP, on_hup);
    daemon_watch_signal(d, &d->usr1, SIGUSR1, on_usr1);
    ev_timer_init(&d->second_timer, on_second, 1., 1.);
    d->second_timer.data = d;
    ev_timer_start(d->loop, &d->second_timer);
    ev_timer_init(&d->status_timer, on_status, 0., status_interval());
    d->status_timer.data = d;
    ev_timer_start(d->loop, &d->status_timer);
    daemon_watch_leaving(d);
}

static enum rc make_workers(struct daemon *d, unsigned n)
{
    d->workers = calloc(n, sizeof(struct worker *));
    d->gates = calloc(n, sizeof(struct gate *));
    if (d->workers == NULL || d->gates == NULL) {
        return RC_NO_MEMORY;
    }
    TRY(vms_init(&d->vms, d->gates, n));
    for (unsigned i = 0; i < n; i++) {
        TRY(worker_new(i, &d->workers[i]));
        enum rc rc = gate_new(d->workers[i], d->limits, cluster_tokens(d->cluster), d->vms.registry,
                              &d->gates[i]);
        if (rc == RC_OK) {
            rc = worker_start(d->workers[i]);
        }
        if (rc != RC_OK) {
            if (d->gates[i] != NULL) {
                gate_free(&d->gates[i]);
            }
            worker_free(&d->workers[i]);
            return rc;
        }
        d->n_workers++;
    }
    d->sockets.n_workers = d->n_workers;
    return RC_OK;
}

/* The process before knows where the endpoints are: it goes on until this one does, too. */
static enum rc await_endpoints(struct daemon *d)
{
    char why[SERVICE_WHY_BYTES];
    char text[SERVICE_WHY_BYTES + 80];

    if (cluster_await_endpoints(d->cluster, ENDPOINTS_WAIT_S, why)) {
        return RC_OK;
    }
    (void)snprintf(text, sizeof(text), "where the endpoints of a service are is not known: %s\n",
                   why);
    handover_refuse(&d->sockets.inherited, text);
    return RC_TIMEOUT;
}

/* It also believes what the mesh publishes as its roots, if that is to be believed. */
static enum rc await_roots(struct daemon *d)
{
    char why[MESH_ROOTS_WHY_BYTES];
    char text[MESH_ROOTS_WHY_BYTES + 80];
    struct config *c = NULL;

    if (!d->generation->config->kubernetes.follow_roots) {
        return RC_OK;
    }
    if (cluster_await_roots(d->cluster, ENDPOINTS_WAIT_S, why)) {
        TRY(read_config(d, true, &c));
        return put_in_force(d, c);
    }
    (void)snprintf(text, sizeof(text), "what the mesh publishes as its roots is not known: %s\n",
                   why);
    handover_refuse(&d->sockets.inherited, text);
    return RC_TIMEOUT;
}

/* Everything is in force: serve, after the process before has stopped if there is one. */
static enum rc open_to_all(struct daemon *d)
{
    if (d->sockets.inherited.control < 0) {
        TRY(daemon_start_admin(d, d->generation->config));
        daemon_pause(d, false);
        return RC_OK;
    }
    TRY(await_endpoints(d));
    TRY(await_roots(d));
    handover_wait_for_go(&d->sockets.inherited);
    daemon_pause(d, false);
    handover_serving(&d->sockets.inherited);
    if (daemon_start_admin(d, d->generation->config) != RC_OK) {
        log_event(LOG_ERROR, "there are no admin pages until the next reload"); /* VMs come first */
    }
    return RC_OK;
}

static enum rc start(struct daemon *d, struct config *c)
{
    enum rc rc = use_log(c);

    if (rc == RC_OK) {
        rc = conn_limits_new(&d->limits);
    }
    if (rc == RC_OK) {
        rc = cluster_new(&d->cluster);
    }
    if (rc == RC_OK) {
        rc = guard_new(&d->guard);
    }
    if (rc == RC_OK) {
        rc = directory_start(&d->directory);
    }
    if (rc == RC_OK) {
        rc = make_workers(d, c->workers);
    }
    if (rc != RC_OK) {
        config_free(&c);
        return rc;
    }
    status_init(&d->status, d->workers, d->n_workers, d->cluster, &d->vms);
    daemon_pause(d, true);
    TRY(put_in_force(d, c));
    watch_mark(&d->watch, d->generation->config->files_stamp);
    return open_to_all(d);
}

static void stop_workers(struct daemon *d)
{
    daemon_kill_all(d);
    for (unsigned i = 0; i < d->n_workers; i++) {
        worker_stop(d->workers[i]);
        worker_join(d->workers[i]);
        gate_free(&d->gates[i]);
    }
}

static void stop(struct daemon *d)
{
    admin_stop(&d->admin);
    stop_workers(d);
    guard_free(&d->guard);
    if (d->directory != NULL) {
        directory_stop(&d->directory);
    }
    if (d->cluster != NULL) {
        cluster_free(&d->cluster);
    }
    if (d->n_workers > 0) {
        status_fini(&d->status);
        expiry_watch_fini(&d->expiry);
        root_watch_fini(&d->roots);
    }
    generation_unref(&d->generation);
    vms_fini(&d->vms);
    for (unsigned i = 0; i < d->n_workers; i++) {
        worker_free(&d->workers[i]);
    }
    if (d->limits != NULL) {
        conn_limits_free(&d->limits);
    }
    sockets_fini(&d->sockets);
    free(d->workers);
    free(d->gates);
    ev_loop_destroy(d->loop);
}

/* What the process before gave us, or nothing. */
static enum rc receive_sockets(struct daemon *d)
{
    enum rc rc = handover_receive(&d->sockets.inherited);

    if (rc == RC_INVALID) {
        (void)fprintf(stderr, "xdsgate run: XDSGATE_HANDOVER is not of this version\n");
    }
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

int daemon_run(const char *config_path, char *const *argv)
{
    struct daemon d = {.config_path = config_path, .argv = argv};
    struct config *c = NULL;

    protect_memory();
    raise_file_limit();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGUSR2, SIG_IGN); /* until it can be handed over */
    if (receive_sockets(&d) != RC_OK) {
        return EXIT_CODE_NO;
    }
    enum rc rc = read_config(&d, true, &c);
    if (rc != RC_OK) {
        sockets_fini(&d.sockets);
        return rc == RC_INVALID ? EXIT_CODE_USAGE : EXIT_CODE_NO;
    }
    d.loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    if (d.loop == NULL) {
        config_free(&c);
        sockets_fini(&d.sockets);
        return EXIT_CODE_NO;
    }
    start_watching(&d); /* before somebody can know that we serve; looked at when the loop runs */
    rc = start(&d, c);
    if (rc == RC_OK) {
        d.beats = d.n_workers;
        log_event(LOG_INFO, "xdsgate is running", LOG_S("file", config_path),
                  LOG_I("workers", d.n_workers));
        (void)notify_tell("READY=1");
        trim_code();
        ev_run(d.loop, 0);
        log_event(LOG_INFO, "xdsgate has stopped");
    } else {
        log_event(LOG_ERROR, "cannot start", LOG_S("reason", rc_text(rc)));
    }
    stop(&d);
    return rc == RC_OK ? EXIT_CODE_OK : EXIT_CODE_NO;
}
