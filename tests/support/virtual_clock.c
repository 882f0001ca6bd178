/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/virtual_clock.h"

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

/* 2026-01-01; far from any wrap. */
#define WALL_START_S 1767225600

static int64_t passed_ns;

void virtual_clock_advance(double seconds)
{
    passed_ns += (int64_t)(seconds * 1e9);
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    int64_t start = id == CLOCK_REALTIME ? WALL_START_S : (int64_t)VIRTUAL_CLOCK_START;

    out->tv_sec = (time_t)(start + passed_ns / 1000000000);
    out->tv_nsec = (long)(passed_ns % 1000000000);
    return 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec t;

    (void)tz;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    tv->tv_sec = t.tv_sec;
    tv->tv_usec = t.tv_nsec / 1000;
    return 0;
}
