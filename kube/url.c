/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SCHEME "https://"
#define DEFAULT_PORT 443

static enum rc refuse(const char **why, const char *text)
{
    *why = text;
    return RC_INVALID;
}

static bool is_host(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)s[i]) && strchr("-_.", s[i]) == NULL) {
            return false;
        }
    }
    return n > 0 && n < KUBE_HOST_BYTES && s[0] != '.' && s[0] != '-';
}

bool kube_host_is_valid(const char *host)
{
    return is_host(host, strlen(host));
}

/* Decimal, 1 to 65535. */
static bool read_port(const char *s, size_t n, uint16_t *out)
{
    uint32_t port = 0;

    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9' || port > UINT16_MAX) {
            return false;
        }
        port = port * 10 + (uint32_t)(s[i] - '0');
    }
    *out = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX;
}

static bool read_prefix(const char *s, char *out)
{
    size_t n = strlen(s);

    while (n > 0 && s[n - 1] == '/') {
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)s[i]) && strchr("/-_.~:", s[i]) == NULL) {
            return false;
        }
    }
    if (n >= KUBE_PREFIX_BYTES) {
        return false;
    }
    memcpy(out, s, n);
    out[n] = '\0';
    return true;
}

/* "[...]" at s into out; where it ends, or NULL. */
static const char *read_ipv6(const char *s, struct kube_url *out)
{
    struct in6_addr a;
    const char *end = strchr(s, ']');
    size_t n = end == NULL ? 0 : (size_t)(end - s - 1);

    if (n == 0 || n >= KUBE_HOST_BYTES) {
        return NULL;
    }
    memcpy(out->host, s + 1, n);
    out->host[n] = '\0';
    out->ipv6 = true;
    return inet_pton(AF_INET6, out->host, &a) == 1 ? end + 1 : NULL;
}

static const char *read_host(const char *s, struct kube_url *out)
{
    if (*s == '[') {
        return read_ipv6(s, out);
    }
    size_t n = strcspn(s, ":/");
    if (!is_host(s, n)) {
        return NULL;
    }
    memcpy(out->host, s, n);
    out->host[n] = '\0';
    return s + n;
}

enum rc kube_url_parse(const char *text, struct kube_url *out, const char **why)
{
    struct kube_url url = {.port = DEFAULT_PORT};

    if (strncmp(text, SCHEME, strlen(SCHEME)) != 0) {
        return refuse(why, "it must begin with https://, credentials never travel unencrypted");
    }
    const char *p = read_host(text + strlen(SCHEME), &url);
    if (p == NULL) {
        return refuse(why, "https://HOST or https://HOST:PORT is expected");
    }
    if (*p == ':') {
        size_t n = strcspn(++p, "/");
        if (!read_port(p, n, &url.port)) {
            return refuse(why, "the port must be a number from 1 to 65535");
        }
        p += n;
    }
    if ((*p != '\0' && *p != '/') || !read_prefix(p, url.prefix)) {
        return refuse(why, "its path may hold letters, digits, and -_.~:/ only");
    }
    *out = url;
    return RC_OK;
}

void kube_url_write(const struct kube_url *u, const char *host, char *out)
{
    bool brackets = host == NULL && u->ipv6;

    (void)snprintf(out, KUBE_URL_BYTES, SCHEME "%s%s%s:%u%s", brackets ? "[" : "",
                   host != NULL ? host : u->host, brackets ? "]" : "", u->port, u->prefix);
}
