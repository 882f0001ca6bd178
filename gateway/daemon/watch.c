/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/watch.h"

#include <stddef.h>

#include "core/base/file_stamp.h"

static uint64_t look(char *const *files)
{
    uint64_t stamp = FILE_STAMP_NONE;

    for (; *files != NULL; files++) {
        stamp = file_stamp_add(stamp, *files);
    }
    return stamp;
}

void watch_mark(struct watch *w, uint64_t stamp)
{
    w->loaded = stamp;
    w->last = stamp;
}

void watch_mark_now(struct watch *w, char *const *files)
{
    watch_mark(w, look(files));
}

bool watch_changed(struct watch *w, char *const *files)
{
    uint64_t now = look(files);
    bool quiet = now == w->last;

    w->last = now;
    return quiet && now != w->loaded;
}
