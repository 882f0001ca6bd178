/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/doctor/vm_network.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>

#include "bootstrap/bundle.h"
#include "core/base/clock.h"
#include "gateway/probe/probe.h"

/** Within less the certificate of a server is worth a word. */
#define SERVER_WARN_S (7 * 86400)

/* One server at one address. */
struct target {
    struct verify_report *r;
    const struct verify_server *server;
    struct root_set *roots;
    const char *address;
    double timeout;
    bool installed;  /* what is looked at is of this machine, else a folder */
    char where[128]; /* "ADDRESS:PORT (NAME)" */
};

/* What to do when it does not work. */
static const char *cure_of(const struct probe_result *p)
{
    switch (p->end) {
    case PROBE_OK:
        return "";
    case PROBE_NO_SOURCE: /* none is asked for */
    case PROBE_NO_CONNECTION:
        return "is xdsgate running there, and does every firewall on the way let this port "
               "through?";
    case PROBE_NO_ANSWER:
        return "a firewall that looks into TLS, or large packets that get lost: compare with a "
               "smaller MTU, ip link set dev DEVICE mtu 1300";
    case PROBE_CLOSED:
        return "xdsgate serves no route for this name, or this is another service: look at its log";
    case PROBE_NOT_BELIEVED:
        return "xdsgate cert show on the gateway says for whom its certificate is, and by which "
               "roots; a new bundle has the mesh's roots";
    case PROBE_WANTS_CERTIFICATE:
    case PROBE_TLS:
    case PROBE_NO_H2:
        return "is this the port of an xdsgate, 15012?";
    }
    return "";
}

/* A certificate from the future is a clock that is behind. */
static void check_dates(const struct target *t, const struct probe_result *p)
{
    int64_t now = clock_wall();

    if (p->from > now) {
        verify_add(t->r, VERIFY_BAD, "clock", "set the clock: timedatectl",
                   "this machine's clock is behind: the certificate of %s begins %lld s from now",
                   t->where, (long long)(p->from - now));
    } else if (p->to != 0 && p->to < now) {
        verify_add(t->r, VERIFY_BAD, "clock",
                   "renew it on the gateway: xdsgate cert issue --renew; or set this clock",
                   "the certificate of %s has expired, or this machine's clock is ahead", t->where);
    } else if (p->end == PROBE_OK && p->to - now < SERVER_WARN_S) {
        verify_add(t->r, VERIFY_WARN, "network",
                   "renew it on the gateway: xdsgate cert issue --renew",
                   "the certificate of %s expires in %lld hours", t->where,
                   (long long)(p->to - now) / 3600);
    }
}

/* The same again with a ClientHello of two packets, as an agent sends it. */
static enum rc try_large(const struct target *t, struct probe_opts o)
{
    struct probe_result p;

    o.large = true;
    TRY(probe_run(&o, &p));
    if (p.end != PROBE_OK) {
        verify_add(t->r, VERIFY_BAD, "MTU",
                   "find the MTU of the way (ping -M do -s SIZE) and set it: ip link set dev "
                   "DEVICE mtu N",
                   "large packets to %s get lost: a small TLS hello is answered, one of two "
                   "packets is not (%s; the kernel believes in an MTU of %u)",
                   t->where, p.why, p.path_mtu);
    }
    return RC_OK;
}

/* A gateway may show a certificate by none of the roots that the bundle has for it alone; but so it
 * looks, too, when it does not send its intermediate, or when istiod answers in its place. */
static void say_failure(const struct target *t, const struct probe_result *p)
{
    if (!p->unknown_root || !t->server->own_roots) {
        verify_add(t->r, VERIFY_BAD, "network", cure_of(p), "%s: %s", t->where, p->why);
        return;
    }
    verify_add(t->r, VERIFY_BAD, "network",
               "xdsgate cert show on the gateway says by whom its certificate is and whether its "
               "chain is whole; another root comes by xdsgate bundle renew --gateway-root FILE; a "
               "route that passes through shows istiod's certificate",
               "%s: %s: by no root in %s", t->where, p->why,
               t->installed ? BUNDLE_GATEWAY_ROOT_PATH : BUNDLE_GATEWAY_ROOT);
}

static enum rc try_target(const struct target *t)
{
    struct addr peer;
    struct probe_result p;

    if (addr_parse_ip(t->address, &peer) != RC_OK) {
        return RC_OK; /* verify has said so */
    }
    peer.port = (uint16_t)strtoul(t->server->port, NULL, 10);
    struct probe_opts o = {
        .peer = &peer, .server_name = t->server->host, .roots = t->roots, .timeout_s = t->timeout};
    TRY(probe_run(&o, &p));
    check_dates(t, &p);
    if (p.end != PROBE_OK) {
        say_failure(t, &p);
        return RC_OK;
    }
    verify_add(t->r, VERIFY_GOOD, "network", "",
               "%s answers with a certificate that is believed (%.0f ms, MTU %u)", t->where,
               p.total_s * 1000, p.path_mtu);
    return try_large(t, o);
}

/* ---- names ---- */

static bool is_known(const struct verify_server *s, const char *address)
{
    for (size_t i = 0; i < s->n_addresses; i++) {
        if (strcmp(s->addresses[i], address) == 0) {
            return true;
        }
    }
    return false;
}

/* What the system makes of the name, which is what the agent gets. Bundles in a folder are for
 * another machine: their hosts lines count, if there are some. */
static void resolve(struct verify_report *r, struct verify_server *s, bool installed)
{
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct verify_server as_found = *s;

    if (!installed && s->n_addresses > 0) {
        return;
    }
    int error = getaddrinfo(s->host, NULL, &hints, &found);
    if (error != 0) {
        verify_add(r, VERIFY_BAD, "name", "add a line to /etc/hosts: ADDRESS-OF-XDSGATE NAME",
                   "%s is not known: %s", s->host, gai_strerror(error));
        s->n_addresses = 0;
        return;
    }
    as_found.n_addresses = 0;
    for (const struct addrinfo *i = found; i != NULL; i = i->ai_next) {
        char *address = as_found.addresses[as_found.n_addresses];
        if (as_found.n_addresses < VERIFY_ADDRESSES_MAX &&
            getnameinfo(i->ai_addr, i->ai_addrlen, address, sizeof(as_found.addresses[0]), NULL, 0,
                        NI_NUMERICHOST) == 0) {
            as_found.n_addresses++;
        }
    }
    freeaddrinfo(found);
    for (size_t i = 0; i < s->n_addresses; i++) {
        if (!is_known(&as_found, s->addresses[i])) {
            verify_add(r, VERIFY_WARN, "name", "getent ahosts NAME says what programs get",
                       "/etc/hosts has %s for %s, but programs are not given it", s->addresses[i],
                       s->host);
        }
    }
    *s = as_found;
}

static enum rc try_addresses(struct verify_report *r, const struct verify_server *s,
                             struct root_set *roots, bool installed, double timeout)
{
    for (size_t i = 0; i < s->n_addresses; i++) {
        struct target t = {.r = r,
                           .server = s,
                           .roots = roots,
                           .address = s->addresses[i],
                           .timeout = timeout,
                           .installed = installed};
        bool v6 = strchr(t.address, ':') != NULL;
        (void)snprintf(t.where, sizeof(t.where), v6 ? "[%s]:%s (%.60s)" : "%s:%s (%.60s)",
                       t.address, s->port, s->host);
        TRY(try_target(&t));
    }
    return RC_OK;
}

static enum rc try_server(struct verify_report *r, struct verify_server *s, bool installed,
                          double timeout)
{
    struct root_set *roots = NULL;
    struct cert_error err;

    if (s->roots[0] == '\0') {
        return RC_OK; /* a finding says why */
    }
    enum rc rc = root_set_load(s->roots, &roots, &err);
    if (rc == RC_INVALID) {
        verify_add(r, VERIFY_BAD, "network", "", "%s %s", s->roots, err.text);
        return RC_OK;
    }
    TRY(rc);
    resolve(r, s, installed);
    rc = try_addresses(r, s, roots, installed, timeout);
    root_set_unref(&roots);
    return rc;
}

static enum rc try_servers(struct verify_report *r, bool installed, double timeout)
{
    for (size_t i = 0; i < r->n_servers; i++) {
        TRY(try_server(r, &r->servers[i], installed, timeout));
    }
    return RC_OK;
}

enum rc vm_network_try(struct verify_report *r, const struct verify_opts *installed, double timeout)
{
    if (r->n_servers == 0) {
        return RC_OK; /* a finding says why */
    }
    if (!vm_network_is_free(installed)) {
        verify_add(
            r, VERIFY_WARN, "network", "run this as root",
            "was not tried: Istio's iptables lead what others than the agent connect to into "
            "Envoy");
        return RC_OK;
    }
    gid_t before = vm_network_enter(installed);
    enum rc rc = try_servers(r, installed != NULL, timeout);
    vm_network_leave(before);
    return rc;
}

gid_t vm_network_enter(const struct verify_opts *installed)
{
    if (installed == NULL || installed->agent_uid == VERIFY_NO_USER) {
        return (gid_t)-1;
    }
    return (gid_t)setfsgid(installed->agent_gid);
}

bool vm_network_is_free(const struct verify_opts *installed)
{
    gid_t before = vm_network_enter(installed);

    if (before == (gid_t)-1) {
        return true;
    }
    bool is_free = (gid_t)setfsgid((gid_t)-1) == installed->agent_gid; /* changes nothing */
    vm_network_leave(before);
    return is_free;
}

void vm_network_leave(gid_t before)
{
    if (before != (gid_t)-1) {
        (void)setfsgid(before);
    }
}
