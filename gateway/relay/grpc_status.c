/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/relay/grpc_status.h"

#include <stdio.h>
#include <string.h>

#define MESSAGE_BYTES 900

static size_t percent_encode(const char *text, char *out, size_t room)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;

    for (const unsigned char *p = (const unsigned char *)text; *p != 0 && n + 3 < room; p++) {
        if (*p >= 0x20 && *p <= 0x7e && *p != '%') {
            out[n++] = (char)*p;
        } else {
            out[n++] = '%';
            out[n++] = hex[*p >> 4];
            out[n++] = hex[*p & 15];
        }
    }
    return n;
}

enum rc grpc_status_add(struct h2_headers *h, enum grpc_status status, const char *message)
{
    char number[12];
    char encoded[MESSAGE_BYTES];

    snprintf(number, sizeof(number), "%d", (int)status);
    TRY(h2_headers_add_str(h, "grpc-status", number));
    size_t n = percent_encode(message, encoded, sizeof(encoded));
    return h2_headers_add(h, "grpc-message", 12, encoded, n, false);
}

enum rc grpc_status_response(struct h2_headers *h, enum grpc_status status, const char *message)
{
    TRY(h2_headers_add_str(h, ":status", "200"));
    TRY(h2_headers_add_str(h, "content-type", "application/grpc"));
    return grpc_status_add(h, status, message);
}

int grpc_status_of(const struct h2_headers *h)
{
    size_t n;
    const char *v = h2_headers_find(h, "grpc-status", &n);
    int status = 0;

    if (v == NULL || n == 0 || n > 2) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (v[i] < '0' || v[i] > '9') {
            return -1;
        }
        status = status * 10 + (v[i] - '0');
    }
    return status <= 16 ? status : -1;
}

bool grpc_status_message_has(const struct h2_headers *h, const char *text)
{
    size_t n;
    const char *v = h2_headers_find(h, "grpc-message", &n);
    return v != NULL && memmem(v, n, text, strlen(text)) != NULL;
}

enum grpc_status grpc_status_of_reset(uint32_t h2_error)
{
    switch (h2_error) {
    case 7: /* REFUSED_STREAM */
        return GRPC_UNAVAILABLE;
    case 8: /* CANCEL */
        return GRPC_CANCELLED;
    case 11: /* ENHANCE_YOUR_CALM */
        return GRPC_RESOURCE_EXHAUSTED;
    case 12: /* INADEQUATE_SECURITY */
        return GRPC_PERMISSION_DENIED;
    default:
        return GRPC_INTERNAL;
    }
}

bool grpc_is_content_type(const char *value, size_t n)
{
    static const char grpc[] = "application/grpc";
    size_t len = sizeof(grpc) - 1;
    return n >= len && memcmp(value, grpc, len) == 0 &&
           (n == len || value[len] == '+' || value[len] == ';');
}
