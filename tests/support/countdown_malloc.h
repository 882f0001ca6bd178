/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of something fails once, one after the other. Needs a program of the CMake
 * function xdsgate_countdown(). Of shared libraries only those count that allocate by ours.
 */
#pragma once

#include <stddef.h>

#include "core/base/rc.h"

/** Run with the first allocation failing, then the second, until none has failed. Each result must
 * be RC_NO_MEMORY, that of the last run `last`. Returns how many runs that were. */
size_t countdown_fail_each(enum rc (*run)(void *arg), void *arg, enum rc last);
