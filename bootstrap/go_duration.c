/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/go_duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One more than the largest number of nanoseconds: the absolute value of the smallest. */
#define TOP ((uint64_t)1 << 63)

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits at *s as a number below or equal TOP. */
static bool take_whole(const char **s, uint64_t *out)
{
    uint64_t v = 0;

    for (; is_digit(**s); (*s)++) {
        unsigned digit = (unsigned)(**s - '0');
        if (v > (TOP - digit) / 10) {
            return false;
        }
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

/* Digits at *s, to be divided by *scale; what is too small to count is skipped. */
static double take_fraction(const char **s, double *scale)
{
    double v = 0;

    for (; is_digit(**s); (*s)++) {
        if (*scale < 1e18) {
            *scale *= 10;
            v = v * 10 + (**s - '0');
        }
    }
    return v;
}

/* Nanoseconds of the unit at *s; 0: it is none. */
static uint64_t take_unit(const char **s)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ns", 1},
                 {"us", 1000},
                 {"\xc2\xb5s", 1000},
                 {"\xce\xbcs", 1000},
                 {"ms", 1000000},
                 {"s", UINT64_C(1000000000)},
                 {"m", UINT64_C(60000000000)},
                 {"h", UINT64_C(3600000000000)}};
    size_t n = strcspn(*s, ".0123456789");

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strlen(units[i].name) == n && memcmp(units[i].name, *s, n) == 0) {
            *s += n;
            return units[i].ns;
        }
    }
    return 0;
}

/* One number with its unit, added to *sum. */
static bool take_part(const char **s, uint64_t *sum)
{
    uint64_t whole = 0;
    double fraction = 0;
    double scale = 1;
    bool digits = is_digit(**s);

    if (!take_whole(s, &whole)) {
        return false;
    }
    if (**s == '.') {
        (*s)++;
        digits = digits || is_digit(**s);
        fraction = take_fraction(s, &scale);
    }
    uint64_t unit = take_unit(s);
    if (!digits || unit == 0 || whole > TOP / unit) {
        return false;
    }
    uint64_t v = whole * unit + (uint64_t)(fraction * ((double)unit / scale));
    if (v > TOP || *sum + v > TOP) {
        return false;
    }
    *sum += v;
    return true;
}

bool go_duration_parse(const char *text, int64_t *ns)
{
    const char *s = text;
    bool negative = *s == '-';
    uint64_t sum = 0;

    s += *s == '-' || *s == '+';
    if (strcmp(s, "0") == 0) {
        *ns = 0;
        return true;
    }
    if (*s == '\0') {
        return false;
    }
    while (*s != '\0') {
        if (!take_part(&s, &sum)) {
            return false;
        }
    }
    if (sum == TOP && !negative) {
        return false;
    }
    *ns = sum == TOP ? INT64_MIN : negative ? -(int64_t)sum : (int64_t)sum;
    return true;
}

const char *go_duration_format(int64_t ns, char buf[GO_DURATION_BYTES])
{
    uint64_t v = ns < 0 ? (uint64_t)0 - (uint64_t)ns : (uint64_t)ns;
    uint64_t rest = v % UINT64_C(1000000000);
    const char *sign = ns < 0 ? "-" : "";
    uint64_t whole = v / UINT64_C(1000000000);

    if (rest == 0) {
        (void)snprintf(buf, GO_DURATION_BYTES, "%s%" PRIu64 "s", sign, whole);
    } else if (rest % 1000000 == 0) {
        (void)snprintf(buf, GO_DURATION_BYTES, "%s%" PRIu64 ".%03" PRIu64 "s", sign, whole,
                       rest / 1000000);
    } else if (rest % 1000 == 0) {
        (void)snprintf(buf, GO_DURATION_BYTES, "%s%" PRIu64 ".%06" PRIu64 "s", sign, whole,
                       rest / 1000);
    } else {
        (void)snprintf(buf, GO_DURATION_BYTES, "%s%" PRIu64 ".%09" PRIu64 "s", sign, whole, rest);
    }
    return buf;
}
