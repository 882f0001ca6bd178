/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/base64.h"

#include <stdbool.h>
#include <stdint.h>

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Does the text stand at its end, with as much padding as n_digits need? */
static bool is_end(const char *p, const char *end, size_t n_digits)
{
    size_t n_padding = 0;

    for (; p < end; p++) {
        if (*p == '=') {
            n_padding++;
        } else if (!is_blank(*p)) {
            return false;
        }
    }
    return n_digits % 4 != 1 && n_padding == (4 - n_digits % 4) % 4;
}

enum rc base64_decode(const char *text, size_t n, char *out, size_t *n_out)
{
    static const unsigned n_spare[] = {0, 0, 4, 2}; /* bits behind the last whole byte */
    const char *p = text;
    const char *end = text + n;
    uint32_t bits = 0;
    size_t n_digits = 0;
    size_t len = 0;

    for (; p < end && *p != '='; p++) {
        if (is_blank(*p)) {
            continue;
        }
        int v = value_of(*p);
        if (v < 0) {
            return RC_INVALID;
        }
        bits = (bits << 6 | (uint32_t)v) & 0xffffffU;
        n_digits++;
        if (n_digits % 4 != 1) {
            out[len++] = (char)(bits >> n_spare[n_digits % 4] & 0xff);
        }
    }
    if (!is_end(p, end, n_digits)) {
        return RC_INVALID;
    }
    out[len] = '\0';
    *n_out = len;
    return RC_OK;
}
