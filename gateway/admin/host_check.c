/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin/host_check.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/net/addr.h"

/* "" or ":" and a port. */
static bool is_port_or_nothing(const char *text)
{
    struct addr a;
    char whole[ADDR_TEXT_BYTES];

    if (*text == '\0') {
        return true;
    }
    if (*text != ':' || strlen(text) > 6) {
        return false;
    }
    (void)snprintf(whole, sizeof(whole), "0.0.0.0%s", text);
    return addr_parse(whole, &a) == RC_OK;
}

/* "[::1]" without a port, which addr_parse() does not take. */
static bool is_bracketed_ip(const char *host)
{
    char ip[ADDR_TEXT_BYTES];
    size_t len = strlen(host);
    struct addr a;

    if (len < 4 || len - 2 >= sizeof(ip) || host[0] != '[' || host[len - 1] != ']') {
        return false;
    }
    memcpy(ip, host + 1, len - 2);
    ip[len - 2] = '\0';
    return addr_parse_ip(ip, &a) == RC_OK && a.family == ADDR_V6;
}

bool host_check_is_local(const char *host)
{
    static const char name[] = "localhost";
    struct addr a;

    if (strncasecmp(host, name, sizeof(name) - 1) == 0) {
        return is_port_or_nothing(host + sizeof(name) - 1);
    }
    if (addr_parse(host, &a) == RC_OK || is_bracketed_ip(host)) {
        return true;
    }
    return addr_parse_ip(host, &a) == RC_OK && a.family == ADDR_V4;
}
