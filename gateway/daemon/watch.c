/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/watch.h"

#include <stddef.h>
#include <sys/stat.h>

static uint64_t mix(uint64_t h, uint64_t v)
{
    return (h ^ v) * 1099511628211u;
}

static uint64_t look(char *const *files)
{
    uint64_t h = 14695981039346656037u;
    struct stat st;

    for (; *files != NULL; files++) {
        if (stat(*files, &st) != 0) {
            h = mix(h, 1);
            continue;
        }
        h = mix(h, (uint64_t)st.st_dev);
        h = mix(h, (uint64_t)st.st_ino);
        h = mix(h, (uint64_t)st.st_size);
        h = mix(h, (uint64_t)st.st_mtim.tv_sec);
        h = mix(h, (uint64_t)st.st_mtim.tv_nsec);
    }
    return h;
}

void watch_mark(struct watch *w, char *const *files)
{
    w->loaded = look(files);
    w->last = w->loaded;
}

bool watch_changed(struct watch *w, char *const *files)
{
    uint64_t now = look(files);
    bool quiet = now == w->last;

    w->last = now;
    return quiet && now != w->loaded;
}
