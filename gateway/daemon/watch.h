/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Did the files behind a configuration change? Compares what stat(2) says, so that it works with
 * editors, rename and the links of Kubernetes secrets alike. A change counts when it has been quiet
 * for one look.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct watch {
    uint64_t loaded; /**< of the files when they were last read */
    uint64_t last;   /**< at the last look */
};

/** The files, NULL-terminated, were just read (with or without success). */
void watch_mark(struct watch *w, char *const *files);

/** Look again. true: they are different from what was read, and the same as at the last look. */
bool watch_changed(struct watch *w, char *const *files);
