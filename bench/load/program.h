/* SPDX-License-Identifier: Apache-2.0 */
/* What both programs do before anything else. */
#pragma once

#include <getopt.h>
#include <stdbool.h>

/**
 * Ignore broken pipes, and allow as many open files as the system lets us have: each VM is one.
 * Never fails.
 */
void program_prepare(void);

/**
 * Read options, all of which take a value, into values[i] for options[i] (borrowed from argv).
 * false after a line on stderr: one is unknown or a word is left over.
 */
bool program_options(int argc, char **argv, const struct option *options, const char **values);
