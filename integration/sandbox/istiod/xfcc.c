/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of x-forwarded-client-cert as istiod reads it, strictness and leniency included:
 * no certificate is verified, every element counts, one unknown key spoils the whole header.
 */
#include "integration/sandbox/istiod/xfcc.h"

#include <stdlib.h>
#include <string.h>

static const char *const keys[] = {"By", "Hash", "Cert", "Chain", "Subject", "URI", "DNS"};
static const char *const subject_keys[] = {"C", "O",  "OU",     "CN",        "SERIALNUMBER",
                                           "L", "ST", "STREET", "POSTALCODE"};

static bool is_one_of(const char *s, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(s, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* A key up to '='; *at moves past it. NULL when there is no '='. */
static char *read_key(const char **at)
{
    size_t n = strcspn(*at, "=;,");
    char *key;

    if ((*at)[n] != '=') {
        return NULL;
    }
    key = sbx_strndup(*at, n);
    *at += n + 1;
    return key;
}

static char *read_quoted(const char **at)
{
    struct text t = {0};
    const char *p = *at + 1;

    for (; *p != '"'; p++) {
        if (*p == '\\' && p[1] != '\0') {
            p++;
        }
        if (*p == '\0') {
            text_fini(&t);
            return NULL;
        }
        text_add_n(&t, p, 1);
    }
    *at = p + 1;
    return text_take(&t);
}

static char *read_plain(const char **at)
{
    struct text t = {0};
    const char *p = *at;

    for (; *p != '\0' && *p != ';' && *p != ','; p++) {
        if (*p == '\\' && p[1] != '\0') {
            p++;
        } else if (*p == '=') {
            text_fini(&t);
            return NULL;
        }
        text_add_n(&t, p, 1);
    }
    *at = p;
    return text_take(&t);
}

/* CN of a Subject; "" without one, NULL when the Subject is refused. Owned by the caller. */
static char *subject_cn(const char *subject)
{
    struct names parts = {0};
    char *cn = sbx_strdup("");
    bool ok = true;

    names_split(&parts, subject, ',');
    for (size_t i = 0; ok && i < parts.n; i++) {
        const char *at = parts.v[i];
        char *key = read_key(&at);

        ok = key != NULL &&
             is_one_of(key, subject_keys, sizeof(subject_keys) / sizeof(subject_keys[0]));
        if (ok && strcmp(key, "CN") == 0) {
            free(cn);
            cn = sbx_strdup(at);
        }
        free(key);
    }
    names_fini(&parts);
    if (!ok) {
        free(cn);
        return NULL;
    }
    return cn;
}

/* The identities of one element, in istiod's order: URI, DNS, Subject's CN. */
struct element {
    struct names uris;
    struct names dns;
    struct names cns;
};

static const char *take_pair(struct element *e, const char *key, const char *value)
{
    if (strcmp(key, "URI") == 0) {
        names_add(&e->uris, value);
    } else if (strcmp(key, "DNS") == 0) {
        names_add(&e->dns, value);
    } else if (strcmp(key, "Subject") == 0) {
        char *cn = subject_cn(value);

        if (cn == NULL) {
            return "Subject has an unknown attribute";
        }
        names_add(&e->cns, cn);
        free(cn);
    }
    return NULL;
}

static const char *read_pair(struct element *e, const char **at)
{
    char *key = read_key(at);
    char *value = NULL;
    const char *why = "pair without =";

    if (key != NULL) {
        why = "unknown key";
        if (is_one_of(key, keys, sizeof(keys) / sizeof(keys[0]))) {
            value = **at == '"' ? read_quoted(at) : read_plain(at);
            why = value == NULL ? "malformed value" : take_pair(e, key, value);
        }
    }
    free(key);
    free(value);
    if (why == NULL && **at != '\0' && **at != ';' && **at != ',') {
        why = "text after a quoted value";
    }
    return why;
}

static void move_names(struct names *to, struct names *from)
{
    for (size_t i = 0; i < from->n; i++) {
        names_add(to, from->v[i]);
    }
    names_fini(from);
}

/* One element; *at stops at ',' or the end. */
static const char *read_element(const char **at, struct names *found)
{
    struct element e = {0};
    const char *why = read_pair(&e, at);

    while (why == NULL && **at == ';') {
        (*at)++;
        why = read_pair(&e, at);
    }
    move_names(found, &e.uris);
    move_names(found, &e.dns);
    move_names(found, &e.cns);
    return why;
}

const char *xfcc_parse(const char *header, struct names *identities)
{
    struct names found = {0};
    const char *at = header;
    const char *why = read_element(&at, &found);

    while (why == NULL && *at == ',') {
        at++;
        why = read_element(&at, &found);
    }
    if (why == NULL) {
        move_names(identities, &found);
    }
    names_fini(&found);
    return why;
}
