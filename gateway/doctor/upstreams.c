/* SPDX-License-Identifier: Apache-2.0 */
/* istiod as it is reached from here: does it answer, is it believed, and whom does it believe? */
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "gateway/doctor/doctor.h"
#include "gateway/probe/ads.h"
#include "gateway/probe/probe.h"

/** Addresses of one name that are looked at. */
#define ADDRESSES_MAX 16

/** A rate limit of istiod's is over within a second (Istio: pilot/pkg/xds/discovery.go). */
#define TRIES 3

/* One address of an upstream. */
struct target {
    const struct doctor_upstream *u;
    const struct doctor_upstream *like; /* whose name and roots are asked with */
    const struct doctor_upstream *list; /* all of them */
    size_t n;
    struct addr peer;
    struct addr source;
    char where[ADDR_TEXT_BYTES];
    char from[ADDR_TEXT_BYTES]; /* the source, for people */
    double timeout_s;
    struct doctor_report *r;
};

/* ---- whom it believes ---- */

static int bits_of(int family)
{
    return family == ADDR_V6 ? 128 : 32;
}

const char *doctor_own_entries(const struct doctor_upstream *list, size_t n, int family,
                               char buf[DOCTOR_ENTRIES_BYTES])
{
    size_t len = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < n && len + ADDR_TEXT_BYTES + 32 < DOCTOR_ENTRIES_BYTES; i++) {
        const struct addr *a = family == ADDR_V6 ? &list[i].source_v6 : &list[i].source_v4;
        char text[ADDR_TEXT_BYTES];
        if (list[i].xfcc && a->family != ADDR_NONE) {
            len += (size_t)snprintf(buf + len, DOCTOR_ENTRIES_BYTES - len, "%s%s/%d",
                                    len > 0 ? "," : " (this one: ", addr_format_ip(a, text),
                                    bits_of(family));
        }
    }
    if (len > 0) {
        (void)snprintf(buf + len, DOCTOR_ENTRIES_BYTES - len, ")");
    }
    return buf;
}

static enum rc ask(const struct target *t, bool nameless, struct probe_ads_result *out)
{
    const struct probe_ads_opts o = {.peer = &t->peer,
                                     .source = t->source,
                                     .server_name = t->like->server_name,
                                     .roots = t->like->roots,
                                     .timeout_s = t->timeout_s,
                                     .nameless = nameless};

    for (int i = 0; i < TRIES; i++) {
        TRY(probe_ads(&o, out));
        if (out->end != PROBE_ADS_BUSY) {
            break;
        }
    }
    return RC_OK;
}

static void find_with_why(const struct target *t, enum doctor_cause cause,
                          const struct probe_ads_result *a)
{
    doctor_find(t->r, cause, t->u->name, t->where, a->why[0] != '\0' ? a->why : "no reason given",
                t->like->server_name, NULL);
}

/* Says why nothing is known, if nothing is. */
static bool is_known(const struct target *t, const struct probe_ads_result *a)
{
    if (a->end == PROBE_ADS_REFUSED || a->end == PROBE_ADS_TAKEN) {
        return true;
    }
    if (!t->u->asks) { /* another service may be there */
        doctor_skipped(t->r,
                       "whether %s, where upstream %s passes VMs on to, believes "
                       "x-forwarded-client-cert from %s: %s",
                       t->where, t->u->name, t->from,
                       a->why[0] != '\0' ? a->why : "it gave no answer");
        return false;
    }
    switch (a->end) {
    case PROBE_ADS_BUSY:
        find_with_why(t, DOCTOR_UPSTREAM_BUSY, a);
        break;
    case PROBE_ADS_NOT_ISTIO:
        find_with_why(t, DOCTOR_UPSTREAM_NOT_ISTIOD, a);
        break;
    case PROBE_ADS_NO_TLS:
    case PROBE_ADS_NO_ANSWER:
    case PROBE_ADS_REFUSED:
    case PROBE_ADS_TAKEN:
        find_with_why(t, DOCTOR_UPSTREAM_SILENT, a);
        break;
    }
    return false;
}

static enum rc look_at_trust(const struct target *t)
{
    struct probe_ads_result named;
    struct probe_ads_result nameless;
    char entries[DOCTOR_ENTRIES_BYTES];
    char entry[ADDR_TEXT_BYTES + 8];

    TRY(ask(t, true, &nameless));
    if (!is_known(t, &nameless)) {
        return RC_OK;
    }
    if (nameless.end == PROBE_ADS_TAKEN) {
        doctor_find(t->r, DOCTOR_XDS_OPEN, t->u->name, t->where, NULL);
        return RC_OK;
    }
    TRY(ask(t, false, &named));
    if (!is_known(t, &named)) {
        return RC_OK;
    }
    doctor_looked(t->r, "istiod at %s, upstream %s: it %s x-forwarded-client-cert from %s",
                  t->where, t->u->name,
                  named.end == PROBE_ADS_TAKEN ? "believes" : "does not believe", t->from);
    if (named.end == PROBE_ADS_TAKEN && t->u->passes) {
        doctor_find(t->r, DOCTOR_XFCC_BELIEVED, t->u->name, t->where, t->from,
                    doctor_own_entries(t->list, t->n, t->peer.family, entries), NULL);
    }
    if (named.end == PROBE_ADS_REFUSED && t->u->xfcc) {
        (void)snprintf(entry, sizeof(entry), "%s/%d", t->from, bits_of(t->peer.family));
        doctor_find(t->r, DOCTOR_XFCC_NOT_TRUSTED, t->u->name, t->where, t->from, entry, NULL);
    }
    return RC_OK;
}

/* ---- one address ---- */

static void find_tls(const struct target *t, const struct probe_result *p)
{
    const char *name = t->like != NULL ? t->like->server_name : "";

    switch (p->end) {
    case PROBE_OK:
        break;
    case PROBE_NO_SOURCE: /* said as source-not-local */
        doctor_skipped(t->r, "upstream %s at %s: %s is no address of this machine", t->u->name,
                       t->where, t->from);
        break;
    case PROBE_NO_CONNECTION:
        doctor_find(t->r, DOCTOR_UPSTREAM_UNREACHABLE, t->u->name, t->where, p->why, NULL);
        break;
    case PROBE_NOT_BELIEVED:
        doctor_find(t->r, DOCTOR_UPSTREAM_CERTIFICATE, t->u->name, t->where, name, p->why, NULL);
        break;
    case PROBE_WANTS_CERTIFICATE:
        doctor_find(t->r, DOCTOR_UPSTREAM_WANTS_CERTIFICATE, t->u->name, t->where, p->why, name,
                    NULL);
        break;
    case PROBE_NO_ANSWER:
    case PROBE_CLOSED:
    case PROBE_TLS:
    case PROBE_NO_H2:
        doctor_find(t->r, DOCTOR_UPSTREAM_TLS, t->u->name, t->where, p->why, name, NULL);
        break;
    }
}

static enum rc look_at_address(const struct target *t)
{
    struct probe_result p;
    const struct probe_opts o = {.peer = &t->peer,
                                 .source = t->source,
                                 .server_name = t->like != NULL ? t->like->server_name : NULL,
                                 .roots = t->like != NULL ? t->like->roots : NULL,
                                 .timeout_s = t->timeout_s};

    TRY(probe_run(&o, &p));
    bool says = t->u->asks || p.end == PROBE_NO_CONNECTION || p.end == PROBE_NO_SOURCE;
    if (says) {
        find_tls(t, &p);
    }
    if (t->like == NULL) {
        if (p.end != PROBE_NO_SOURCE) {
            doctor_looked(t->r, "upstream %s at %s: whether it can be connected to", t->u->name,
                          t->where);
        }
        return RC_OK;
    }
    if (p.end == PROBE_OK) {
        return look_at_trust(t);
    }
    if (!says) {
        doctor_skipped(t->r, "upstream %s at %s: it is no istiod that is believed here: %s",
                       t->u->name, t->where, p.why);
    }
    return RC_OK;
}

/* ---- all of them ---- */

/* As upstream_may_connect() says: the daemon connects nowhere else. One that no route needs is
 * tried, too. */
static bool keep_what_connects(struct doctor_upstream *u, const struct addr *peer,
                               const struct addr *source)
{
    bool has = source->family != ADDR_NONE;
    bool is_used = u->asks || u->passes;

    if (!u->must_hold) {
        return true;
    }
    u->asks = u->asks && (has || !u->xfcc);
    u->passes = u->passes && has && !addr_is_loopback(peer);
    return u->asks || u->passes || !is_used;
}

static enum rc look_at_peer(const struct target *any, const struct addr *peer)
{
    struct doctor_upstream u = *any->u;
    struct target t = *any;
    bool v6 = peer->family == ADDR_V6;

    t.u = &u;
    t.peer = *peer;
    t.source = v6 ? u.source_v6 : u.source_v4;
    (void)addr_format(&t.peer, t.where);
    if (!keep_what_connects(&u, &t.peer, &t.source)) {
        doctor_skipped(t.r, "upstream %s at %s: the daemon does not connect there: %s", u.name,
                       t.where,
                       t.source.family != ADDR_NONE ? "it is loopback"
                       : v6                         ? "`source_address` has no IPv6 address"
                                                    : "`source_address` has no IPv4 address");
        return RC_OK;
    }
    if (t.source.family == ADDR_NONE) {
        (void)snprintf(t.from, sizeof(t.from), "the address that the kernel chooses");
    } else {
        (void)addr_format_ip(&t.source, t.from);
    }
    return look_at_address(&t);
}

static enum rc look_at_endpoint(const struct target *t, const struct upstream_endpoint_name *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    struct addr peer;
    size_t n = 0;
    enum rc rc = RC_OK;

    if (addr_parse_ip(e->host, &peer) == RC_OK) {
        peer.port = e->port;
        return look_at_peer(t, &peer);
    }
    int error = getaddrinfo(e->host, NULL, &hints, &found);
    if (error != 0) {
        doctor_find(t->r, DOCTOR_UPSTREAM_NAME, t->u->name, e->host, gai_strerror(error), NULL);
        return RC_OK;
    }
    for (struct addrinfo *i = found; i != NULL && rc == RC_OK && n < ADDRESSES_MAX;
         i = i->ai_next) {
        addr_from_sockaddr(i->ai_addr, &peer);
        peer.port = e->port;
        if (peer.family != ADDR_NONE) {
            rc = look_at_peer(t, &peer);
            n++;
        }
    }
    freeaddrinfo(found);
    return rc;
}

enum rc doctor_upstreams(const struct doctor_upstream *list, size_t n,
                         const struct doctor_upstream *like, double timeout_s,
                         struct doctor_report *r)
{
    const struct doctor_upstream *others = like->roots != NULL ? like : NULL;

    for (size_t i = 0; i < n; i++) {
        const struct doctor_upstream *u = &list[i];
        const struct target t = {.u = u,
                                 .like = u->roots != NULL ? u : others,
                                 .list = list,
                                 .n = n,
                                 .timeout_s = timeout_s,
                                 .r = r};
        for (size_t k = 0; k < u->n_endpoints; k++) {
            TRY(look_at_endpoint(&t, &u->endpoints[k]));
        }
        for (size_t k = 0; k < u->n_found; k++) {
            TRY(look_at_peer(&t, &u->found[k]));
        }
        if (t.like == NULL && u->passes) {
            doctor_skipped(r,
                           "whom istiod behind upstream %s believes: the mesh's roots are not "
                           "known; --roots FILE has them, or --kubeconfig FILE names somebody who "
                           "may read them",
                           u->name);
        }
    }
    return RC_OK;
}
