/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/name.h"

#include <string.h>

#define LABEL_MAX_BYTES 63
#define SUBDOMAIN_MAX_BYTES 253

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_name(const char *name, size_t max, bool dots)
{
    size_t n = strlen(name);

    if (n == 0 || n > max || !is_lower_alnum(name[0]) || !is_lower_alnum(name[n - 1])) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool dot = c == '.' && dots && is_lower_alnum(name[i - 1]) && is_lower_alnum(name[i + 1]);
        if (!is_lower_alnum(c) && c != '-' && !dot) {
            return false;
        }
    }
    return true;
}

bool name_is_label(const char *name)
{
    return is_name(name, LABEL_MAX_BYTES, false);
}

bool name_is_subdomain(const char *name)
{
    return is_name(name, SUBDOMAIN_MAX_BYTES, true);
}

bool name_is_variable(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

    return *name != '\0' && (*name < '0' || *name > '9') && strspn(name, letters) == strlen(name);
}

bool name_is_word(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false;
        }
    }
    return n > 0;
}
