/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/file_stamp.h"

#include <sys/stat.h>

static uint64_t mix(uint64_t h, uint64_t v)
{
    return (h ^ v) * 1099511628211u;
}

uint64_t file_stamp_add(uint64_t stamp, const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        return mix(stamp, 1);
    }
    stamp = mix(stamp, (uint64_t)st.st_dev);
    stamp = mix(stamp, (uint64_t)st.st_ino);
    stamp = mix(stamp, (uint64_t)st.st_size);
    stamp = mix(stamp, (uint64_t)st.st_mtim.tv_sec);
    return mix(stamp, (uint64_t)st.st_mtim.tv_nsec);
}
