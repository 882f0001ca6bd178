/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What plain scalars of YAML mean: the rules of go.yaml.in/yaml/v2 (resolve.go), on which all of
 * Kubernetes' tools stand, and with them istioctl. Pure.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc/doc_internal.h"

/* Longer numbers are text. Go reads them, with a loss; nobody writes them. */
#define MAX_NUMBER_BYTES 128

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_one_of(const char *text, size_t n, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strlen(*words) == n && memcmp(*words, text, n) == 0) {
            return true;
        }
    }
    return false;
}

static bool resolve_word(const char *text, size_t n, struct doc_scalar *out)
{
    static const char *const yes[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                      "True", "TRUE", "on",  "On",  "ON",  NULL};
    static const char *const no[] = {"n",     "N",     "no",  "No",  "NO",  "false",
                                     "False", "FALSE", "off", "Off", "OFF", NULL};
    static const char *const none[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const endless[] = {".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",
                                          ".INF",  "+.inf", "+.Inf", "+.INF", "-.inf",
                                          "-.Inf", "-.INF", NULL};

    if (is_one_of(text, n, yes) || is_one_of(text, n, no)) {
        *out = (struct doc_scalar){.kind = DOC_BOOL, .truth = is_one_of(text, n, yes)};
    } else if (is_one_of(text, n, none)) {
        *out = (struct doc_scalar){.kind = DOC_NULL};
    } else if (is_one_of(text, n, endless)) {
        *out = (struct doc_scalar){.kind = DOC_ENDLESS};
    } else {
        return false;
    }
    return true;
}

static unsigned digit_value(char c)
{
    if (is_digit(c)) {
        return (unsigned)(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
        return (unsigned)(c - 'a') + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return (unsigned)(c - 'A') + 10;
    }
    return 99;
}

/* After a sign: 0x, 0o and 0b, and a 0 before octal digits. */
static unsigned take_base(const char **s)
{
    if (**s != '0' || (*s)[1] == '\0') {
        return 10;
    }
    switch ((*s)[1]) {
    case 'x':
    case 'X':
        *s += 2;
        return 16;
    case 'o':
    case 'O':
        *s += 2;
        return 8;
    case 'b':
    case 'B':
        *s += 2;
        return 2;
    default:
        *s += 1;
        return 8;
    }
}

static bool resolve_integer(const char *s, struct doc_scalar *out)
{
    bool negative = *s == '-';
    uint64_t v = 0;

    s += *s == '-' || *s == '+';
    unsigned base = take_base(&s);
    if (*s == '\0') {
        return false;
    }
    for (; *s != '\0'; s++) {
        unsigned digit = digit_value(*s);
        if (digit >= base || v > (UINT64_MAX - digit) / base) {
            return false;
        }
        v = v * base + digit;
    }
    if (v > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    json_int_t low = (json_int_t)(v & INT64_MAX); /* all of it, but for the lowest integer */
    json_int_t integer = !negative ? low : v > INT64_MAX ? INT64_MIN : -low;
    *out = (struct doc_scalar){.kind = DOC_INTEGER, .integer = integer};
    return true;
}

static const char *skip_digits(const char *s)
{
    while (is_digit(*s)) {
        s++;
    }
    return s;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_real(const char *s)
{
    s += *s == '-' || *s == '+';
    const char *whole = s;
    s = skip_digits(s);
    bool has_whole = s > whole;
    if (*s == '.') {
        const char *fraction = ++s;
        s = skip_digits(s);
        if (!has_whole && s == fraction) {
            return false;
        }
    } else if (!has_whole) {
        return false;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '-' || *s == '+';
        const char *exponent = s;
        s = skip_digits(s);
        return s > exponent && *s == '\0';
    }
    return *s == '\0';
}

static bool resolve_real(const char *s, struct doc_scalar *out)
{
    if (!is_real(s)) {
        return false;
    }
    double v = strtod(s, NULL);
    if (!isfinite(v)) {
        return false;
    }
    *out = (struct doc_scalar){.kind = DOC_REAL, .real = v};
    return true;
}

static bool resolve_number(const char *text, size_t n, struct doc_scalar *out)
{
    char plain[MAX_NUMBER_BYTES + 1];
    size_t len = 0;
    bool fraction_first = n > 0 && text[0] == '.';

    if (n == 0 || n > MAX_NUMBER_BYTES) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\0') {
            return false;
        }
        if (text[i] != '_' || fraction_first) {
            plain[len++] = text[i];
        }
    }
    plain[len] = '\0';
    if (fraction_first) {
        return resolve_real(plain, out);
    }
    return resolve_integer(plain, out) || resolve_real(plain, out);
}

static bool starts_number(const char *text, size_t n)
{
    return n > 0 && (is_digit(text[0]) || text[0] == '+' || text[0] == '-' || text[0] == '.');
}

struct doc_scalar doc_resolve(const char *text, size_t n)
{
    struct doc_scalar out = {.kind = DOC_TEXT};

    if (!resolve_word(text, n, &out) && starts_number(text, n)) {
        (void)resolve_number(text, n, &out);
    }
    return out;
}

/* Four digits and a dash: a time stamp of YAML 1.1. Kubernetes' tools leave it as text. */
static bool is_time(const char *text, size_t n)
{
    return n > 4 && is_digit(text[0]) && is_digit(text[1]) && is_digit(text[2]) &&
           is_digit(text[3]) && text[4] == '-';
}

/* Digits in groups of sixty (12:30:45) and time stamps are no text for readers of YAML 1.1, and a
 * number that is too long for us is none either. */
bool doc_needs_quotes(const char *text, size_t n)
{
    if (doc_resolve(text, n).kind != DOC_TEXT) {
        return true;
    }
    if (n == 1 && (text[0] == '=' || text[0] == '.')) {
        return true;
    }
    if (!starts_number(text, n)) {
        return n == 2 && memcmp(text, "<<", 2) == 0;
    }
    return n > MAX_NUMBER_BYTES || is_time(text, n) || memchr(text, ':', n) != NULL ||
           memchr(text, '_', n) != NULL;
}
