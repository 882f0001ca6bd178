/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/passthrough/proxy_v2.h"

#include <string.h>

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                      0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

#define VERSION_COMMAND_LOCAL 0x20
#define VERSION_COMMAND_PROXY 0x21
#define TCP_OVER_IPV4 0x11
#define TCP_OVER_IPV6 0x21

static uint8_t *put(uint8_t *p, const void *data, size_t n)
{
    memcpy(p, data, n);
    return p + n;
}

static uint8_t *put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return p + 2;
}

size_t proxy_v2_write(const struct addr *source, const struct addr *destination, uint8_t *out)
{
    uint8_t *p = put(out, signature, sizeof(signature));
    size_t ip_bytes = source->family == ADDR_V6 ? 16 : 4;

    if (source->family == ADDR_NONE || source->family != destination->family) {
        *p++ = VERSION_COMMAND_LOCAL;
        *p++ = 0;
        return (size_t)(put_u16(p, 0) - out);
    }
    *p++ = VERSION_COMMAND_PROXY;
    *p++ = source->family == ADDR_V6 ? TCP_OVER_IPV6 : TCP_OVER_IPV4;
    p = put_u16(p, (uint16_t)(2 * ip_bytes + 4));
    p = put(p, source->ip, ip_bytes);
    p = put(p, destination->ip, ip_bytes);
    p = put_u16(p, source->port);
    p = put_u16(p, destination->port);
    return (size_t)(p - out);
}
