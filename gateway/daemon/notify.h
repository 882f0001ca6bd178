/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the service manager how we are: the protocol of sd_notify(3), without its library. One
 * datagram of KEY=VALUE lines to the socket that NOTIFY_SOCKET names.
 */
#pragma once

#include <stdint.h>

#include "core/base/rc.h"

/** How long one message may wait when the service manager does not read. */
#define NOTIFY_WAIT_S 1

/**
 * Send one message. A service manager that cannot be told is nothing to stop for, so the result may
 * be ignored.
 *
 * fmt      printf format: lines KEY=VALUE, at most 500 bytes in all; the last without a newline.
 * Returns  RC_OK; RC_NOT_FOUND: nobody wants to know, or nobody is there; RC_INVALID: NOTIFY_SOCKET
 *          is neither a path nor @NAME, or too long; RC_AGAIN: not read for NOTIFY_WAIT_S;
 *          otherwise the category of a socket's error.
 */
enum rc notify_tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** The interval in microseconds within which WATCHDOG=1 is awaited from this process
 * (sd_watchdog_enabled(3)); 0: it is not. */
uint64_t notify_watchdog_usec(void);
