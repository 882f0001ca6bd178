/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses and ports of a configuration, on this machine. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/doctor/doctor.h"
#include "gateway/doctor/proc.h"

/* What bind() says; 0: it may be. */
static int try_bind(const struct addr *a, int type)
{
    struct sockaddr_storage sa;
    const int on = 1;
    int fd = socket(a->family == ADDR_V6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);
    int result = 0;

    if (fd < 0) {
        return errno;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->family == ADDR_V6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    socklen_t n = addr_to_sockaddr(a, &sa);
    if (bind(fd, (const struct sockaddr *)&sa, n) != 0) {
        result = errno;
    }
    (void)close(fd);
    return result;
}

static void look_at_source(const struct upstream_opts *o, struct addr a, struct doctor_report *r)
{
    char text[ADDR_TEXT_BYTES];

    a.port = 0;
    if (a.family != ADDR_NONE && try_bind(&a, SOCK_DGRAM) == EADDRNOTAVAIL) {
        doctor_find(r, DOCTOR_SOURCE_NOT_LOCAL, o->name, addr_format_ip(&a, text), NULL);
    }
}

/* what: listens there, for people. */
static void look_at_user(const char *what, const struct addr *a, struct doctor_report *r)
{
    struct proc_listener who;
    char text[ADDR_TEXT_BYTES];
    char program[100];
    char port[8];

    bool found = proc_find_listener(a->port, &who);
    if (found && who.pid != 0 && strcmp(who.name, "xdsgate") == 0) {
        return;
    }
    if (!found || who.pid == 0) {
        doctor_skipped(r, "who listens on port %u: run this as root", a->port);
        return;
    }
    (void)snprintf(program, sizeof(program), "%s (process %d)", who.name, (int)who.pid);
    (void)snprintf(port, sizeof(port), "%u", a->port);
    doctor_find(r, DOCTOR_PORT_IN_USE, what, addr_format(a, text), program, port, NULL);
}

static void look_at_bind(const char *what, const struct addr *a, struct doctor_report *r)
{
    char text[ADDR_TEXT_BYTES];

    switch (try_bind(a, SOCK_STREAM)) {
    case EADDRNOTAVAIL:
        doctor_find(r, DOCTOR_BIND_NOT_LOCAL, what, addr_format_ip(a, text), NULL);
        break;
    case EADDRINUSE:
        look_at_user(what, a, r);
        break;
    default:
        break;
    }
}

void doctor_machine(const struct config *c, struct doctor_report *r)
{
    for (size_t i = 0; i < c->n_upstreams; i++) {
        look_at_source(&c->upstreams[i].opts, c->upstreams[i].opts.source_v4, r);
        look_at_source(&c->upstreams[i].opts, c->upstreams[i].opts.source_v6, r);
    }
    for (size_t i = 0; i < c->n_listeners; i++) {
        const struct config_listener *l = &c->listeners[i];
        char what[300];
        (void)snprintf(what, sizeof(what), "listener %.200s", l->name);
        for (size_t k = 0; k < l->n_bind; k++) {
            look_at_bind(what, &l->bind[k], r);
        }
    }
    if (c->admin.bind.family != ADDR_NONE) {
        look_at_bind("`admin`", &c->admin.bind, r);
    }
    if (c->admin.metrics_bind.family != ADDR_NONE) {
        look_at_bind("`metrics`", &c->admin.metrics_bind, r);
    }
    doctor_looked(r, "the addresses and ports of the configuration, on this machine");
}
