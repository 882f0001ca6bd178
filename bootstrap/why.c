/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/why.h"

#include <stdarg.h>
#include <stdio.h>

#define DAY_S INT64_C(86400)

enum rc why_set(const struct why *w, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(w->text, w->bytes, fmt, ap);
    va_end(ap);
    for (char *c = w->text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    return RC_INVALID;
}

const char *why_time(int64_t s, char *buf)
{
    if (s < 120) {
        (void)snprintf(buf, WHY_TIME_BYTES, "%lld s", (long long)s);
    } else if (s < 7200) {
        (void)snprintf(buf, WHY_TIME_BYTES, "%lld min", (long long)(s / 60));
    } else if (s < 2 * DAY_S) {
        (void)snprintf(buf, WHY_TIME_BYTES, "%lld h", (long long)(s / 3600));
    } else {
        (void)snprintf(buf, WHY_TIME_BYTES, "%lld days", (long long)(s / DAY_S));
    }
    return buf;
}
