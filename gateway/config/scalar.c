/* SPDX-License-Identifier: Apache-2.0 */
/* Words to values. See scalar.h. */
#include "gateway/config/scalar.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/** Longest word that scalar_distance() compares; keys are shorter. */
#define WORD_MAX 48

#define MAX_UINT (UINT64_C(1) << 53)

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t count_digits(const char *s)
{
    size_t n = 0;
    while (is_digit(s[n])) {
        n++;
    }
    return n;
}

static bool one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_radix_int(const char *s)
{
    if (s[0] != '0' || (s[1] != 'x' && s[1] != 'o') || s[2] == '\0') {
        return false;
    }
    const char *digits = s[1] == 'x' ? "0123456789abcdefABCDEF" : "01234567";
    return strspn(s + 2, digits) == strlen(s + 2);
}

/* [0-9]* ( "." [0-9]* )? ( [eE] [-+]? [0-9]+ )?, with a digit before the exponent. */
static enum scalar_type number_type(const char *s)
{
    size_t whole = count_digits(s);
    s += whole;
    if (whole > 0 && *s == '\0') {
        return SCALAR_INT;
    }
    size_t fraction = 0;
    if (*s == '.') {
        fraction = count_digits(s + 1);
        s += 1 + fraction;
    }
    if (whole + fraction == 0) {
        return SCALAR_TEXT;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '-' || *s == '+';
        if (!is_digit(*s)) {
            return SCALAR_TEXT;
        }
        s += count_digits(s);
    }
    return *s == '\0' ? SCALAR_FLOAT : SCALAR_TEXT;
}

enum scalar_type scalar_type_of(const char *text)
{
    static const char *const empty[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    static const char *const floats[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL};
    if (one_of(text, empty)) {
        return SCALAR_EMPTY;
    }
    if (one_of(text, bools)) {
        return SCALAR_BOOL;
    }
    if (is_radix_int(text)) {
        return SCALAR_INT;
    }
    const char *s = text;
    s += *s == '-' || *s == '+';
    if (one_of(s, floats)) {
        return SCALAR_FLOAT;
    }
    return number_type(s);
}

const char *scalar_type_name(enum scalar_type t)
{
    switch (t) {
    case SCALAR_EMPTY:
        return "nothing";
    case SCALAR_BOOL:
        return "true or false";
    case SCALAR_INT:
    case SCALAR_FLOAT:
        return "a number";
    case SCALAR_TEXT:
        break;
    }
    return "text";
}

/* Digits at the start of text; *rest is what follows. */
static bool leading_uint(const char *text, uint64_t *out, const char **rest)
{
    size_t n = count_digits(text);
    if (n == 0 || n > 16 || (n > 1 && text[0] == '0')) {
        return false;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    if (v > MAX_UINT) {
        return false;
    }
    *out = v;
    *rest = text + n;
    return true;
}

bool scalar_uint(const char *text, uint64_t *out)
{
    uint64_t v = 0;
    const char *rest = NULL;
    if (!leading_uint(text, &v, &rest) || *rest != '\0') {
        return false;
    }
    *out = v;
    return true;
}

bool scalar_duration(const char *text, double *out)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}};
    uint64_t v = 0;
    const char *unit = NULL;
    if (!leading_uint(text, &v, &unit)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].name) == 0) {
            *out = units[i].seconds * (double)v;
            return true;
        }
    }
    return false;
}

bool scalar_size(const char *text, uint64_t *out)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    uint64_t v = 0;
    const char *unit = NULL;
    if (!leading_uint(text, &v, &unit)) {
        return false;
    }
    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i]) == 0 && v <= (MAX_UINT >> (10 * i))) {
            *out = v << (10 * i);
            return true;
        }
    }
    return false;
}

bool scalar_octal_mode(const char *text, uint32_t *out)
{
    size_t n = strlen(text);
    if (n < 3 || n > 4 || strspn(text, "01234567") != n || (n == 4 && text[0] != '0')) {
        return false;
    }
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        v = v * 8 + (uint32_t)(text[i] - '0');
    }
    *out = v;
    return true;
}

const char *scalar_format_duration(double seconds, char *buf)
{
    uint64_t ms = (uint64_t)(seconds * 1000 + 0.5);
    const char *unit = "ms";
    if (ms % 3600000 == 0 && ms > 0) {
        ms /= 3600000;
        unit = "h";
    } else if (ms % 60000 == 0 && ms > 60000) {
        ms /= 60000;
        unit = "m";
    } else if (ms % 1000 == 0) {
        ms /= 1000;
        unit = "s";
    }
    (void)snprintf(buf, SCALAR_FORMAT_BYTES, "%llu%s", (unsigned long long)ms, unit);
    return buf;
}

const char *scalar_format_size(uint64_t bytes, char *buf)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB"};
    unsigned i = 0;
    while (i < 3 && bytes > 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        i++;
    }
    (void)snprintf(buf, SCALAR_FORMAT_BYTES, "%llu%s", (unsigned long long)bytes, units[i]);
    return buf;
}

static bool is_label(const char *s, size_t n)
{
    if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_alnum(s[i]) && s[i] != '-' && s[i] != '_') {
            return false;
        }
    }
    return true;
}

/* What inet_aton() takes for a part of an address. */
static bool is_number_label(const char *s, size_t n)
{
    if (n >= 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        return strspn(s + 2, "0123456789abcdefABCDEF") >= n - 2;
    }
    return count_digits(s) >= n;
}

bool scalar_is_host_name(const char *text)
{
    if (strlen(text) > 253) {
        return false;
    }
    for (const char *s = text;;) {
        size_t n = strcspn(s, ".");
        if (!is_label(s, n)) {
            return false;
        }
        if (s[n] == '\0') {
            return !is_number_label(s, n);
        }
        s += n + 1;
    }
}

bool scalar_is_localhost(const char *host)
{
    static const char word[] = "localhost";
    size_t n = strlen(host);
    if (n > 0 && host[n - 1] == '.') {
        n--;
    }
    size_t w = sizeof(word) - 1;
    if (n < w || strncasecmp(host + n - w, word, w) != 0) {
        return false;
    }
    return n == w || host[n - w - 1] == '.';
}

bool scalar_is_name(const char *text)
{
    size_t n = 0;
    for (; text[n] != '\0'; n++) {
        if (!is_alnum(text[n]) && strchr("._-", text[n]) == NULL) {
            return false;
        }
    }
    return n >= 1 && n <= 63;
}

bool scalar_is_header_name(const char *text)
{
    size_t n = 0;
    for (; text[n] != '\0'; n++) {
        char c = text[n];
        bool token = is_alnum(c) || strchr("!#$%&'*+-.^_`|~", c) != NULL;
        if (!token || (c >= 'A' && c <= 'Z')) {
            return false;
        }
    }
    return n >= 1 && n <= 128;
}

bool scalar_is_grpc_path(const char *text)
{
    if (text[0] != '/' || strlen(text) > 512) {
        return false;
    }
    size_t service = strcspn(text + 1, "/");
    const char *method = text + 1 + service;
    if (service == 0 || method[0] != '/' || method[1] == '\0') {
        return false;
    }
    for (const char *s = text + 1; *s != '\0'; s++) {
        bool slash = s == method;
        bool dot = *s == '.' && s < method;
        if (!slash && !dot && !is_alnum(*s) && *s != '_') {
            return false;
        }
    }
    return true;
}

void scalar_lower(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text >= 'A' && *text <= 'Z') {
            *text = (char)(*text - 'A' + 'a');
        }
    }
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Optimal string alignment. */
size_t scalar_distance(const char *a, const char *b)
{
    size_t na = strlen(a);
    size_t nb = strlen(b);
    if (na > WORD_MAX || nb > WORD_MAX) {
        return SIZE_MAX;
    }
    size_t d[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= na; i++) {
        d[i][0] = i;
    }
    for (size_t k = 0; k <= nb; k++) {
        d[0][k] = k;
    }
    for (size_t i = 1; i <= na; i++) {
        for (size_t k = 1; k <= nb; k++) {
            size_t change = a[i - 1] == b[k - 1] ? 0 : 1;
            d[i][k] = min3(d[i - 1][k] + 1, d[i][k - 1] + 1, d[i - 1][k - 1] + change);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
                d[i - 2][k - 2] + 1 < d[i][k]) {
                d[i][k] = d[i - 2][k - 2] + 1;
            }
        }
    }
    return d[na][nb];
}

/* A third of the letters may be wrong. */
const char *scalar_suggest(const char *word, const char *const *known)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (; *known != NULL; known++) {
        size_t limit = (strlen(*known) + 2) / 3;
        size_t d = scalar_distance(word, *known);
        if (d <= limit && d < best_distance) {
            best = *known;
            best_distance = d;
        }
    }
    return best;
}
