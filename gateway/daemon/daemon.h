/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate run`: the daemon from start to graceful end. */
#pragma once

/**
 * Run in the foreground until a signal ends it.
 *
 * config_path  borrowed; errors of the file go to standard error.
 * argv         of main(), borrowed: what SIGUSR2 starts as the new process.
 * Returns the exit code of the process: one of enum exit_code.
 */
int daemon_run(const char *config_path, char *const *argv);
