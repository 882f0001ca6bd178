/* SPDX-License-Identifier: Apache-2.0 */
/* What stat(2) says about a list of files, as one number: another number, another file. Works with
 * editors, rename and the links of Kubernetes secrets alike. Pure but for stat(2). */
#pragma once

#include <stdint.h>

/** Of no file. */
#define FILE_STAMP_NONE UINT64_C(14695981039346656037)

/** The stamp of a list to which path is added; a file that is not there has a stamp too. */
uint64_t file_stamp_add(uint64_t stamp, const char *path);
