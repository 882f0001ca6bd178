/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/host_port.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static unsigned long read_port(const char *text)
{
    size_t n = strlen(text);

    return n <= 5 && strspn(text, "0123456789") == n ? strtoul(text, NULL, 10) : 0;
}

enum rc host_port_read(const char *text, char **host, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    bool brackets = text[0] == '[' && colon != NULL && colon > text && colon[-1] == ']';
    const char *begin = brackets ? text + 1 : text;
    size_t n = colon != NULL ? (size_t)(colon - begin) - (brackets ? 1 : 0) : 0;
    unsigned long number = colon != NULL ? read_port(colon + 1) : 0;

    if (n == 0 || number == 0 || number > UINT16_MAX ||
        (!brackets && (text[0] == '[' || memchr(begin, ':', n) != NULL))) {
        return RC_INVALID;
    }
    char *copy = strndup(begin, n);
    if (copy == NULL) {
        return RC_NO_MEMORY;
    }
    *host = copy;
    *port = (uint16_t)number;
    return RC_OK;
}
