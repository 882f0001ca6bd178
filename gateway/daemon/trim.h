/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to give freed memory back to the kernel. After a storm of handshakes or a large push, glibc
 * keeps what was freed between what lives on; malloc_trim() returns those pages, but takes some
 * milliseconds, so it is done once after much work, in the first quiet second, and not again at
 * once. trim_code() is another thing: pages that only the start needs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** All zero is the start. */
struct trim {
    uint64_t seen;    /**< work at the last look */
    uint64_t pending; /**< work since the last trim */
    unsigned pause;   /**< seconds until there may be another */
};

/** A look, one each second; work: units done since the start, about one for each 16 KiB that was
 * allocated for a moment. true: trim now. */
bool trim_due(struct trim *t, uint64_t work);

/**
 * Let go of the code and the constants that only the start has touched: pages of the program and of
 * its libraries that nobody writes to. They stay in the kernel's cache, and come back one by one
 * when they are used. Any time; costs some hundred page faults.
 */
void trim_code(void);
