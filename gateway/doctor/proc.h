/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of this machine, as /proc shows them: who listens on a port, which program is where. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_listener {
    pid_t pid; /**< 0: it cannot be seen, as those of others cannot without root */
    char name[64];
};

/** Does anybody listen on this TCP port, on any address? Of several, one. In the network namespace
 * of the caller. */
bool proc_find_listener(uint16_t port, struct proc_listener *out);

/** Is process pid an Envoy that Istio's agent has started and that has no agent any more? */
bool proc_is_left_envoy(pid_t pid);

/** Is it Envoy or the agent, of Istio? */
bool proc_is_istio(pid_t pid);

/** Call fn with each process of our mount and network namespace. */
void proc_each(void (*fn)(pid_t pid, void *arg), void *arg);

/** Is it Istio's agent? */
bool proc_is_agent(pid_t pid);
