/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of a pool: dialled, used, retired, gone. */
#include "gateway/upstream/pool_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "certs/cert_set.h"
#include "core/base/check.h"
#include "core/base/log.h"
#include "core/net/conn.h"

#define DIAL_TIMEOUT_S 5.0

#define COOL_EXHAUSTED_S 0.3
#define COOL_NOT_READY_S 0.5
#define COOL_SILENT_S 10.0

/* What an upstream sends: responses with a few headers. A metadata bomb is not for the VMs. */
static const struct h2_limits up_limits = {
    .header_bytes = 65536, .headers = 128, .settings_timeout = DIAL_TIMEOUT_S};

static bool goes(const struct up_session *up)
{
    return !up->dialling && (up->retiring || up->pool->freed || !up->endpoint->listed);
}

void up_session_end_when_idle(struct up_session *up)
{
    if (up->streams == 0 && goes(up)) {
        h2_session_end(up->h2, H2_NO_ERROR, END_UP_GOAWAY);
    }
}

bool up_session_end_when_unwanted(struct up_session *up)
{
    if (up->streams > up->n_left || !goes(up)) {
        return false;
    }
    h2_session_end(up->h2, H2_NO_ERROR, END_UP_GOAWAY);
    return true;
}

bool up_session_has_room(const struct up_session *up)
{
    const struct upstream_opts *o = &up->pool->balancer.upstream->opts;
    return !up->dialling && !up->retiring && up->streams < o->streams_per_connection &&
           h2_session_has_room(up->h2);
}

static void note_failure(struct up_session *up, enum end_reason why)
{
    struct pool *p = up->pool;
    const char *detail = conn_detail(up->h2->conn);
    char text[ADDR_TEXT_BYTES];

    addr_format(&up->endpoint->addr, text);
    snprintf(p->problem, sizeof(p->problem), "%s: %s%s%s", text, end_text(why),
             detail[0] != '\0' ? ": " : "", detail);
    log_event(LOG_WARNING, "upstream endpoint failed",
              LOG_S("upstream", p->balancer.upstream->opts.name), LOG_S("endpoint", text),
              LOG_S("reason", end_label(why)), LOG_S("detail", detail),
              LOG_I("failures", up->endpoint->failures + 1));
    balancer_failed(&p->balancer, up->endpoint);
}

static void on_open(struct h2_session *s)
{
    struct up_session *up = s->user;

    CHECK_MAGIC(up, UP_MAGIC);
    up->dialling = false;
    up->endpoint->dialling--;
    up->pool->n_dialling--;
    counter_add(&up->pool->worker->counters->v[COUNTER_UP_DIALS], 1);
    counter_add(&up->pool->worker->counters->v[COUNTER_UP_CONNS_OPEN], 1);
    up_session_note_open(up);
    if (!h2_session_has_room(s)) { /* SETTINGS_MAX_CONCURRENT_STREAMS 0, or GOAWAY */
        note_failure(up, END_UP_FULL);
        up->retiring = true;
        h2_session_end(s, H2_NO_ERROR, END_UP_FULL);
        return;
    }
    balancer_ok(&up->pool->balancer, up->endpoint);
    up_session_end_when_idle(up);
    pool_look_soon(up->pool);
}

static void on_goaway(struct h2_session *s, uint32_t error, const char *why, size_t n)
{
    struct up_session *up = s->user;
    char text[ADDR_TEXT_BYTES];

    counter_add(&up->pool->worker->counters->v[COUNTER_UP_GOAWAYS], 1);
    log_event(LOG_INFO, "upstream retires a connection",
              LOG_S("upstream", up->pool->balancer.upstream->opts.name),
              LOG_S("endpoint", addr_format(&up->endpoint->addr, text)),
              LOG_I("streams", up->streams));
    up_session_note_goaway(up, error, why, n);
    up_session_retire(up, POOL_RETIRE_S, END_UP_GOAWAY);
}

static void on_limit(struct h2_session *s, enum counter which)
{
    struct up_session *up = s->user;
    counter_add(&up->pool->worker->counters->v[which], 1);
}

static void on_dead(struct h2_session *s, enum end_reason why)
{
    struct up_session *up = s->user;
    struct pool *p = up->pool;

    CHECK_MAGIC(up, UP_MAGIC);
    CHECK(up->streams == 0);
    why =
        why == END_DOWN_CLOSED ? END_UP_CLOSED : why; /* a conn does not know which side it is on */
    up_session_note_dead(up);
    ev_timer_stop(p->worker->loop, &up->left_timer);
    if (up->dialling) {
        up->endpoint->dialling--;
        p->n_dialling--;
        counter_add(&p->worker->counters->v[COUNTER_UP_DIAL_FAILURES], 1);
        note_failure(up, why);
    } else {
        counter_add(&p->worker->counters->v[COUNTER_UP_CONNS_OPEN], -1);
        if (!up->retiring && !p->freed) {
            char text[ADDR_TEXT_BYTES];
            log_event(LOG_INFO, "upstream connection ended",
                      LOG_S("upstream", p->balancer.upstream->opts.name),
                      LOG_S("endpoint", addr_format(&up->endpoint->addr, text)),
                      LOG_S("reason", end_label(why)));
        }
    }
    list_del(&up->node);
    endpoint_unref(&up->endpoint);
    up->magic = 0;
    free(up);
    pool_look_soon(p);
    pool_reap_when_unused(p);
}

static const struct h2_session_ops up_ops = {
    .on_open = on_open,
    .on_goaway = on_goaway,
    .on_limit = on_limit,
    .on_dead = on_dead,
};

static enum rc connect_session(struct pool *p, struct up_session *up)
{
    struct upstream *u = p->balancer.upstream;
    struct addr source = upstream_source(u, &up->endpoint->addr);
    struct conn *c;

    TRY(h2_session_new(p->worker, H2_DIALLED, &up_limits, &up_ops, up, &up->h2));
    SSL *ssl = root_set_new_ssl(u->roots, u->opts.server_name);
    enum rc rc = ssl == NULL ? RC_NO_MEMORY
                             : conn_dial(p->worker, &up->endpoint->addr, &source, ssl,
                                         DIAL_TIMEOUT_S, &h2_conn_ops, up->h2, &c);
    if (rc != RC_OK) {
        h2_session_free(&up->h2);
        return rc;
    }
    h2_session_bind(up->h2, c);
    return RC_OK;
}

/* Start a connection to e; a failure at once counts as a failed endpoint, so that nothing spins. */
void up_session_dial(struct pool *p, struct endpoint *e)
{
    struct up_session *up = calloc(1, sizeof(*up));
    char text[ADDR_TEXT_BYTES];

    if (up == NULL) {
        balancer_cool(&p->balancer, e, BACKOFF_FIRST_S);
        return;
    }
    up->magic = UP_MAGIC;
    up->pool = p;
    up->endpoint = endpoint_ref(e);
    up_session_leave_init(up);
    enum rc rc = connect_session(p, up);
    if (rc != RC_OK) {
        counter_add(&p->worker->counters->v[COUNTER_UP_DIAL_FAILURES], 1);
        snprintf(p->problem, sizeof(p->problem), "%s: %s", addr_format(&e->addr, text),
                 rc_text(rc));
        log_event(LOG_WARNING, "cannot connect to upstream endpoint",
                  LOG_S("upstream", p->balancer.upstream->opts.name), LOG_S("endpoint", text),
                  LOG_S("reason", rc_text(rc)));
        balancer_failed(&p->balancer, e);
        endpoint_unref(&up->endpoint);
        free(up);
        return;
    }
    up->dialling = true;
    e->dialling++;
    p->n_dialling++;
    list_add_tail(&p->sessions, &up->node);
}

/* ---- what others call ---- */

struct h2_session *up_session_h2(struct up_session *up)
{
    CHECK_MAGIC(up, UP_MAGIC);
    return up->h2;
}

const struct addr *up_session_addr(const struct up_session *up)
{
    return &up->endpoint->addr;
}

void up_session_opened(struct up_session *up)
{
    CHECK_MAGIC(up, UP_MAGIC);
    up->streams++;
    up->endpoint->active++;
}

void up_session_closed(struct up_session *up)
{
    CHECK_MAGIC(up, UP_MAGIC);
    CHECK(up->streams > 0);
    up->streams--;
    up->endpoint->active--;
    up_session_end_when_idle(up);
    if (pool_waiting(up->pool) > 0) {
        pool_look_soon(up->pool);
    }
}

bool up_session_has_other(const struct up_session *up)
{
    return balancer_has_other(&up->pool->balancer, up->endpoint);
}

void up_session_outcome(struct up_session *up, enum pool_outcome outcome)
{
    struct pool *p = up->pool;
    struct pacer *pacer = &p->balancer.upstream->pacer;
    double now = worker_now(p->worker);

    switch (outcome) {
    case POOL_RETIRED:
        return;
    case POOL_ADMITTED:
        pacer_admitted(pacer, now);
        return;
    case POOL_EXHAUSTED:
        counter_add(&p->worker->counters->v[COUNTER_UP_EXHAUSTED], 1);
        pacer_exhausted(pacer, now);
        if (balancer_has_other(&p->balancer, up->endpoint)) { /* alone, the pacer is brake enough */
            balancer_cool(&p->balancer, up->endpoint, COOL_EXHAUSTED_S);
        }
        snprintf(p->problem, sizeof(p->problem), "it answered RESOURCE_EXHAUSTED");
        return;
    case POOL_NOT_READY:
        balancer_cool(&p->balancer, up->endpoint, COOL_NOT_READY_S);
        snprintf(p->problem, sizeof(p->problem), "it answered that it is not ready");
        return;
    case POOL_SILENT:
        balancer_cool(&p->balancer, up->endpoint, COOL_SILENT_S);
        snprintf(p->problem, sizeof(p->problem), "it did not answer");
        return;
    case POOL_UNPROCESSED:
        balancer_cool(&p->balancer, up->endpoint, COOL_EXHAUSTED_S);
        return;
    }
}
