/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is there a way to where Envoy sends requests? Envoy itself says where that is: /clusters of its
 * admin page (Envoy: source/server/admin/clusters_handler.cc), with lines such as
 * outbound|80||web.shop.svc.cluster.local::10.1.2.3:8080::health_flags::healthy
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/net/sock.h"
#include "gateway/doctor/vm_clusters.h"
#include "gateway/doctor/vm_internal.h"

#define ADMIN_PORT 15000
#define ANSWER_MAX_BYTES (8U * 1024 * 1024)

/** For each address, when --timeout allows more. */
#define TRY_MAX_S 2.0

static bool wait_for(int fd, short events, double until)
{
    for (;;) {
        double left = until - clock_mono();
        struct pollfd p = {.fd = fd, .events = events};
        if (left <= 0) {
            return false;
        }
        if (poll(&p, 1, (int)(left * 1000) + 1) > 0) {
            return true;
        }
    }
}

/* A socket that is connected; RC_TIMEOUT, RC_REFUSED, ... when there is none. */
static enum rc connect_to(const struct addr *to, double until, int *out)
{
    const struct addr any = {.family = ADDR_NONE};
    int fd = -1;

    TRY(sock_connect(to, &any, &fd));
    enum rc rc;
    while ((rc = sock_connect_result(fd)) == RC_AGAIN) {
        if (!wait_for(fd, POLLOUT, until)) {
            rc = RC_TIMEOUT;
            break;
        }
    }
    if (rc != RC_OK) {
        (void)close(fd);
        return rc;
    }
    *out = fd;
    return RC_OK;
}

/* Reads the page into the list. False: nothing answers there as Envoy does. */
static bool read_clusters(int fd, double until, struct vm_clusters *c)
{
    static const char request[] = "GET /clusters HTTP/1.1\r\nHost: localhost\r\n"
                                  "Connection: close\r\n\r\n";
    char part[16384];
    size_t total = 0;

    if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1) {
        return false;
    }
    while (total < ANSWER_MAX_BYTES && wait_for(fd, POLLIN, until)) {
        ssize_t n = recv(fd, part, sizeof(part), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        total += (size_t)n;
        vm_clusters_feed(c, part, (size_t)n);
    }
    return vm_clusters_answered(c);
}

/* Refused is reached: somebody answers there. */
static void try_all(const struct doctor_vm_opts *o, struct doctor_report *r,
                    const struct vm_clusters *c)
{
    double patience = o->timeout_s < TRY_MAX_S ? o->timeout_s : TRY_MAX_S;
    char text[ADDR_TEXT_BYTES];
    char count[16];
    enum rc last = RC_OK;

    for (size_t i = 0; i < c->n; i++) {
        int fd = -1;
        last = connect_to(&c->list[i], clock_mono() + patience, &fd);
        if (last == RC_OK) {
            (void)close(fd);
        }
        if (last == RC_OK || last == RC_REFUSED) {
            doctor_looked(r, "the way to %s, where Envoy sends requests",
                          addr_format_ip(&c->list[i], text));
            return;
        }
    }
    (void)snprintf(count, sizeof(count), "%zu", c->n);
    doctor_find(r, DOCTOR_VM_PODS, count, addr_format_ip(&c->list[c->n - 1], text), rc_text(last),
                NULL);
}

void vm_look_at_pods(const struct doctor_vm_opts *o, struct doctor_report *r)
{
    struct addr admin;
    struct vm_clusters *c = calloc(1, sizeof(*c));
    int fd = -1;

    if (c == NULL || addr_parse_ip("127.0.0.1", &admin) != RC_OK) {
        free(c);
        return;
    }
    admin.port = ADMIN_PORT;
    double until = clock_mono() + o->timeout_s;
    bool known = connect_to(&admin, until, &fd) == RC_OK && read_clusters(fd, until, c);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (!known) {
        doctor_skipped(r, "the way to the pods: Envoy does not say where they are (127.0.0.1:%u)",
                       ADMIN_PORT);
    } else if (c->n == 0) {
        doctor_skipped(r, "the way to the pods: Envoy knows of none");
    } else {
        try_all(o, r, c);
    }
    free(c);
}
