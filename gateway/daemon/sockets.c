/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/net/sock.h"

/* A worker's open socket for the address, or -1. */
static int find_open(const struct sockets *s, unsigned worker, const struct addr *a)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct handover_socket *row = &s->rows[worker * s->n + i];
        if (addr_same_ip(&row->addr, a) && row->addr.port == a->port) {
            return row->fd;
        }
    }
    return -1;
}

static enum rc open_all(struct sockets *s, struct sockets_plan *plan, size_t i, char *err,
                        size_t err_size)
{
    char text[ADDR_TEXT_BYTES];
    const char *what;
    struct addr a = plan->rows[i].addr;

    if (find_open(s, 0, &a) >= 0) {
        return RC_OK;
    }
    for (unsigned w = 0; w < s->n_workers; w++) {
        int *fd = &plan->rows[w * plan->n + i].fd;
        *fd = handover_pick(&s->inherited, &a);
        enum rc rc = *fd >= 0 ? RC_OK : sock_listen(&a, true, fd, &what);
        if (rc != RC_OK) {
            snprintf(err, err_size, "cannot listen on %s: %s: %m", addr_format(&a, text), what);
            return rc;
        }
    }
    return RC_OK;
}

static size_t count_binds(const struct config *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_listeners; i++) {
        n += c->listeners[i].n_bind;
    }
    return n;
}

static void list_binds(const struct config *c, struct sockets_plan *plan, unsigned n_workers)
{
    size_t at = 0;
    for (size_t i = 0; i < c->n_listeners; i++) {
        for (size_t k = 0; k < c->listeners[i].n_bind; k++, at++) {
            for (unsigned w = 0; w < n_workers; w++) {
                plan->rows[w * plan->n + at] = (struct gate_socket){c->listeners[i].bind[k], -1};
            }
        }
    }
}

enum rc sockets_plan(struct sockets *s, const struct config *c, struct sockets_plan *out, char *err,
                     size_t err_size)
{
    struct sockets_plan plan = {.n = count_binds(c)};

    plan.rows = calloc(plan.n * s->n_workers + 1, sizeof(*plan.rows));
    if (plan.rows == NULL) {
        snprintf(err, err_size, "%s", rc_text(RC_NO_MEMORY));
        return RC_NO_MEMORY;
    }
    list_binds(c, &plan, s->n_workers);
    for (size_t i = 0; i < plan.n; i++) {
        enum rc rc = open_all(s, &plan, i, err, err_size);
        if (rc != RC_OK) {
            sockets_plan_close(&plan, s->n_workers);
            sockets_plan_free(&plan);
            return rc;
        }
    }
    *out = plan;
    return RC_OK;
}

enum rc sockets_commit(struct sockets *s, const struct sockets_plan *plan)
{
    struct handover_socket *rows = calloc(plan->n * s->n_workers + 1, sizeof(*rows));

    if (rows == NULL) {
        return RC_NO_MEMORY;
    }
    for (unsigned w = 0; w < s->n_workers; w++) {
        for (size_t i = 0; i < plan->n; i++) {
            const struct gate_socket *row = &plan->rows[w * plan->n + i];
            int fd = row->fd >= 0 ? row->fd : find_open(s, w, &row->addr);
            rows[w * plan->n + i] = (struct handover_socket){row->addr, fd};
        }
    }
    free(s->rows);
    s->rows = rows;
    s->n = plan->n;
    return RC_OK;
}

size_t sockets_count(const struct sockets *s)
{
    return s->n * s->n_workers;
}

void sockets_plan_close(struct sockets_plan *plan, unsigned n_workers)
{
    for (size_t i = 0; i < plan->n * n_workers; i++) {
        if (plan->rows[i].fd >= 0) {
            close(plan->rows[i].fd);
            plan->rows[i].fd = -1;
        }
    }
}

void sockets_plan_free(struct sockets_plan *plan)
{
    free(plan->rows);
    *plan = (struct sockets_plan){0};
}

void sockets_fini(struct sockets *s)
{
    handover_in_fini(&s->inherited);
    free(s->rows);
    s->rows = NULL;
}
