/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/vmconfig/config_mask.h"

#include <stdbool.h>
#include <string.h>

/* An entry of map<string, string> begins with tag and length of its key; then comes the tag of its
 * value. */
#define TAG_OF_KEY 0x0a
#define TAG_OF_VALUE 0x12

static const char key_mark[] = "PRIVATE KEY-----";
static const char end_mark[] = "-----END";
static const char pull_secret[] = "ISTIO_META_WASM_IMAGE_PULL_SECRET";

static uint8_t *find(uint8_t *at, const uint8_t *end, const char *mark, size_t n)
{
    return at < end ? memmem(at, (size_t)(end - at), mark, n) : NULL;
}

/* The end of the line that `at` begins, "-----END RSA PRIVATE KEY-----": its words are not those of
 * another beginning. */
static uint8_t *skip_end_mark(uint8_t *at, const uint8_t *end)
{
    uint8_t *c = at + sizeof(end_mark) - 1;

    while (c < end && (*c == ' ' || (*c >= 'A' && *c <= 'Z'))) {
        c++;
    }
    return c;
}

static void mask_keys(uint8_t *value, const uint8_t *end)
{
    const size_t n = sizeof(key_mark) - 1;
    uint8_t *at = value;

    while ((at = find(at, end, key_mark, n)) != NULL) {
        at += n;
        uint8_t *stop = find(at, end, end_mark, sizeof(end_mark) - 1);
        size_t n_key = stop != NULL ? (size_t)(stop - at) : (size_t)(end - at);
        memset(at, '*', n_key);
        at = stop != NULL ? skip_end_mark(stop, end) : at + n_key;
    }
}

/* A length as protocol buffers write it. NULL: there is none. */
static uint8_t *read_length(uint8_t *at, const uint8_t *end, size_t *length)
{
    uint64_t v = 0;

    for (unsigned shift = 0; at < end && shift < 35; shift += 7) {
        uint8_t byte = *at++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *length = (size_t)v;
            return at;
        }
    }
    return NULL;
}

/* Is it the key of an entry, not a text that mentions it? */
static bool is_key(const uint8_t *value, const uint8_t *at)
{
    return at - value >= 2 && at[-2] == TAG_OF_KEY && at[-1] == sizeof(pull_secret) - 1;
}

/* Behind the key stands the value, as Go writes maps. NULL: it does not. */
static uint8_t *mask_entry(uint8_t *at, const uint8_t *end)
{
    size_t length = 0;
    uint8_t *text = at < end && *at == TAG_OF_VALUE ? read_length(at + 1, end, &length) : NULL;

    if (text == NULL || length > (size_t)(end - text)) {
        return NULL;
    }
    memset(text, '*', length);
    return text + length;
}

static void mask_variables(uint8_t *value, const uint8_t *end)
{
    const size_t n = sizeof(pull_secret) - 1;
    uint8_t *at = value;

    while ((at = find(at, end, pull_secret, n)) != NULL) {
        uint8_t *next = is_key(value, at) ? mask_entry(at + n, end) : at + n;
        if (next == NULL) { /* it may stand anywhere: rather too much */
            memset(value, '*', (size_t)(end - value));
            return;
        }
        at = next;
    }
}

void config_mask(uint8_t *value, size_t n)
{
    mask_keys(value, value + n);
    mask_variables(value, value + n);
}
