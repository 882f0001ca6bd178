/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"

#include <stdio.h>
#include <time.h>

double clock_mono(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int64_t clock_wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec;
}

int64_t clock_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool clock_text_ms(int64_t ms, char buf[CLOCK_TEXT_BYTES])
{
    int rest = (int)(ms % 1000);
    time_t t = (time_t)(ms / 1000);
    struct tm tm;

    if (rest < 0) {
        rest += 1000;
        t--;
    }
    buf[0] = '\0';
    if (gmtime_r(&t, &tm) == NULL || tm.tm_year < 1000 - 1900 || tm.tm_year > 9999 - 1900) {
        return false;
    }
    size_t n = strftime(buf, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(buf + n, CLOCK_TEXT_BYTES - n, ".%03dZ", rest);
    return true;
}
