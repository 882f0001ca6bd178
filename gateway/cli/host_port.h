/* SPDX-License-Identifier: Apache-2.0 */
/* "HOST:PORT" on a command line. */
#pragma once

#include <stdint.h>

#include "core/base/rc.h"

/**
 * "istiod.example:15012", "10.0.0.11:15012" or "[2001:db8::11]:15012". Whether there is such a host
 * is not looked at.
 *
 * host     owned by the caller; without brackets.
 * port     1 .. 65535.
 * Returns  RC_OK; RC_INVALID; RC_NO_MEMORY.
 */
enum rc host_port_read(const char *text, char **host, uint16_t *port) MUST_USE;
