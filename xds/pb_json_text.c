/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/utf8.h"
#include "xds/pb_json_internal.h"

#define NO_CHARACTER "\xef\xbf\xbd" /* U+FFFD */
#define NO_CHARACTER_BYTES 3

void pb_json_put(struct pb_json *j, const char *text, size_t n)
{
    if (j->dry || j->full) {
        return;
    }
    if (n > j->left) {
        j->full = true;
        return;
    }
    j->left -= n;
    (void)fwrite(text, 1, n, j->out);
}

void pb_json_puts(struct pb_json *j, const char *text)
{
    pb_json_put(j, text, strlen(text));
}

/* Bytes of the character at p; 0: it is none. n: 1 or more. */
static size_t character_bytes(const uint8_t *p, size_t n)
{
    struct utf8_scan s = {0};

    for (size_t i = 0; i < n && utf8_feed(&s, p + i, 1); i++) {
        if (utf8_is_whole(&s)) {
            return i + 1;
        }
    }
    return 0;
}

static bool is_ordinary(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* One character that needs a look. Returns the bytes that it has there. */
static size_t put_character(struct pb_json *j, const uint8_t *p, size_t n)
{
    char escape[8];

    if (*p >= 0x80) {
        size_t n_valid = character_bytes(p, n);
        if (n_valid == 0) {
            pb_json_put(j, NO_CHARACTER, NO_CHARACTER_BYTES);
            return 1;
        }
        pb_json_put(j, (const char *)p, n_valid);
        return n_valid;
    }
    if (*p == '"' || *p == '\\') {
        (void)snprintf(escape, sizeof(escape), "\\%c", *p);
    } else if (*p == '\n' || *p == '\r' || *p == '\t') {
        (void)snprintf(escape, sizeof(escape), "\\%c", *p == '\n' ? 'n' : *p == '\r' ? 'r' : 't');
    } else {
        (void)snprintf(escape, sizeof(escape), "\\u%04x", *p);
    }
    pb_json_puts(j, escape);
    return 1;
}

void pb_json_string(struct pb_json *j, const uint8_t *text, size_t n)
{
    size_t at = 0;

    if (j->dry) {
        return;
    }
    pb_json_puts(j, "\"");
    while (at < n && !j->full) {
        size_t run = at;
        while (run < n && is_ordinary(text[run])) {
            run++;
        }
        pb_json_put(j, (const char *)text + at, run - at);
        at = run < n ? run + put_character(j, text + run, n - run) : n;
    }
    pb_json_puts(j, "\"");
}

void pb_json_base64(struct pb_json *j, const uint8_t *data, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if (j->dry) {
        return;
    }
    pb_json_puts(j, "\"");
    for (size_t i = 0; i < n && !j->full; i += 3) {
        size_t some = n - i < 3 ? n - i : 3;
        uint32_t bits = (uint32_t)data[i] << 16 | (some > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                        (some > 2 ? data[i + 2] : 0);
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63], digits[bits >> 6 & 63],
                        digits[bits & 63]};
        memset(four + some + 1, '=', 3 - some);
        pb_json_put(j, four, sizeof(four));
    }
    pb_json_puts(j, "\"");
}

int pb_json_compare(const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b)
{
    static const uint8_t none[] = NO_CHARACTER;

    while (n_a > 0 && n_b > 0) {
        size_t valid_a = character_bytes(a, n_a);
        size_t valid_b = character_bytes(b, n_b);
        size_t written_a = valid_a > 0 ? valid_a : NO_CHARACTER_BYTES;
        size_t written_b = valid_b > 0 ? valid_b : NO_CHARACTER_BYTES;
        int order = memcmp(valid_a > 0 ? a : none, valid_b > 0 ? b : none,
                           written_a < written_b ? written_a : written_b);
        if (order != 0) {
            return order; /* the first byte tells how many there are */
        }
        size_t step_a = valid_a > 0 ? valid_a : 1;
        size_t step_b = valid_b > 0 ? valid_b : 1;
        a += step_a, n_a -= step_a;
        b += step_b, n_b -= step_b;
    }
    return (n_a > 0) - (n_b > 0);
}

static bool put_special(struct pb_json *j, double v)
{
    if (isfinite(v)) {
        return false;
    }
    pb_json_puts(j, isnan(v) ? "\"NaN\"" : v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    return true;
}

void pb_json_double(struct pb_json *j, double v)
{
    char text[40];

    if (j->dry || put_special(j, v)) {
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    pb_json_puts(j, text);
}

void pb_json_float(struct pb_json *j, float v)
{
    char text[40];

    if (j->dry || put_special(j, v)) {
        return;
    }
    for (int digits = 6; digits <= 9; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v) {
            break;
        }
    }
    pb_json_puts(j, text);
}
