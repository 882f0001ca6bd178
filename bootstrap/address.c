/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/address.h"

#include <arpa/inet.h>
#include <stdint.h>

static const char *fault_v4(const struct in_addr *a)
{
    uint32_t ip = ntohl(a->s_addr);

    if (ip >> 24 == 0) {
        return "is the unspecified address";
    }
    if (ip >> 24 == 127) {
        return "is a loopback address";
    }
    if (ip >> 16 == 0xA9FE) {
        return "is link-local: it means another machine on every link";
    }
    if (ip >> 28 == 0xE || ip == UINT32_MAX) {
        return "is the address of a group of machines";
    }
    return NULL;
}

static const char *fault_v6(const struct in6_addr *a)
{
    if (IN6_IS_ADDR_UNSPECIFIED(a)) {
        return "is the unspecified address";
    }
    if (IN6_IS_ADDR_LOOPBACK(a)) {
        return "is a loopback address";
    }
    if (IN6_IS_ADDR_LINKLOCAL(a)) {
        return "is link-local: it means another machine on every link";
    }
    if (IN6_IS_ADDR_MULTICAST(a)) {
        return "is the address of a group of machines";
    }
    if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a)) {
        return "is IPv4 in IPv6: write the IPv4 address";
    }
    return NULL;
}

enum rc address_read(const char *what, const char *text, const struct why *w,
                     char out[INET6_ADDRSTRLEN])
{
    struct in_addr v4;
    struct in6_addr v6;
    const char *fault = "is no IP address";

    if (inet_pton(AF_INET, text, &v4) == 1) {
        fault = fault_v4(&v4);
        (void)inet_ntop(AF_INET, &v4, out, INET6_ADDRSTRLEN);
    } else if (inet_pton(AF_INET6, text, &v6) == 1) {
        fault = fault_v6(&v6);
        (void)inet_ntop(AF_INET6, &v6, out, INET6_ADDRSTRLEN);
    }
    return fault == NULL ? RC_OK : why_set(w, "%s: %.60s %s", what, text, fault);
}
