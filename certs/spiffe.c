/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPIFFE IDs of Istio workloads. One form only: "spiffe://TD/ns/NS/sa/SA", nothing before, between
 * or after. Kubernetes names: RFC 1123 labels and subdomains. A trust domain may hold "_" as well
 * (SPIFFE-ID 2.1), which is as harmless in a header.
 */
#include "certs/spiffe.h"

#include <stdio.h>
#include <string.h>

/** Of the control plane: a VM with such an identity would be the control plane. */
static const char *const reserved_ns[] = {"istio-system", "kube-system"};

enum name_kind { NAME_LABEL, NAME_SUBDOMAIN, NAME_TRUST_DOMAIN };

/* A piece of text that is not zero-terminated. */
struct piece {
    const char *s;
    size_t n;
};

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/*
 * Letters and digits, with "-", "." and "_" between them where the kind allows. size includes a
 * final zero.
 */
static bool is_name(struct piece p, enum name_kind kind, size_t size)
{
    if (p.n == 0 || p.n >= size || !is_alnum(p.s[0]) || !is_alnum(p.s[p.n - 1])) {
        return false;
    }
    for (size_t i = 0; i < p.n; i++) {
        char c = p.s[i];
        if (is_alnum(c) || c == '-' || (c == '_' && kind == NAME_TRUST_DOMAIN)) {
            continue;
        }
        /*
         * The neighbours of a dot end and start a label. i is neither the first nor the last here.
         */
        if (c != '.' || kind == NAME_LABEL || !is_alnum(p.s[i - 1]) || !is_alnum(p.s[i + 1])) {
            return false;
        }
    }
    return true;
}

static bool skip_text(struct piece *p, const char *text)
{
    size_t n = strlen(text);
    if (p->n < n || memcmp(p->s, text, n) != 0) {
        return false;
    }
    p->s += n;
    p->n -= n;
    return true;
}

/* What comes before the next "/", or all the rest. */
static struct piece take_part(struct piece *p)
{
    struct piece part = {p->s, 0};
    while (part.n < p->n && p->s[part.n] != '/') {
        part.n++;
    }
    p->s += part.n;
    p->n -= part.n;
    return part;
}

/* "NS/sa/SA" behind "ns/" into two parts; nothing may be left over. */
static bool split_ns_sa(struct piece p, struct piece *ns, struct piece *sa)
{
    *ns = take_part(&p);
    if (!skip_text(&p, "/sa/")) {
        return false;
    }
    *sa = take_part(&p);
    return p.n == 0;
}

static void copy_piece(struct piece p, char *dst)
{
    memcpy(dst, p.s, p.n);
    dst[p.n] = '\0';
}

enum rc spiffe_parse(const char *uri, size_t n, struct spiffe_id *out)
{
    struct piece p = {uri, n};
    struct piece ns;
    struct piece sa;

    if (!skip_text(&p, "spiffe://")) {
        return RC_PEER_MALFORMED;
    }
    struct piece td = take_part(&p);
    if (!skip_text(&p, "/ns/") || !split_ns_sa(p, &ns, &sa)) {
        return RC_PEER_MALFORMED;
    }
    if (!is_name(td, NAME_TRUST_DOMAIN, SPIFFE_TD_BYTES) ||
        !is_name(ns, NAME_LABEL, SPIFFE_NS_BYTES) ||
        !is_name(sa, NAME_SUBDOMAIN, SPIFFE_SA_BYTES)) {
        return RC_PEER_MALFORMED;
    }
    copy_piece(td, out->trust_domain);
    copy_piece(ns, out->ns);
    copy_piece(sa, out->sa);
    return RC_OK;
}

size_t spiffe_format(const struct spiffe_id *id, char *buf)
{
    return (size_t)snprintf(buf, SPIFFE_URI_BYTES, "spiffe://%s/ns/%s/sa/%s", id->trust_domain,
                            id->ns, id->sa);
}

static bool piece_is(struct piece p, const char *text)
{
    return strlen(text) == p.n && memcmp(p.s, text, p.n) == 0;
}

static bool is_reserved_ns(struct piece ns)
{
    for (size_t i = 0; i < sizeof(reserved_ns) / sizeof(*reserved_ns); i++) {
        if (piece_is(ns, reserved_ns[i])) {
            return true;
        }
    }
    return false;
}

static bool parse_pattern(const char *pattern, struct piece *ns, struct piece *sa)
{
    struct piece p = {pattern, strlen(pattern)};
    return skip_text(&p, "ns/") && split_ns_sa(p, ns, sa);
}

enum rc spiffe_pattern_check(const char *pattern)
{
    struct piece ns;
    struct piece sa;

    if (!parse_pattern(pattern, &ns, &sa) || is_reserved_ns(ns)) {
        return RC_INVALID;
    }
    if (!piece_is(ns, "*") && !is_name(ns, NAME_LABEL, SPIFFE_NS_BYTES)) {
        return RC_INVALID;
    }
    if (!piece_is(sa, "*") && !is_name(sa, NAME_SUBDOMAIN, SPIFFE_SA_BYTES)) {
        return RC_INVALID;
    }
    return RC_OK;
}

bool spiffe_allowed(const struct spiffe_id *id, const char *const *patterns)
{
    struct piece ns;
    struct piece sa;

    if (patterns == NULL || is_reserved_ns((struct piece){id->ns, strlen(id->ns)})) {
        return false;
    }
    for (; *patterns != NULL; patterns++) {
        if (parse_pattern(*patterns, &ns, &sa) && (piece_is(ns, "*") || piece_is(ns, id->ns)) &&
            (piece_is(sa, "*") || piece_is(sa, id->sa))) {
            return true;
        }
    }
    return false;
}
