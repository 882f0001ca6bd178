/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/net/sock.h"

static bool is_open(const struct sockets *s, const struct addr *a)
{
    for (size_t i = 0; i < s->n; i++) {
        if (addr_same_ip(&s->addrs[i], a) && s->addrs[i].port == a->port) {
            return true;
        }
    }
    return false;
}

static enum rc open_all(const struct sockets *s, struct sockets_plan *plan, size_t i, char *err,
                        size_t err_size)
{
    char text[ADDR_TEXT_BYTES];
    const char *what;
    struct addr a = plan->rows[i].addr;

    if (is_open(s, &a)) {
        return RC_OK;
    }
    for (unsigned w = 0; w < s->n_workers; w++) {
        enum rc rc = sock_listen(&a, true, &plan->rows[w * plan->n + i].fd, &what);
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

enum rc sockets_plan(const struct sockets *s, const struct config *c, struct sockets_plan *out,
                     char *err, size_t err_size)
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
    struct addr *addrs = calloc(plan->n + 1, sizeof(*addrs));

    if (addrs == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i < plan->n; i++) {
        addrs[i] = plan->rows[i].addr;
    }
    free(s->addrs);
    s->addrs = addrs;
    s->n = plan->n;
    return RC_OK;
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
    free(s->addrs);
    *s = (struct sockets){0};
}
