/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/** Write the version, as a line of text or as JSON {"version": "..."} with a newline. */
void version_write(FILE *out, bool json);
