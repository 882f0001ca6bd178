/* SPDX-License-Identifier: Apache-2.0 */
/* The Host header against DNS rebinding: a page of a foreign name must not read ours through a
 * browser. */
#pragma once

#include <stdbool.h>

/** Is it "localhost" or an IP literal, with or without a port? Names of DNS are not. */
bool host_check_is_local(const char *host);
