/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/show.h"

#include <string.h>

#include "core/base/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

size_t show_decode(const unsigned char *s, size_t n, uint32_t *code)
{
    size_t len = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    struct utf8_scan scan = {0};

    if (len > n || !utf8_feed(&scan, s, len) || !utf8_is_whole(&scan)) {
        return 0;
    }
    /* The first byte says in its high bits how many there are; the others have six bits each. */
    uint32_t c = len == 1 ? s[0] : s[0] & 0xffU >> (len + 1);
    for (size_t i = 1; i < len; i++) {
        c = c << 6 | (s[i] & 0x3fU);
    }
    *code = c;
    return len;
}

bool show_is_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 || c == 0x061c ||
           c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

size_t show_clean(const char *s, size_t n, char *out)
{
    const size_t n_replacement = sizeof(REPLACEMENT) - 1;
    size_t len = 0;

    for (size_t i = 0; i < n;) {
        uint32_t code = 0;
        size_t used = show_decode((const unsigned char *)s + i, n - i, &code);
        bool keep = used > 0 && !show_is_unsafe(code);
        memcpy(out + len, keep ? s + i : REPLACEMENT, keep ? used : n_replacement);
        len += keep ? used : n_replacement;
        i += used > 0 ? used : 1;
    }
    out[len] = '\0';
    return len;
}
