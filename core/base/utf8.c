/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/utf8.h"

#include <string.h>

/* What follows a first byte (RFC 3629, section 4); need 0: it is none. */
static struct utf8_scan after_first(uint8_t byte)
{
    struct utf8_scan s = {.low = 0x80, .high = 0xbf};

    if (byte >= 0xc2 && byte <= 0xdf) {
        s.need = 1;
    } else if ((byte & 0xf0) == 0xe0) {
        s.need = 2;
        s.low = byte == 0xe0 ? 0xa0 : 0x80;  /* overlong */
        s.high = byte == 0xed ? 0x9f : 0xbf; /* surrogates */
    } else if (byte >= 0xf0 && byte <= 0xf4) {
        s.need = 3;
        s.low = byte == 0xf0 ? 0x90 : 0x80;  /* overlong */
        s.high = byte == 0xf4 ? 0x8f : 0xbf; /* above U+10FFFF */
    }
    return s;
}

/* From data[i] on, the first byte that is not ASCII; nearly all are, so many are looked at at once.
 */
static size_t skip_ascii(const uint8_t *data, size_t i, size_t n)
{
    uint64_t word = 0;

    while (n - i >= sizeof(word)) {
        memcpy(&word, data + i, sizeof(word));
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
        i += sizeof(word);
    }
    while (i < n && data[i] < 0x80) {
        i++;
    }
    return i;
}

bool utf8_feed(struct utf8_scan *s, const uint8_t *data, size_t n)
{
    for (size_t i = s->need == 0 ? skip_ascii(data, 0, n) : 0; i < n; i++) {
        if (s->need == 0 && data[i] < 0x80) {
            continue;
        }
        if (s->need == 0) {
            *s = after_first(data[i]);
            if (s->need == 0) {
                return false;
            }
        } else if (data[i] < s->low || data[i] > s->high) {
            return false;
        } else {
            *s = (struct utf8_scan){(uint8_t)(s->need - 1), 0x80, 0xbf};
        }
    }
    return true;
}

bool utf8_is_whole(const struct utf8_scan *s)
{
    return s->need == 0;
}

size_t utf8_whole_bytes(const char *text, size_t n)
{
    for (size_t tail = 1; tail <= 3 && tail <= n; tail++) {
        uint8_t byte = (uint8_t)text[n - tail];
        if ((byte & 0xc0) != 0x80) {
            bool is_open = byte >= 0xc0 && after_first(byte).need >= tail;
            return is_open ? n - tail : n;
        }
    }
    return n;
}
