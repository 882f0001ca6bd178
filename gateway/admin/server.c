/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listeners and their connections, on libmicrohttpd, which is included here only. What is
 * answered is decided in routes.c.
 *
 * Threads: `fronts[i].open` and its neighbours belong to the thread of that listener alone; the
 * functions of the source are called under `lock`, because three threads may ask at once.
 */
#include "gateway/admin/server.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "core/base/check.h"
#include "core/base/list.h"
#include "core/base/log.h"
#include "core/net/sock.h"
#include "gateway/admin/routes.h"
#include "gateway/admin/unix_listener.h"

#define ADMIN_MAGIC 0x5b1ce7a3U

/** For the headers of one request and what answers them: room for the cookies of a browser. */
#define CONNECTION_MEMORY_BYTES (16 * 1024)

/** Spare connections for the time between closing the oldest and its last breath. */
#define CONNECTIONS_SPARE 64

enum front_kind { FRONT_UNIX, FRONT_ADMIN, FRONT_METRICS, FRONT_COUNT };

/** A listener and its thread. */
struct front {
    struct admin *admin; /**< borrowed */
    enum front_kind kind;
    struct MHD_Daemon *http; /**< owned; NULL: not configured */
    struct list open;        /**< of struct client, oldest first */
    size_t n_open;
};

/** A connection, owned by its front. */
struct client {
    struct list node; /**< on front.open, or on none when it was told to go */
    int fd;           /**< borrowed from the library */
};

struct admin {
    uint32_t magic;
    struct admin_opts opts; /**< socket_path owned */
    struct admin_source source;
    pthread_mutex_t lock; /**< one call of the source at a time */
    struct unix_listener_id socket_id;
    struct front fronts[FRONT_COUNT];
};

/* ---- connections ---- */

/* The oldest has had the most time: whoever keeps connections without finishing cannot keep others
 * out. */
static void make_room(struct front *f)
{
    if (f->n_open < ADMIN_MAX_CONNECTIONS) {
        return;
    }
    struct client *oldest = LIST_ENTRY(f->open.next, struct client, node);
    list_del(&oldest->node);
    f->n_open--;
    (void)shutdown(oldest->fd, SHUT_RDWR);
}

static void on_connection(void *cls, struct MHD_Connection *c, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct front *f = cls;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        struct client *client = *socket_context;
        if (client != NULL && !list_empty(&client->node)) {
            list_del(&client->node);
            f->n_open--;
        }
        free(client);
        *socket_context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct client *client = calloc(1, sizeof(*client));
    if (client == NULL || info == NULL) {
        free(client);
        *socket_context = NULL;
        return;
    }
    make_room(f);
    client->fd = info->connect_fd;
    list_add_tail(&f->open, &client->node);
    f->n_open++;
    *socket_context = client;
}

/* ---- requests ---- */

static enum MHD_Result count_hosts(void *cls, enum MHD_ValueKind kind, const char *key,
                                   const char *value)
{
    size_t *n = cls;

    (void)kind;
    (void)value;
    if (strcasecmp(key, MHD_HTTP_HEADER_HOST) == 0) {
        *n += 1;
    }
    return MHD_YES;
}

/* Did the connection come in by this machine's own loopback? */
static bool came_over_loopback(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct addr local = {0};

    if (info == NULL) {
        return true;
    }
    sock_local_addr(info->connect_fd, &local);
    return local.family == ADDR_NONE || addr_is_loopback(&local);
}

/* The user at the other end of a unix socket. False: nobody knows. */
static bool find_caller(struct MHD_Connection *c, uint32_t *uid)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred who;
    socklen_t n = sizeof(who);

    if (info == NULL || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0) {
        return false;
    }
    *uid = who.uid;
    return true;
}

static const char *find_argument(const struct admin_call *call, const char *name)
{
    struct MHD_Connection *const *c = call->place;
    return MHD_lookup_connection_value(*c, MHD_GET_ARGUMENT_KIND, name);
}

static bool has_body(struct MHD_Connection *c)
{
    const char *length =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING) !=
               NULL ||
           (length != NULL && strcmp(length, "0") != 0);
}

static void add_headers(struct MHD_Response *r, const struct routes_answer *a, bool end)
{
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    (void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(r, "Content-Security-Policy", a->policy);
    (void)MHD_add_response_header(r, "X-Frame-Options", "DENY");
    (void)MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    if (a->status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    if (end) {
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    }
}

/*
 * Called when the headers are there, and again when the request is complete. An answer to the first
 * call ends the connection, which is right for a request with a body only.
 */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **request_context)
{
    struct front *f = cls;
    struct admin *a = f->admin;
    struct routes_answer answer;
    struct routes_request q = {
        .method = method,
        .path = url,
        .host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST),
        .has_body = has_body(c),
        .metrics_only = f->kind == FRONT_METRICS,
        .argument = find_argument,
        .place = &c,
    };

    (void)version;
    (void)upload;
    (void)upload_size;
    if (*request_context == NULL && !q.has_body) {
        *request_context = f; /* any value: the next call is the second one */
        return MHD_YES;
    }
    (void)MHD_get_connection_values(c, MHD_HEADER_KIND, count_hosts, &q.n_hosts);
    q.verbose = MHD_lookup_connection_value_n(c, MHD_GET_ARGUMENT_KIND, "verbose", 7, NULL, NULL) ==
                MHD_YES;
    q.may_change = f->kind == FRONT_UNIX && find_caller(c, &q.uid);
    q.any_host = f->kind == FRONT_UNIX || (f->kind == FRONT_METRICS && !came_over_loopback(c));
    pthread_mutex_lock(&a->lock);
    enum rc rc = routes_answer(&q, &a->source, &answer);
    pthread_mutex_unlock(&a->lock);
    if (rc != RC_OK) {
        return MHD_NO; /* closes the connection */
    }
    struct MHD_Response *r =
        MHD_create_response_from_buffer(answer.n_bytes, answer.body, MHD_RESPMEM_MUST_FREE);
    if (r == NULL) {
        free(answer.body);
        return MHD_NO;
    }
    add_headers(r, &answer, q.has_body);
    enum MHD_Result queued = MHD_queue_response(c, answer.status, r);
    MHD_destroy_response(r);
    return queued;
}

/* ---- listeners ---- */

static void on_library_log(void *cls, const char *format, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* What the library has to say is about misbehaving clients. */
static void on_library_log(void *cls, const char *format, va_list ap)
{
    char text[256];
    int n = vsnprintf(text, sizeof(text), format, ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;

    (void)cls;
    while (len > 0 && text[len - 1] == '\n') {
        len--;
    }
    log_event(LOG_DEBUG, "admin connection", LOG_SN("text", text, len));
}

/* Takes fd over. The thread inherits a mask that leaves all signals to the others. */
static enum rc serve(struct front *f, int fd)
{
    sigset_t all;
    sigset_t before;

    list_init(&f->open);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    f->http = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0,
                               NULL, NULL, on_request, f, MHD_OPTION_EXTERNAL_LOGGER,
                               on_library_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                               MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_LIMIT,
                               (unsigned)(ADMIN_MAX_CONNECTIONS + CONNECTIONS_SPARE),
                               MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)ADMIN_IDLE_TIMEOUT_S,
                               MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
                               MHD_OPTION_NOTIFY_CONNECTION, on_connection, f, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return f->http != NULL ? RC_OK : RC_SYSTEM;
}

static enum rc start_unix(struct admin *a, char *err, size_t err_size)
{
    const char *path = a->opts.socket_path;
    int fd = -1;

    if (path == NULL) {
        return RC_OK;
    }
    TRY(unix_listener_open(path, a->opts.socket_mode, &fd, &a->socket_id, err, err_size));
    if (serve(&a->fronts[FRONT_UNIX], fd) != RC_OK) {
        (void)snprintf(err, err_size, "%s: the thread cannot be started", path);
        unix_listener_unlink(path, &a->socket_id);
        return RC_SYSTEM;
    }
    return RC_OK;
}

static enum rc start_tcp(struct front *f, const struct addr *bind_to, char *err, size_t err_size)
{
    char text[ADDR_TEXT_BYTES];
    const char *what = "";
    int fd = -1;

    if (bind_to->family == ADDR_NONE) {
        return RC_OK;
    }
    enum rc rc = sock_listen(bind_to, false, &fd, &what);
    if (rc != RC_OK) {
        (void)snprintf(err, err_size, "%s: %s: %s", addr_format(bind_to, text), what, rc_text(rc));
        return rc;
    }
    rc = serve(f, fd);
    if (rc != RC_OK) {
        (void)snprintf(err, err_size, "%s: the thread cannot be started",
                       addr_format(bind_to, text));
    }
    return rc;
}

/* ---- life ---- */

static bool is_any_address(const struct addr *a)
{
    static const uint8_t zero[16];
    return memcmp(a->ip, zero, a->family == ADDR_V4 ? 4 : 16) == 0;
}

static bool is_remote(const struct addr *a)
{
    return a->family != ADDR_NONE && (!addr_is_loopback(a) || is_any_address(a));
}

static struct admin *new_admin(const struct admin_opts *opts, const struct admin_source *source)
{
    struct admin *a = calloc(1, sizeof(*a));

    if (a == NULL) {
        return NULL;
    }
    a->magic = ADMIN_MAGIC;
    a->opts = *opts;
    a->source = *source;
    if (opts->socket_path != NULL) {
        char *path = strdup(opts->socket_path);
        if (path == NULL) {
            free(a);
            return NULL;
        }
        a->opts.socket_path = path;
    }
    for (int i = 0; i < FRONT_COUNT; i++) {
        a->fronts[i].admin = a;
        a->fronts[i].kind = (enum front_kind)i;
    }
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

enum rc admin_start(const struct admin_opts *opts, const struct admin_source *source,
                    struct admin **out, char *err, size_t err_size)
{
    CHECK(source->ready != NULL && source->live != NULL && source->metrics != NULL &&
          source->version != NULL && source->api != NULL);
    if (is_remote(&opts->bind) && !opts->allow_remote) {
        (void)snprintf(err, err_size, "the admin address is no loopback address");
        return RC_INVALID;
    }
    struct admin *a = new_admin(opts, source);
    if (a == NULL) {
        (void)snprintf(err, err_size, "%s", rc_text(RC_NO_MEMORY));
        return RC_NO_MEMORY;
    }
    enum rc rc = start_unix(a, err, err_size);
    if (rc == RC_OK) {
        rc = start_tcp(&a->fronts[FRONT_ADMIN], &opts->bind, err, err_size);
    }
    if (rc == RC_OK) {
        rc = start_tcp(&a->fronts[FRONT_METRICS], &opts->metrics_bind, err, err_size);
    }
    if (rc != RC_OK) {
        admin_stop(&a);
        return rc;
    }
    *out = a;
    return RC_OK;
}

static bool same_address(const struct addr *a, const struct addr *b)
{
    return a->family == b->family &&
           (a->family == ADDR_NONE ||
            (addr_same_ip(a, b) && a->port == b->port && a->scope == b->scope));
}

bool admin_same(const struct admin *a, const struct admin_opts *opts)
{
    static const struct admin_opts nothing;

    if (a != NULL) {
        CHECK_MAGIC(a, ADMIN_MAGIC);
    }
    const struct admin_opts *now = a != NULL ? &a->opts : &nothing;
    bool same_path = now->socket_path == NULL || opts->socket_path == NULL
                         ? now->socket_path == opts->socket_path
                         : strcmp(now->socket_path, opts->socket_path) == 0;
    bool same_mode = now->socket_path == NULL || now->socket_mode == opts->socket_mode;
    return same_path && same_mode && same_address(&now->bind, &opts->bind) &&
           same_address(&now->metrics_bind, &opts->metrics_bind);
}

void admin_stop(struct admin **a)
{
    struct admin *admin = *a;

    *a = NULL;
    if (admin == NULL) {
        return;
    }
    CHECK_MAGIC(admin, ADMIN_MAGIC);
    if (admin->fronts[FRONT_UNIX].http != NULL) {
        unix_listener_unlink(admin->opts.socket_path, &admin->socket_id);
    }
    for (int i = 0; i < FRONT_COUNT; i++) {
        if (admin->fronts[i].http != NULL) {
            MHD_stop_daemon(admin->fronts[i].http);
            CHECK(admin->fronts[i].n_open == 0);
        }
    }
    pthread_mutex_destroy(&admin->lock);
    char *path = NULL;
    memcpy(&path, &admin->opts.socket_path, sizeof(path));
    free(path);
    admin->magic = 0;
    free(admin);
}
