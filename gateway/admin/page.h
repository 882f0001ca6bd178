/* SPDX-License-Identifier: Apache-2.0 */
/* The status page, made at build time of gateway/admin/page/ by join.cmake. */
#pragma once

#include <stddef.h>

/** The one file, with a zero behind it. */
extern const char page_html[];
extern const size_t page_html_bytes;

/** The Content-Security-Policy that goes with it: it allows the file's own style and script, by
 * their hashes, and questions to where it came from. */
extern const char page_policy[];
