/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "integration/sandbox/common/loop.h"

/** Block SIGTERM and SIGINT; first thing in main, as every thread inherits it. */
void stop_block_signals(void);

/**
 * Stop the loop on SIGTERM or SIGINT.
 *
 * l  borrowed for the life of the process.
 */
void stop_on_signals(struct loop *l);
