/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/names.h"

#include <stddef.h>
#include <string.h>

#define LABEL_MAX 63
#define SUBDOMAIN_MAX 253

static bool is_label(const char *name, size_t n)
{
    if (n == 0 || n > LABEL_MAX || name[0] == '-' || name[n - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bool letter = name[i] >= 'a' && name[i] <= 'z';
        bool digit = name[i] >= '0' && name[i] <= '9';
        if (!letter && !digit && name[i] != '-') {
            return false;
        }
    }
    return true;
}

bool name_is_label(const char *name)
{
    return is_label(name, strlen(name));
}

bool name_is_subdomain(const char *name)
{
    if (strlen(name) > SUBDOMAIN_MAX) {
        return false;
    }
    for (;;) {
        size_t n = strcspn(name, ".");
        if (!is_label(name, n)) {
            return false;
        }
        if (name[n] == '\0') {
            return true;
        }
        name += n + 1;
    }
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

bool name_is_variable(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

    return *name != '\0' && (*name < '0' || *name > '9') && strspn(name, letters) == strlen(name);
}
