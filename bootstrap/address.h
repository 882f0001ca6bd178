/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses that another machine can reach. Pure. */
#pragma once

#include <netinet/in.h>

#include "bootstrap/why.h"

/**
 * Read an IPv4 or IPv6 address and write it in its usual form.
 *
 * what  what it is called in the reason, such as "--internalIP".
 * out   room for INET6_ADDRSTRLEN bytes.
 * Returns RC_OK; RC_INVALID and *w says why: no address, or one that means something else to every
 * machine (loopback, link-local, unspecified, multicast, IPv4 in IPv6).
 */
enum rc address_read(const char *what, const char *text, const struct why *w,
                     char out[INET6_ADDRSTRLEN]) MUST_USE;
