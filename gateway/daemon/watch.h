/* SPDX-License-Identifier: Apache-2.0 */
/* Did the files behind a configuration change? A change counts when it has been quiet for one look.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct watch {
    uint64_t loaded; /**< of the files when they were last read */
    uint64_t last;   /**< at the last look */
};

/** The files were read; stamp: config.files_stamp, taken before, so that no change is missed. */
void watch_mark(struct watch *w, uint64_t stamp);

/** The files, NULL-terminated, as they are now are about to be read. */
void watch_mark_now(struct watch *w, char *const *files);

/** Look again. true: they are different from what was read, and the same as at the last look. */
bool watch_changed(struct watch *w, char *const *files);
