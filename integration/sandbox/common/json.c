/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as far as the sandbox needs it: a writer for status answers and a reader for the claims
 * of a token. The reader walks the text, keeps nothing, and refuses what nests deeper than
 * MAX_DEPTH.
 */
#include "integration/sandbox/common/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 32

static void put_escaped(struct text *t, const char *s)
{
    text_add_n(t, "\"", 1);
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\') {
            text_addf(t, "\\%c", c);
        } else if (c < 0x20) {
            text_addf(t, "\\u%04x", c);
        } else {
            text_add_n(t, s, 1);
        }
    }
    text_add_n(t, "\"", 1);
}

static void put_key(struct text *t, const char *key)
{
    char last = t->len == 0 ? '{' : t->p[t->len - 1];

    if (last != '{' && last != '[') {
        text_add_n(t, ",", 1);
    }
    if (key != NULL) {
        put_escaped(t, key);
        text_add_n(t, ":", 1);
    }
}

void json_open(struct text *t, const char *key, char c)
{
    if (t->len > 0) {
        put_key(t, key);
    }
    text_add_n(t, &c, 1);
}

void json_close(struct text *t, char c)
{
    text_add_n(t, &c, 1);
}

void json_str(struct text *t, const char *key, const char *value)
{
    put_key(t, key);
    if (value == NULL) {
        text_add(t, "null");
    } else {
        put_escaped(t, value);
    }
}

void json_int(struct text *t, const char *key, int64_t value)
{
    put_key(t, key);
    text_addf(t, "%lld", (long long)value);
}

void json_bool(struct text *t, const char *key, bool value)
{
    put_key(t, key);
    text_add(t, value ? "true" : "false");
}

static const char *skip_blank(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

/* Past a string that starts at p; NULL when it does not end. */
static const char *skip_string(const char *p)
{
    if (*p != '"') {
        return NULL;
    }
    for (p++; *p != '"'; p++) {
        if (*p == '\0' || (*p == '\\' && *++p == '\0')) {
            return NULL;
        }
    }
    return p + 1;
}

static const char *skip_value(const char *p, int depth);

/* Past an object or array that starts at p. */
static const char *skip_container(const char *p, int depth)
{
    char end = *p == '{' ? '}' : ']';
    bool is_object = *p == '{';

    p = skip_blank(p + 1);
    if (*p == end) {
        return p + 1;
    }
    for (;;) {
        if (is_object) {
            p = skip_string(p);
            if (p == NULL || *(p = skip_blank(p)) != ':') {
                return NULL;
            }
            p = skip_blank(p + 1);
        }
        p = skip_value(p, depth + 1);
        if (p == NULL) {
            return NULL;
        }
        p = skip_blank(p);
        if (*p == end) {
            return p + 1;
        }
        if (*p != ',') {
            return NULL;
        }
        p = skip_blank(p + 1);
    }
}

static const char *skip_value(const char *p, int depth)
{
    size_t n;

    if (depth > MAX_DEPTH) {
        return NULL;
    }
    if (*p == '"') {
        return skip_string(p);
    }
    if (*p == '{' || *p == '[') {
        return skip_container(p, depth);
    }
    n = strspn(p, "+-.0123456789abcdefghijklmnopqrstuvwxyzE");
    return n == 0 ? NULL : p + n;
}

/* The string at p, unescaped; NULL when it is none. Owned by the caller. */
static char *read_string(const char *p)
{
    struct text t = {0};

    if (skip_string(p) == NULL) {
        return NULL;
    }
    for (p++; *p != '"'; p++) {
        char c = *p;

        if (c == '\\') {
            static const char from[] = "nrtbf";
            static const char to[] = "\n\r\t\b\f";
            const char *at = strchr(from, *++p);

            if (*p == 'u') {
                text_fini(&t);
                return NULL;
            }
            c = at != NULL ? to[at - from] : *p;
        }
        text_add_n(&t, &c, 1);
    }
    return text_take(&t);
}

/* Where the member's value starts; NULL when there is none or the text is no object. */
static const char *find_member(const char *json, const char *key)
{
    const char *p = skip_blank(json);

    if (*p != '{' || skip_value(p, 0) == NULL) {
        return NULL;
    }
    p = skip_blank(p + 1);
    while (*p == '"') {
        char *name = read_string(p);
        bool match = name != NULL && strcmp(name, key) == 0;

        free(name);
        p = skip_blank(skip_blank(skip_string(p)) + 1);
        if (match) {
            return p;
        }
        p = skip_blank(skip_value(p, 0));
        if (*p == ',') {
            p = skip_blank(p + 1);
        }
    }
    return NULL;
}

bool json_get_str(const char *json, const char *key, char **out)
{
    const char *p = find_member(json, key);
    char *s = p == NULL ? NULL : read_string(p);

    if (s == NULL) {
        return false;
    }
    *out = s;
    return true;
}

bool json_get_int(const char *json, const char *key, int64_t *out)
{
    const char *p = find_member(json, key);
    char *end = NULL;
    double v;

    if (p == NULL || strchr("-0123456789", *p) == NULL) {
        return false;
    }
    v = strtod(p, &end);
    if (end == p || v < -9e15 || v > 9e15) {
        return false;
    }
    *out = (int64_t)v;
    return true;
}

bool json_has_str(const char *json, const char *key, const char *want)
{
    const char *p = find_member(json, key);
    bool found = false;

    if (p != NULL && *p == '"') {
        char *s = read_string(p);

        found = s != NULL && strcmp(s, want) == 0;
        free(s);
    } else if (p != NULL && *p == '[') {
        for (p = skip_blank(p + 1); !found && *p == '"';) {
            char *s = read_string(p);

            found = s != NULL && strcmp(s, want) == 0;
            free(s);
            p = skip_blank(skip_string(p));
            if (*p == ',') {
                p = skip_blank(p + 1);
            }
        }
    }
    return found;
}
