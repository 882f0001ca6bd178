/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/backend/server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/load/answer.h"
#include "core/base/check.h"

#define ACCEPT_BURST 64
#define GOAWAY_S 10.0

#define CALLER_OF(pos) LIST_ENTRY(pos, struct caller, node)

/* ---- connections ---- */

static nghttp2_session *on_secure(struct link *l)
{
    return caller_session_new(l->owner);
}

static void on_over(struct link *l, const char *why)
{
    struct caller *c = l->owner;
    struct list *pos;
    struct list *spare;

    CHECK_MAGIC(c, CALLER_MAGIC);
    tally_add(&c->server->ends, why);
    LIST_FOREACH_SAFE(pos, spare, &c->calls)
    {
        struct call *call = LIST_ENTRY(pos, struct call, of_caller);
        call_free(&call);
    }
    list_del(&c->node);
    c->magic = 0;
    free(c);
}

static const struct link_ops link_ops = {on_secure, on_over};

static void take_socket(struct server *s, int fd)
{
    struct caller *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        (void)close(fd);
        return;
    }
    c->magic = CALLER_MAGIC;
    c->server = s;
    list_init(&c->calls);
    list_add_tail(&s->callers, &c->node);
    link_init(&c->link, &s->home, &link_ops, c);
    if (link_accept(&c->link, s->tls, fd) != RC_OK) {
        list_del(&c->node);
        free(c);
    }
}

static void on_listener(struct ev_loop *loop, ev_io *w, int revents)
{
    struct server *s = w->data;

    (void)loop;
    (void)revents;
    CHECK_MAGIC(s, SERVER_MAGIC);
    for (unsigned i = 0; i < ACCEPT_BURST; i++) {
        int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        take_socket(s, fd);
    }
}

/* Call do_it for each connection; it may end. */
static void for_each(struct server *s, void (*do_it)(struct caller *c))
{
    struct list *pos;
    struct list *spare;

    LIST_FOREACH_SAFE(pos, spare, &s->callers)
    {
        do_it(CALLER_OF(pos));
    }
}

static void flush_one(struct caller *c)
{
    link_flush(&c->link);
}

static void cut_one(struct caller *c)
{
    link_end(&c->link, LINK_FIN, "cut");
}

static void cut_leaving(struct caller *c)
{
    if (c->is_leaving) {
        cut_one(c);
    }
}

static void on_cut(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct server *s = w->data;

    (void)loop;
    (void)revents;
    CHECK_MAGIC(s, SERVER_MAGIC);
    for_each(s, cut_leaving);
}

void server_init(struct server *s, struct ev_loop *loop, int fd, SSL_CTX *tls,
                 nghttp2_option *options)
{
    memset(s, 0, sizeof(*s));
    s->magic = SERVER_MAGIC;
    s->loop = loop;
    s->home.loop = loop;
    s->tls = tls;
    s->options = options;
    message_home_init(&s->messages, 0);
    list_init(&s->callers);
    list_init(&s->calls);
    ev_timer_init(&s->cut, on_cut, GOAWAY_S, 0);
    s->cut.data = s;
    ev_io_init(&s->listener, on_listener, fd, EV_READ);
    s->listener.data = s;
    ev_io_start(loop, &s->listener);
}

void server_fini(struct server *s)
{
    CHECK_MAGIC(s, SERVER_MAGIC);
    ev_timer_stop(s->loop, &s->cut);
    ev_io_stop(s->loop, &s->listener);
    for_each(s, cut_one);
}

/* ---- commands ---- */

static void answer_number(const char *name, uint64_t n)
{
    struct answer a;

    answer_open(&a);
    answer_int(&a, name, n);
    answer_close(&a);
}

static bool run_push(void *arg, const struct words *w)
{
    struct server *s = arg;
    struct list *pos;
    struct list *spare;
    uint64_t bytes;
    uint64_t n = UINT64_MAX;
    uint64_t done = 0;

    CHECK_MAGIC(s, SERVER_MAGIC);
    if (!word_int(w->at[0], MESSAGE_MIN_BYTES, MESSAGE_MAX_BYTES, &bytes) ||
        (w->n > 1 && !word_int(w->at[1], 0, UINT32_MAX, &n))) {
        return false;
    }
    LIST_FOREACH_SAFE(pos, spare, &s->calls)
    {
        struct call *c = LIST_ENTRY(pos, struct call, node);
        if (done < n && c->is_answered && !c->is_refused) {
            done += call_send(c, MESSAGE_PUSH, MESSAGE_CDS, (uint32_t)bytes) ? 1 : 0;
        }
    }
    answer_number("streams", done);
    for_each(s, flush_one);
    return true;
}

static bool run_refuse(void *arg, const struct words *w)
{
    struct server *s = arg;

    CHECK_MAGIC(s, SERVER_MAGIC);
    if (!word_int(w->at[0], 0, UINT32_MAX, &s->refuse)) {
        return false;
    }
    answer_number("refusing", s->refuse);
    return true;
}

/* As grpc-go does: a notice and a PING; GOAWAY with the last stream when the PING is answered. */
static void send_away(struct caller *c)
{
    nghttp2_session *h2 = c->link.h2;

    if (h2 != NULL && !c->is_leaving && nghttp2_submit_shutdown_notice(h2) == 0 &&
        nghttp2_submit_ping(h2, NGHTTP2_FLAG_NONE, NULL) == 0) {
        c->is_leaving = true;
        c->server->goaways_sent++;
        link_flush(&c->link);
    }
}

static bool run_goaway(void *arg, const struct words *w)
{
    struct server *s = arg;
    double seconds = GOAWAY_S;
    uint64_t before = s->goaways_sent;

    CHECK_MAGIC(s, SERVER_MAGIC);
    if (w->n > 0 && !word_num(w->at[0], 0, 86400, &seconds)) {
        return false;
    }
    for_each(s, send_away);
    ev_timer_stop(s->loop, &s->cut);
    ev_timer_set(&s->cut, seconds, 0);
    ev_now_update(s->loop);
    ev_timer_start(s->loop, &s->cut);
    answer_number("connections", s->goaways_sent - before);
    return true;
}

static bool run_status(void *arg, const struct words *w)
{
    struct server *s = arg;
    struct answer a;
    struct list *pos;
    struct list *spare;
    uint64_t callers = 0;
    uint64_t queued = 0;

    (void)w;
    CHECK_MAGIC(s, SERVER_MAGIC);
    LIST_FOREACH_SAFE(pos, spare, &s->callers)
    {
        callers++;
    }
    LIST_FOREACH_SAFE(pos, spare, &s->calls)
    {
        queued += LIST_ENTRY(pos, struct call, node)->out.bytes;
    }
    answer_open(&a);
    answer_int(&a, "connections", callers);
    answer_int(&a, "streams", s->opened - s->closed);
    answer_int(&a, "opened", s->opened);
    answer_int(&a, "closed", s->closed);
    answer_int(&a, "refused", s->refused);
    answer_int(&a, "resets_received", s->resets_received);
    answer_int(&a, "goaways_sent", s->goaways_sent);
    answer_int(&a, "acks", s->acks);
    answer_int(&a, "echoes", s->echoes);
    answer_int(&a, "wrong", s->wrong);
    answer_int(&a, "bytes_queued", queued);
    answer_int(&a, "max_streams_seen", s->max_streams_seen);
    answer_tally(&a, "ends", &s->ends);
    answer_close(&a);
    return true;
}

const struct command server_commands[] = {
    {"push", "BYTES [N]", 1, 2, run_push},
    {"refuse", "N", 1, 1, run_refuse},
    {"goaway", "[SECONDS]", 0, 1, run_goaway},
    {"status", "", 0, 0, run_status},
    {NULL, NULL, 0, 0, NULL},
};
