/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cluster/cluster.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/file_stamp.h"
#include "core/base/log.h"
#include "kube/kube.h"
#include "kube/objects.h"
#include "kube/path.h"

#define CLUSTER_MAGIC 0xc105fe55u

/* The life that is asked for; the API server may choose another one. As istioctl's bundles. */
#define TOKEN_LIFE_S 3600

/* A connection that has died without a word answers nothing: then there is time for two more
 * attempts, on others, before the VM's own ten seconds are over (and TOKENS_WAIT_S). */
#define CALL_ATTEMPTS 3
#define CALL_TIMEOUT_MS 3000
#define CALL_DEADLINE_S 10.0

/* What could not be opened (a kubeconfig that is gone, a library) is tried again. */
#define OPEN_AGAIN_S 10.0

/* Where to find the cluster; owned strings. */
struct source {
    bool on;
    char *kubeconfig;
    char *context;
    uint64_t stamp; /* of the file, when it was given */
};

struct cluster {
    uint32_t magic;
    pthread_t thread;
    bool running;
    struct tokens *tokens;       /* owned */
    struct endpoints *endpoints; /* owned */
    struct mesh_roots *roots;    /* owned */
    pthread_mutex_t lock;        /* of what follows, and of kube for wakes */
    pthread_cond_t woken;
    bool wake;
    bool stop;
    bool changed;
    bool used; /* cluster_use() has named one */
    struct source wanted;
    struct kube *kube; /* owned; used by the thread only, but for kube_wake() */
    bool asked;        /* somebody has answered, or nobody: reachable says which */
    bool reachable;
    /* The thread's own: */
    struct source source;
    char *known; /* owned; which cluster was asked last; NULL: none yet */
    double open_at;
    struct kube_error error; /* why there is no kube */
    bool told;               /* that the API server cannot be reached */
};

/* A token on its way. */
struct token_call {
    struct cluster *cluster;
    struct token_account *account;
};

/* ---- sources ---- */

static void free_source(struct source *s)
{
    free(s->kubeconfig);
    free(s->context);
    *s = (struct source){0};
}

static enum rc copy_source(const struct cluster_opts *o, struct source *out)
{
    *out = (struct source){.on = o != NULL};
    if (o == NULL) {
        return RC_OK;
    }
    out->kubeconfig = o->kubeconfig != NULL ? strdup(o->kubeconfig) : NULL;
    out->context = o->context != NULL ? strdup(o->context) : NULL;
    if ((o->kubeconfig != NULL && out->kubeconfig == NULL) ||
        (o->context != NULL && out->context == NULL)) {
        free_source(out);
        return RC_NO_MEMORY;
    }
    if (o->kubeconfig != NULL) {
        out->stamp = file_stamp_add(FILE_STAMP_NONE, o->kubeconfig);
    }
    return RC_OK;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_source(const struct source *a, const struct source *b)
{
    return a->on == b->on && a->stamp == b->stamp && same_text(a->kubeconfig, b->kubeconfig) &&
           same_text(a->context, b->context);
}

/* ---- what is known of the API server ---- */

static void set_reachable(struct cluster *c, bool reachable)
{
    pthread_mutex_lock(&c->lock);
    c->asked = true;
    c->reachable = reachable;
    pthread_mutex_unlock(&c->lock);
}

/* Another one, which nobody has asked yet. */
static void forget_reachable(struct cluster *c)
{
    pthread_mutex_lock(&c->lock);
    c->asked = false;
    pthread_mutex_unlock(&c->lock);
}

/* Said once, and once more when it is over. */
static void tell_reachable(struct cluster *c, bool reachable, const char *why)
{
    const char *server = c->kube != NULL ? kube_access_server(kube_access_of(c->kube)) : "";

    set_reachable(c, reachable);
    if (c->told == !reachable) {
        return;
    }
    c->told = !reachable;
    if (reachable) {
        log_event(LOG_INFO, "Kubernetes answers again", LOG_S("server", server));
    } else {
        log_event(LOG_WARNING, "Kubernetes cannot be asked", LOG_S("server", server),
                  LOG_S("reason", why));
    }
}

/* What is wrong with a watch is said where it matters. */
static void on_heard(void *arg, bool heard)
{
    struct cluster *c = arg;

    if (heard) {
        tell_reachable(c, true, "");
    } else {
        set_reachable(c, false);
    }
}

/* ---- tokens ---- */

/* Is it the account that is refused, and not we, or everything? status 0: there is none. */
static bool is_of_the_account(int status)
{
    return status == 400 || status == 403 || status == 404 || status == 422;
}

/* Is it said of all requests, and not of this one? RFC 6585 4, RFC 9110 15.6.4. */
static bool is_of_all(int status)
{
    return status == 429 || status == 503;
}

/* What VMs are told. Where Kubernetes is and as whom it is asked is in the log only. */
static const char *words_for_vms(int status)
{
    if (status == 403) {
        return "xdsgate has no right to get one";
    }
    if (status == 404) {
        return "there is no such account";
    }
    return is_of_the_account(status) ? "Kubernetes refuses it" : "Kubernetes gives none now";
}

/* a: status 0 when there was no answer; its text is for the log. */
static void fail(struct token_call *call, const struct kube_answer *a)
{
    const struct tokens_whose *w = tokens_whose(call->account);
    struct cluster *c = call->cluster;
    bool refused = is_of_the_account(a->status);
    const struct tokens_failure f = {.outcome = refused ? TOKENS_REFUSED : TOKENS_UNAVAILABLE,
                                     .why = words_for_vms(a->status),
                                     .retry_after_s = a->retry_after_s,
                                     .of_all = is_of_all(a->status)};
    char account[320];

    (void)snprintf(account, sizeof(account), "%s/%s", w->ns, w->sa);
    bool fresh = tokens_put_failure(c->tokens, call->account, &f, clock_mono());
    if (fresh && (refused || !c->told)) {
        log_event(LOG_WARNING, "no token for a service account", LOG_S("account", account),
                  LOG_S("reason", a->text));
    }
}

/* It failed here, or the answer was of no use. */
static void fail_here(struct token_call *call, const char *why)
{
    fail(call, &(struct kube_answer){.text = why});
}

/* Seconds that a new token lives, by the API server's own word: its clock and ours may differ. */
static double life_of(const json_t *body, const struct kube_token *t)
{
    const json_t *life = doc_at(body, "spec", "expirationSeconds", NULL);

    return json_is_integer(life) ? (double)json_integer_value(life)
                                 : (double)(t->expires - clock_wall());
}

static void take_token(struct token_call *call, const json_t *body)
{
    struct kube_token t;

    enum rc rc = kube_token_read(body, &t);
    if (rc != RC_OK) {
        fail_here(call,
                  rc == RC_NO_MEMORY ? "out of memory" : "the API server's answer holds no token");
        return;
    }
    double life_s = life_of(body, &t);
    if (life_s <= TOKENS_MARGIN_S) {
        fail_here(call, "the token that Kubernetes made has expired already");
    } else {
        tokens_put(call->cluster->tokens, call->account, t.token, strlen(t.token), life_s,
                   clock_mono());
    }
    kube_token_fini(&t);
}

static void on_token(void *arg, const struct kube_answer *a)
{
    struct token_call *call = arg;
    struct cluster *c = call->cluster;

    if (a->outcome == KUBE_CANCELLED) {
        tokens_put_back(c->tokens, call->account,
                        clock_mono()); /* for the client that comes next */
        free(call);
        return;
    }
    tell_reachable(c, kube_is_heard(a->status), a->text);
    if (a->outcome == KUBE_OK) {
        take_token(call, a->body);
    } else if (a->outcome == KUBE_REFUSED) {
        fail(call, a);
    } else {
        fail_here(call, a->text);
    }
    free(call);
}

static enum rc make_request(const struct tokens_whose *w, char *path, char **body)
{
    TRY(kube_path_make(KUBE_SERVICE_ACCOUNT, 0, w->ns, w->sa, path));
    TRY(kube_path_sub(path, "/token"));
    return kube_token_ask((const char *const *)w->audiences, TOKEN_LIFE_S, body);
}

static enum rc start_call(struct cluster *c, struct token_call *call)
{
    char path[KUBE_PATH_BYTES];
    char *body = NULL;

    TRY(make_request(tokens_whose(call->account), path, &body));
    const struct kube_request request = {
        .path = path,
        .body = body,
        .repeatable = true,
        .timeout_ms = CALL_TIMEOUT_MS,
        .retry = {.attempts_max = CALL_ATTEMPTS, .deadline_s = CALL_DEADLINE_S},
        .on_done = on_token,
        .arg = call};
    enum rc rc = kube_call_start(c->kube, &request, NULL);
    free(body);
    return rc;
}

static void request_token(struct cluster *c, struct token_account *account)
{
    struct token_call local = {c, account};
    struct token_call *call = malloc(sizeof(*call));

    if (c->kube == NULL) {
        fail_here(&local, c->error.text);
        free(call);
        return;
    }
    enum rc rc = RC_NO_MEMORY;
    if (call != NULL) {
        *call = local;
        rc = start_call(c, call);
    }
    if (rc != RC_OK) {
        /* No account has such a name. */
        fail(&local,
             &(struct kube_answer){.status = rc == RC_INVALID ? 404 : 0, .text = rc_text(rc)});
        free(call);
    }
}

/* ---- the client ---- */

static void close_kube(struct cluster *c)
{
    pthread_mutex_lock(&c->lock);
    struct kube *k = c->kube;
    c->kube = NULL;
    pthread_mutex_unlock(&c->lock);
    kube_free(&k); /* calls end here */
    endpoints_forget_client(c->endpoints);
    mesh_roots_forget_client(c->roots);
}

static enum rc open_access(struct cluster *c, struct kube_access **out)
{
    if (c->source.kubeconfig != NULL) {
        return kube_access_from_file(c->source.kubeconfig, c->source.context, &c->error, out);
    }
    return kube_access_in_pod(KUBE_POD_FOLDER, &c->error, out);
}

/* Another one than before? Its endpoints have nothing to do with the ones that are known. The same
 * server may stand for several clusters, by the context. */
static void note_cluster(struct cluster *c, const struct kube_access *access)
{
    char *now = NULL;

    if (asprintf(&now, "%s %s", kube_access_server(access), kube_access_origin(access)) < 0) {
        now = NULL;
    }
    if (c->known != NULL && !same_text(c->known, now)) {
        endpoints_forget_cluster(c->endpoints);
        mesh_roots_forget_cluster(c->roots);
    }
    free(c->known);
    c->known = now;
}

static void open_kube(struct cluster *c)
{
    struct kube_access *access = NULL;
    struct kube *k = NULL;

    c->error.text[0] = '\0';
    enum rc rc = open_access(c, &access);
    if (rc == RC_OK) {
        rc = kube_new(&access, NULL, &c->error, &k);
    }
    if (rc != RC_OK) {
        c->open_at = clock_mono() + OPEN_AGAIN_S;
        if (c->error.text[0] == '\0') {
            (void)snprintf(c->error.text, sizeof(c->error.text), "%s", rc_text(rc));
        }
        tell_reachable(c, false, c->error.text);
        return;
    }
    note_cluster(c, kube_access_of(k));
    log_event(LOG_INFO, "Kubernetes is used",
              LOG_S("server", kube_access_server(kube_access_of(k))),
              LOG_S("from", kube_access_origin(kube_access_of(k))));
    pthread_mutex_lock(&c->lock);
    c->kube = k;
    pthread_mutex_unlock(&c->lock);
}

/* Take up what cluster_use() wants. */
static void follow_wishes(struct cluster *c)
{
    pthread_mutex_lock(&c->lock);
    bool changed = c->changed;
    struct source wanted = c->wanted;
    c->changed = false;
    c->wanted = (struct source){0};
    pthread_mutex_unlock(&c->lock);
    if (!changed) {
        return;
    }
    if (same_source(&wanted, &c->source)) {
        free_source(&wanted);
        return;
    }
    close_kube(c);
    forget_reachable(c);
    tokens_reset(c->tokens);
    free_source(&c->source);
    c->source = wanted;
    c->told = false;
    c->open_at = 0;
    (void)snprintf(c->error.text, sizeof(c->error.text),
                   "the configuration has no `kubernetes` any more");
}

/* ---- the thread ---- */

static struct timespec after(double seconds)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    long ns = t.tv_nsec + (long)(seconds * 1e9);
    t.tv_sec += ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    return t;
}

/* There is no client that could be woken. */
static void wait_without_kube(struct cluster *c, double seconds)
{
    struct timespec until = after(seconds);
    int rc = 0;

    pthread_mutex_lock(&c->lock);
    while (!c->wake && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&c->woken, &c->lock, &until);
    }
    c->wake = false;
    pthread_mutex_unlock(&c->lock);
}

static bool should_stop(struct cluster *c)
{
    pthread_mutex_lock(&c->lock);
    bool stop = c->stop;
    pthread_mutex_unlock(&c->lock);
    return stop;
}

/* Seconds until there is something to do again. */
static double look(struct cluster *c)
{
    double tokens = tokens_look(c->tokens, clock_mono());
    double endpoints = endpoints_turn(c->endpoints, c->kube, c->error.text, clock_mono());
    double roots = mesh_roots_turn(c->roots, c->kube, clock_mono());
    double first = tokens < endpoints ? tokens : endpoints;

    return first < roots ? first : roots;
}

static void *run(void *arg)
{
    struct cluster *c = arg;

    while (!should_stop(c)) {
        struct token_account *account;
        follow_wishes(c);
        if (c->source.on && c->kube == NULL && clock_mono() >= c->open_at) {
            open_kube(c);
        }
        double pause = look(c);
        while ((account = tokens_take(c->tokens, clock_mono())) != NULL) {
            request_token(c, account);
        }
        if (c->kube != NULL) {
            kube_turn(c->kube, (uint32_t)(pause * 1000));
        } else {
            wait_without_kube(c, pause);
        }
    }
    tokens_close(c->tokens, clock_mono());
    close_kube(c);
    return NULL;
}

static void on_wake(void *arg)
{
    struct cluster *c = arg;

    pthread_mutex_lock(&c->lock);
    c->wake = true;
    if (c->kube != NULL) {
        kube_wake(c->kube);
    } else {
        (void)pthread_cond_signal(&c->woken);
    }
    pthread_mutex_unlock(&c->lock);
}

/* ---- what others call ---- */

enum rc cluster_new(struct cluster **out)
{
    struct cluster *c = calloc(1, sizeof(*c));
    pthread_condattr_t monotonic;

    if (c == NULL || tokens_new(on_wake, c, clock_mono(), &c->tokens) != RC_OK) {
        free(c);
        return RC_NO_MEMORY;
    }
    if (endpoints_new(on_heard, c, &c->endpoints) != RC_OK ||
        mesh_roots_new(on_heard, c, &c->roots) != RC_OK) {
        endpoints_free(&c->endpoints);
        tokens_free(&c->tokens);
        free(c);
        return RC_NO_MEMORY;
    }
    c->magic = CLUSTER_MAGIC;
    (void)snprintf(c->error.text, sizeof(c->error.text), "the configuration has no `kubernetes`");
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&c->woken, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *out = c;
    return RC_OK;
}

struct tokens *cluster_tokens(struct cluster *c)
{
    CHECK_MAGIC(c, CLUSTER_MAGIC);
    return c->tokens;
}

/* Signals are the main thread's. */
static enum rc start_thread(struct cluster *c)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    c->running = pthread_create(&c->thread, NULL, run, c) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return c->running ? RC_OK : RC_SYSTEM;
}

enum rc cluster_use(struct cluster *c, const struct cluster_opts *opts)
{
    struct source s;

    CHECK_MAGIC(c, CLUSTER_MAGIC);
    if (opts == NULL && !c->running) {
        return RC_OK;
    }
    TRY(copy_source(opts, &s));
    pthread_mutex_lock(&c->lock);
    free_source(&c->wanted);
    c->wanted = s;
    c->changed = true;
    c->used = s.on;
    pthread_mutex_unlock(&c->lock);
    if (!c->running) {
        return start_thread(c);
    }
    on_wake(c);
    return RC_OK;
}

enum rc cluster_follow(struct cluster *c, struct upstream *const *upstreams, size_t n)
{
    CHECK_MAGIC(c, CLUSTER_MAGIC);
    TRY(endpoints_set(c->endpoints, upstreams, n));
    if (c->running) {
        on_wake(c);
    }
    return RC_OK;
}

bool cluster_endpoints(struct cluster *c, const struct upstream *u, struct endpoints_state *out)
{
    CHECK_MAGIC(c, CLUSTER_MAGIC);
    return endpoints_look(c->endpoints, u, out);
}

bool cluster_await_endpoints(struct cluster *c, double seconds, char *why)
{
    CHECK_MAGIC(c, CLUSTER_MAGIC);
    return endpoints_await(c->endpoints, seconds, why);
}

enum rc cluster_watch_roots(struct cluster *c, const char *ns)
{
    CHECK_MAGIC(c, CLUSTER_MAGIC);
    TRY(mesh_roots_set(c->roots, ns));
    if (c->running) {
        on_wake(c);
    }
    return RC_OK;
}

struct root_list *cluster_roots(struct cluster *c)
{
    CHECK_MAGIC(c, CLUSTER_MAGIC);
    return mesh_roots_take(c->roots);
}

bool cluster_await_roots(struct cluster *c, double seconds, char *why)
{
    CHECK_MAGIC(c, CLUSTER_MAGIC);
    return mesh_roots_await(c->roots, seconds, why);
}

void cluster_free(struct cluster **pc)
{
    struct cluster *c = *pc;

    *pc = NULL;
    CHECK_MAGIC(c, CLUSTER_MAGIC);
    if (c->running) {
        pthread_mutex_lock(&c->lock);
        c->stop = true;
        pthread_mutex_unlock(&c->lock);
        on_wake(c);
        pthread_join(c->thread, NULL);
    }
    free_source(&c->wanted);
    free_source(&c->source);
    free(c->known);
    endpoints_free(&c->endpoints);
    mesh_roots_free(&c->roots);
    tokens_free(&c->tokens);
    pthread_cond_destroy(&c->woken);
    pthread_mutex_destroy(&c->lock);
    c->magic = 0;
    free(c);
}

void cluster_stats(struct cluster *c, struct cluster_stats *out)
{
    CHECK_MAGIC(c, CLUSTER_MAGIC);
    pthread_mutex_lock(&c->lock);
    *out = (struct cluster_stats){.used = c->used, .asked = c->asked, .reachable = c->reachable};
    pthread_mutex_unlock(&c->lock);
    out->roots_current = mesh_roots_is_current(c->roots, &out->roots_watched);
    tokens_stats(c->tokens, clock_mono(), &out->tokens);
}
