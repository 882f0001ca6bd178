/* SPDX-License-Identifier: Apache-2.0 */
/* Which TCP peers may speak for others: the sandbox's TRUSTED_GATEWAY_CIDR. */
#include "integration/sandbox/istiod/cidr.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

struct prefix {
    int family;
    unsigned char bytes[16];
    unsigned bits;
};

static bool parse_address(const char *s, struct prefix *out)
{
    out->family = strchr(s, ':') != NULL ? AF_INET6 : AF_INET;
    out->bits = out->family == AF_INET ? 32 : 128;
    return inet_pton(out->family, s, out->bytes) == 1;
}

static bool parse_prefix(const char *s, struct prefix *out)
{
    const char *slash = strchr(s, '/');
    char *address;
    int64_t bits = 0;
    bool ok;

    if (slash == NULL) {
        return false;
    }
    address = sbx_strndup(s, (size_t)(slash - s));
    ok = parse_address(address, out) && sbx_parse_number(slash + 1, 0, out->bits, &bits);
    free(address);
    out->bits = (unsigned)bits;
    return ok;
}

static bool covers(const struct prefix *p, const struct prefix *address)
{
    unsigned whole = p->bits / 8;
    unsigned rest = p->bits % 8;

    if (p->family != address->family || memcmp(p->bytes, address->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || (p->bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}

bool cidr_add(struct cidr_list *l, const char *entry)
{
    struct prefix p;

    if (!parse_prefix(entry, &p)) {
        return false;
    }
    names_add(&l->entries, entry);
    return true;
}

static bool is_loopback(const struct prefix *address)
{
    struct in6_addr v6;

    if (address->family == AF_INET) {
        return address->bytes[0] == 127;
    }
    memcpy(&v6, address->bytes, sizeof(v6));
    return IN6_IS_ADDR_LOOPBACK(&v6);
}

bool cidr_trusts(const struct cidr_list *l, const char *address)
{
    struct prefix a;
    struct prefix p;

    if (l->entries.n == 0 || !parse_address(address, &a)) {
        return false;
    }
    if (is_loopback(&a)) {
        return true;
    }
    for (size_t i = 0; i < l->entries.n; i++) {
        if (parse_prefix(l->entries.v[i], &p) && covers(&p, &a)) {
            return true;
        }
    }
    return false;
}

void cidr_fini(struct cidr_list *l)
{
    names_fini(&l->entries);
}

char *peer_text(const char *peer)
{
    struct text t = {0};
    const char *colon = strchr(peer, ':');

    for (const char *p = colon == NULL ? peer : colon + 1; *p != '\0'; p++) {
        if (strncasecmp(p, "%5B", 3) == 0) {
            text_add(&t, "[");
            p += 2;
        } else if (strncasecmp(p, "%5D", 3) == 0) {
            text_add(&t, "]");
            p += 2;
        } else {
            text_add_n(&t, p, 1);
        }
    }
    return text_take(&t);
}

char *peer_address(const char *peer)
{
    char *text = peer_text(peer);
    char *colon = strrchr(text, ':');
    char *address;

    if (colon != NULL) {
        *colon = '\0';
    }
    if (text[0] == '[' && colon != NULL && colon[-1] == ']') {
        colon[-1] = '\0';
        address = sbx_strdup(text + 1);
    } else {
        address = sbx_strdup(colon == NULL ? "" : text);
    }
    free(text);
    return address;
}
