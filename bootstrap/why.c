/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/why.h"

#include <stdarg.h>
#include <stdio.h>

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
