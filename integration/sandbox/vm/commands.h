/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "integration/sandbox/common/text.h"
#include "integration/sandbox/vm/vm.h"

/**
 * Answer one control command of the simulated VMs: status, health, nack, ack, restart, stop,
 * start, renew, pause, resume, quit, help.
 *
 * user   the struct swarm; lock held.
 * reply  gets one line of JSON.
 */
void swarm_command(void *user, size_t argc, char *const *argv, struct text *reply);
