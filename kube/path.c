/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/path.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/name.h"

static const struct {
    const char *group;
    const char *versions;
    const char *plural;
    bool in_namespace;
} kinds[] = {
#define KUBE_KIND(name, group, versions, plural, in_namespace) \
    [KUBE_##name] = {group, versions, plural, in_namespace},
#include "kube/kind.def"
#undef KUBE_KIND
};

/* ---- kinds ---- */

size_t kube_kind_versions(enum kube_kind kind)
{
    size_t n = 1;

    for (const char *p = kinds[kind].versions; (p = strchr(p, ' ')) != NULL; p++) {
        n++;
    }
    return n;
}

const char *kube_kind_plural(enum kube_kind kind)
{
    return kinds[kind].plural;
}

const char *kube_kind_group(enum kube_kind kind)
{
    return kinds[kind].group;
}

/* ---- paths ---- */

/* Append; false when there is no room, and then nothing is. */
static bool append(char *path, const char *text)
{
    size_t n = strlen(path);

    if (n + strlen(text) >= KUBE_PATH_BYTES) {
        return false;
    }
    memcpy(path + n, text, strlen(text) + 1);
    return true;
}

/* The version-th word of the versions. */
static void append_version(char *path, const char *versions, size_t version)
{
    char word[16];

    for (; version > 0; version--) {
        versions = strchr(versions, ' ') + 1;
    }
    (void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(versions, " "), versions);
    CHECK(append(path, word));
}

enum rc kube_path_make(enum kube_kind kind, size_t version, const char *ns, const char *name,
                       char *out)
{
    CHECK(version < kube_kind_versions(kind));
    const char *group = kinds[kind].group;

    if ((ns != NULL && (!kinds[kind].in_namespace || !name_is_label(ns))) ||
        (name != NULL && !name_is_subdomain(name)) ||
        (name != NULL && ns == NULL && kinds[kind].in_namespace)) {
        return RC_INVALID;
    }
    /* Room is enough for the longest names. */
    out[0] = '\0';
    CHECK(append(out, group[0] == '\0' ? "/api/" : "/apis/"));
    if (group[0] != '\0') {
        CHECK(append(out, group) && append(out, "/"));
    }
    append_version(out, kinds[kind].versions, version);
    if (ns != NULL) {
        CHECK(append(out, "/namespaces/") && append(out, ns));
    }
    CHECK(append(out, "/") && append(out, kinds[kind].plural));
    if (name != NULL) {
        CHECK(append(out, "/") && append(out, name));
    }
    return RC_OK;
}

enum rc kube_path_sub(char *path, const char *sub)
{
    return append(path, sub) ? RC_OK : RC_FULL;
}

static bool append_encoded(char *path, const char *value)
{
    char piece[4];

    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        bool plain = isalnum(c) || strchr("-_.~", (char)c) != NULL;
        (void)snprintf(piece, sizeof(piece), plain ? "%c" : "%%%02X", c);
        if (!append(path, piece)) {
            return false;
        }
    }
    return true;
}

enum rc kube_path_query(char *path, const char *key, const char *value)
{
    size_t n = strlen(path);

    if (!append(path, strchr(path, '?') == NULL ? "?" : "&") || !append(path, key) ||
        !append(path, "=") || !append_encoded(path, value)) {
        path[n] = '\0';
        return RC_FULL;
    }
    return RC_OK;
}
