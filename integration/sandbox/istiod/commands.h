/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "integration/sandbox/common/text.h"
#include "integration/sandbox/istiod/server.h"

/**
 * Answer one control command of the sandbox control plane: status, push, fault, drop-all, mint,
 * group, entry, grace, quit, help.
 *
 * user   the struct server; lock held.
 * reply  gets one line of JSON.
 */
void istiod_command(void *user, size_t argc, char *const *argv, struct text *reply);
