/* SPDX-License-Identifier: Apache-2.0 */
/* Variables that mean something to root on the VM: istio-start.sh sources cluster.env as root,
 * keeps all of it in its environment, and makes a command line of some. Pure. */
#pragma once

#include <stdbool.h>

/**
 * May the variable decide what root runs, whatever its value is quoted like? So it may come from
 * the mesh's configuration, but from nobody who may only edit a WorkloadGroup.
 */
bool variable_is_for_root(const char *name);

/**
 * Is the value good for this variable? One that istio-start.sh expands in a command line without
 * quotes has to be of letters, digits and signs that mean nothing to a shell.
 */
bool variable_takes(const char *name, const char *value);
