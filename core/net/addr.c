/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses as values: texts and sockaddrs in and out. Pure, but for the name of a scope. */
#include "core/net/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"

/** "[", 45 of an IPv6 address, "%", an interface name, "]:65535" and the final zero fit. */
#define TEXT_BYTES 96

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* IPv4-mapped addresses are IPv4 from here on. */
static void set_v6(struct addr *a, const uint8_t ip[16], uint32_t scope)
{
    if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        a->family = ADDR_V4;
        memcpy(a->ip, ip + sizeof(mapped_prefix), 4);
        return;
    }
    a->family = ADDR_V6;
    a->scope = scope;
    memcpy(a->ip, ip, 16);
}

/* A decimal number without sign, blanks or leading zeros. */
static bool parse_number(const char *s, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (*s == '\0' || (s[0] == '0' && s[1] != '\0')) {
        return false;
    }
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '9') {
            return false;
        }
        v = v * 10 + (uint64_t)(*s - '0');
        if (v > max) {
            return false;
        }
    }
    *out = v;
    return true;
}

static bool parse_scope(const char *s, uint32_t *out)
{
    uint64_t v;

    if (parse_number(s, UINT32_MAX, &v)) {
        *out = (uint32_t)v;
        return v != 0;
    }
    *out = if_nametoindex(s);
    return *out != 0;
}

static bool is_link_local(const uint8_t ip[16])
{
    return ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

/* ip is changed: a scope is cut off. */
static enum rc parse_v6(char *ip, struct addr *out)
{
    uint8_t bytes[16];
    uint32_t scope = 0;
    char *percent = strchr(ip, '%');

    if (percent != NULL) {
        *percent = '\0';
    }
    if (inet_pton(AF_INET6, ip, bytes) != 1) {
        return RC_INVALID;
    }
    if (percent != NULL && (!is_link_local(bytes) || !parse_scope(percent + 1, &scope))) {
        return RC_INVALID;
    }
    struct addr a = {.family = ADDR_NONE};
    set_v6(&a, bytes, scope);
    *out = a;
    return RC_OK;
}

static enum rc parse_v4(const char *ip, struct addr *out)
{
    struct addr a = {.family = ADDR_V4};

    if (inet_pton(AF_INET, ip, a.ip) != 1) {
        return RC_INVALID;
    }
    *out = a;
    return RC_OK;
}

/* A copy that may be cut into pieces. False when text is too long for any address. */
static bool copy_text(const char *text, char buf[TEXT_BYTES])
{
    size_t n = strlen(text);
    if (n >= TEXT_BYTES) {
        return false;
    }
    memcpy(buf, text, n + 1);
    return true;
}

enum rc addr_parse_ip(const char *text, struct addr *out)
{
    char buf[TEXT_BYTES];

    if (!copy_text(text, buf)) {
        return RC_INVALID;
    }
    return strchr(buf, ':') != NULL ? parse_v6(buf, out) : parse_v4(buf, out);
}

enum rc addr_parse(const char *text, struct addr *out)
{
    char buf[TEXT_BYTES];
    uint64_t port;
    struct addr a;

    if (!copy_text(text, buf)) {
        return RC_INVALID;
    }
    char *colon = strrchr(buf, ':');
    if (colon == NULL || !parse_number(colon + 1, UINT16_MAX, &port)) {
        return RC_INVALID;
    }
    *colon = '\0';
    if (buf[0] == '[') {
        if (colon - buf < 2 || colon[-1] != ']') {
            return RC_INVALID;
        }
        colon[-1] = '\0';
        TRY(parse_v6(buf + 1, &a));
    } else {
        TRY(parse_v4(buf, &a));
    }
    a.port = (uint16_t)port;
    *out = a;
    return RC_OK;
}

/* The i-th byte of a network mask of prefix bits. */
static uint8_t mask_byte(uint8_t prefix, size_t i)
{
    size_t bits = prefix > i * 8 ? prefix - i * 8 : 0;
    return (uint8_t)(0xff00U >> (bits < 8 ? bits : 8) & 0xffU);
}

static size_t ip_bytes(const struct addr *a)
{
    return a->family == ADDR_V4 ? 4 : a->family == ADDR_V6 ? 16 : 0;
}

enum rc addr_net_parse(const char *text, struct addr_net *out)
{
    char buf[TEXT_BYTES];
    struct addr_net net;
    uint64_t prefix = 0;

    if (!copy_text(text, buf) || strchr(buf, '%') != NULL) {
        return RC_INVALID;
    }
    char *slash = strchr(buf, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    TRY(addr_parse_ip(buf, &net.base));
    uint64_t full = ip_bytes(&net.base) * 8;
    /* Of a mapped network ("::ffff:10.0.0.0/104") the prefix counts IPv6 bits. */
    uint64_t skip = net.base.family == ADDR_V4 && strchr(buf, ':') != NULL ? 96 : 0;
    if (slash == NULL) {
        prefix = full;
    } else if (!parse_number(slash + 1, full + skip, &prefix) || prefix < skip) {
        return RC_INVALID;
    } else {
        prefix -= skip;
    }
    net.prefix = (uint8_t)prefix;
    for (size_t i = 0; i < ip_bytes(&net.base); i++) {
        if ((net.base.ip[i] & (uint8_t)~mask_byte(net.prefix, i)) != 0) {
            return RC_INVALID;
        }
    }
    *out = net;
    return RC_OK;
}

bool addr_in_net(const struct addr *a, const struct addr_net *net)
{
    if (a->family != net->base.family || a->family == ADDR_NONE) {
        return false;
    }
    for (size_t i = 0; i < ip_bytes(a); i++) {
        if (((a->ip[i] ^ net->base.ip[i]) & mask_byte(net->prefix, i)) != 0) {
            return false;
        }
    }
    return true;
}

void addr_from_sockaddr(const struct sockaddr *sa, struct addr *out)
{
    struct addr a = {.family = ADDR_NONE};

    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        a.family = ADDR_V4;
        a.port = ntohs(in.sin_port);
        memcpy(a.ip, &in.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        a.port = ntohs(in6.sin6_port);
        set_v6(&a, in6.sin6_addr.s6_addr, in6.sin6_scope_id);
    }
    *out = a;
}

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out)
{
    CHECK(a->family == ADDR_V4 || a->family == ADDR_V6);
    memset(out, 0, sizeof(*out));
    if (a->family == ADDR_V4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&in.sin_addr, a->ip, 4);
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope};
    memcpy(&in6.sin6_addr, a->ip, 16);
    memcpy(out, &in6, sizeof(in6));
    return sizeof(in6);
}

bool addr_same_ip(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, ip_bytes(a)) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
    static const uint8_t zero[16];

    if (a->family == ADDR_V4) {
        return a->ip[0] == 127 || memcmp(a->ip, zero, 4) == 0;
    }
    return a->family == ADDR_V6 && memcmp(a->ip, zero, 15) == 0 && a->ip[15] <= 1;
}

const char *addr_format_ip(const struct addr *a, char *buf)
{
    char ip[INET6_ADDRSTRLEN];

    if (a->family == ADDR_NONE) {
        snprintf(buf, ADDR_TEXT_BYTES, "-");
        return buf;
    }
    CHECK(inet_ntop(a->family == ADDR_V4 ? AF_INET : AF_INET6, a->ip, ip, sizeof(ip)) != NULL);
    if (a->scope != 0) {
        snprintf(buf, ADDR_TEXT_BYTES, "%s%%%u", ip, (unsigned)a->scope);
    } else {
        snprintf(buf, ADDR_TEXT_BYTES, "%s", ip);
    }
    return buf;
}

const char *addr_format(const struct addr *a, char *buf)
{
    char ip[ADDR_TEXT_BYTES];

    addr_format_ip(a, ip);
    if (a->family == ADDR_V6) {
        /* 58 characters at most: the precision only tells the compiler. */
        snprintf(buf, ADDR_TEXT_BYTES, "[%.50s]:%u", ip, (unsigned)a->port);
    } else if (a->family == ADDR_V4) {
        snprintf(buf, ADDR_TEXT_BYTES, "%.15s:%u", ip, (unsigned)a->port);
    } else {
        snprintf(buf, ADDR_TEXT_BYTES, "-");
    }
    return buf;
}
