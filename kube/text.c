/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** How every JSON web token begins: base64url of {" */
#define JWT_START "eyJ"

/** A shorter run of such characters is no token. */
#define JWT_MIN_BYTES 20

void kube_error_write(struct kube_error *err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
}

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.';
}

/* Length of the token that starts at p, or 0. */
static size_t token_length(const char *p, const char *secret)
{
    size_t n = 0;

    if (secret != NULL && secret[0] != '\0' && strncmp(p, secret, strlen(secret)) == 0) {
        return strlen(secret);
    }
    if (strncmp(p, JWT_START, strlen(JWT_START)) != 0) {
        return 0;
    }
    while (is_token_char(p[n])) {
        n++;
    }
    return n >= JWT_MIN_BYTES ? n : 0;
}

static size_t append_word(char *out, size_t size, size_t len, const char *word)
{
    int n = snprintf(out + len, size - len, "%s", word);
    return n < 0 || (size_t)n >= size - len ? size - 1 : len + (size_t)n;
}

void kube_text_append(char *out, size_t size, const char *text, size_t max, const char *secret)
{
    size_t len = strlen(out);
    size_t end = len + max < size - 1 ? len + max : size - 1;

    while (*text != '\0' && len < end) {
        size_t n = token_length(text, secret);
        if (n > 0) {
            len = append_word(out, size, len, "[token]");
            text += n;
            continue;
        }
        unsigned char c = (unsigned char)*text++;
        out[len++] = (char)(c >= ' ' && c < 0x7f ? c : '?');
    }
    out[len] = '\0';
}
