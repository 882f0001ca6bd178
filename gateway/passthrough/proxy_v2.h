/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY protocol, version 2 (haproxy doc/proxy-protocol.txt, section 2.2). Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/net/addr.h"

#define PROXY_V2_MAX_BYTES 52

/** The header that says a connection came from source to destination (of one family; otherwise it
 * says LOCAL). out has PROXY_V2_MAX_BYTES. Returns its length. */
size_t proxy_v2_write(const struct addr *source, const struct addr *destination, uint8_t *out);
