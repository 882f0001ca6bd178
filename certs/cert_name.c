/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/cert_name.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define LABEL_MAX 63
#define NAME_MAX_BYTES 253

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_label(const char *p, size_t n)
{
    if (n == 0 || n > LABEL_MAX || p[0] == '-' || p[n - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(p[i]) && !is_letter(p[i]) && p[i] != '-') {
            return false;
        }
    }
    return true;
}

static bool is_number(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(p[i])) {
            return false;
        }
    }
    return true;
}

/* What is wrong with a name of labels, or NULL. */
static const char *check_labels(const char *p, size_t *labels)
{
    size_t n = strcspn(p, ".");

    *labels = 0;
    for (; is_label(p, n); n = strcspn(p, ".")) {
        (*labels)++;
        if (p[n] == '\0') {
            return is_number(p, n) ? "it is neither an IP address nor a DNS name: its last label "
                                     "is a number"
                                   : NULL;
        }
        p += n + 1;
    }
    return n == 0 ? "it has an empty label: write the name without a dot at its beginning or end"
                  : "a DNS name has letters, digits and hyphens only, 63 characters at most "
                    "between two dots";
}

static const char *check_dns(const char *text)
{
    bool wild = strncmp(text, "*.", 2) == 0;
    size_t labels = 0;

    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p >= 0x80) {
            return "an internationalised name is written in its xn-- form";
        }
    }
    if (strlen(text) > NAME_MAX_BYTES) {
        return "it is longer than 253 characters";
    }
    if (!wild && strchr(text, '*') != NULL) {
        return "a wildcard is the whole first label: *.example.com";
    }
    const char *why = check_labels(wild ? text + 2 : text, &labels);
    if (why == NULL && wild && labels < 2) {
        why = "a wildcard needs two labels or more after it: *.example.com";
    }
    return why;
}

/* An address has several notations; *out gets the usual one, which certificates are shown with. */
static bool read_address(const char *text, struct cert_name *out)
{
    static const int families[] = {AF_INET, AF_INET6};
    unsigned char address[16];

    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (inet_pton(families[i], text, address) == 1) {
            *out = (struct cert_name){.kind = CERT_NAME_IP};
            return inet_ntop(families[i], address, out->text, sizeof(out->text)) != NULL;
        }
    }
    return false;
}

enum rc cert_name_read(const char *text, struct cert_name *out, const char **why)
{
    if (read_address(text, out)) {
        return RC_OK;
    }
    const char *wrong = check_dns(text);
    if (wrong != NULL) {
        *why = wrong;
        return RC_INVALID;
    }
    *out = (struct cert_name){.kind = CERT_NAME_DNS};
    for (size_t i = 0; text[i] != '\0'; i++) { /* at most NAME_MAX_BYTES, as was checked */
        bool upper = text[i] >= 'A' && text[i] <= 'Z';
        out->text[i] = (char)(upper ? text[i] - 'A' + 'a' : text[i]);
    }
    return RC_OK;
}
