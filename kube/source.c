/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/file_read.h"
#include "core/base/file_stamp.h"
#include "core/base/name.h"
#include "core/base/wipe.h"

#define KUBE_SOURCE_MAGIC 0x5047ce05u

/* ---- files ---- */

static enum rc fail_read(struct kube_error *err, const char *path, int error)
{
    enum rc rc = error == ENOENT ? RC_NOT_FOUND : rc_from_errno(error);
    CHECK(rc != RC_OK);
    return kube_fail(err, rc, "cannot read %s: %s", path, strerror(error));
}

static enum rc explain(enum rc rc, const char *path, size_t max, struct kube_error *err)
{
    switch (rc) {
    case RC_OK:
        return RC_OK;
    case RC_FULL:
        return kube_fail(err, RC_FULL, "%s is larger than %zu bytes", path, max);
    case RC_INVALID:
        return kube_fail(err, RC_INVALID, "cannot read %s: it is not a regular file", path);
    default:
        return fail_read(err, path, rc == RC_NO_MEMORY ? ENOMEM : errno);
    }
}

enum rc kube_file_read(const char *path, size_t max, struct kube_error *err, char **out,
                       size_t *n_out)
{
    return explain(file_read(path, max, NULL, out, n_out), path, max, err);
}

enum rc kube_file_read_waiting(const char *path, size_t max, struct kube_error *err, char **out,
                               size_t *n_out)
{
    return explain(file_read_waiting(path, max, out, n_out), path, max, err);
}

/* ---- what is good ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool kube_token_is_valid(const char *text, size_t n)
{
    return name_is_word(text, n) && n <= KUBE_TOKEN_MAX_BYTES;
}

/* A key with a passphrase would make OpenSSL ask for it on the terminal. */
static const char *find_pem_problem(const char *text, size_t n, enum kube_source_kind kind)
{
    const char *mark = kind == KUBE_SOURCE_KEY ? "PRIVATE KEY-----" : "-----BEGIN CERTIFICATE-----";

    if (memchr(text, '\0', n) != NULL || strstr(text, "-----BEGIN ") == NULL ||
        strstr(text, mark) == NULL) {
        return kind == KUBE_SOURCE_KEY ? "is no private key in PEM" : "is no certificate in PEM";
    }
    if (kind == KUBE_SOURCE_KEY && strstr(text, "ENCRYPTED") != NULL) {
        return "is a key with a passphrase: use one without";
    }
    return NULL;
}

static const char *find_problem(enum kube_source_kind kind, const char *text, size_t n)
{
    if (kind == KUBE_SOURCE_TOKEN) {
        return kube_token_is_valid(text, n) ? NULL
                                            : "is no token: one word without blanks is expected";
    }
    return find_pem_problem(text, n, kind);
}

/* ---- the source ---- */

void kube_source_init(struct kube_source *s, enum kube_source_kind kind)
{
    *s = (struct kube_source){.magic = KUBE_SOURCE_MAGIC, .kind = kind};
}

void kube_source_fini(struct kube_source *s)
{
    CHECK_MAGIC(s, KUBE_SOURCE_MAGIC);
    wipe_free(s->data, s->n);
    free(s->file);
    free(s->key);
    *s = (struct kube_source){0};
}

static enum rc set_key(struct kube_source *s, const char *key)
{
    char *copy = strdup(key);

    if (copy == NULL) {
        return RC_NO_MEMORY;
    }
    free(s->key);
    s->key = copy;
    return RC_OK;
}

/* Check n bytes, which a zero follows, and keep a copy. */
static enum rc take(struct kube_source *s, const char *text, size_t n, struct kube_error *err)
{
    if (s->kind == KUBE_SOURCE_TOKEN) {
        for (; n > 0 && is_blank(text[n - 1]); n--) {
        }
        for (; n > 0 && is_blank(*text); text++, n--) {
        }
    }
    const char *problem = find_problem(s->kind, text, n);
    if (problem != NULL) {
        return kube_fail(err, RC_INVALID, "%s%s%s %s", s->key, s->file == NULL ? "" : ": ",
                         s->file == NULL ? "" : s->file, problem);
    }
    char *copy = malloc(n + 1);
    if (copy == NULL) {
        return kube_fail(err, RC_NO_MEMORY, "out of memory");
    }
    memcpy(copy, text, n);
    copy[n] = '\0';
    wipe_free(s->data, s->n);
    s->data = copy;
    s->n = n;
    return RC_OK;
}

enum rc kube_source_set(struct kube_source *s, const char *key, const char *text, size_t n,
                        struct kube_error *err)
{
    CHECK_MAGIC(s, KUBE_SOURCE_MAGIC);
    if (set_key(s, key) != RC_OK) {
        return kube_fail(err, RC_NO_MEMORY, "out of memory");
    }
    return take(s, text, n, err);
}

static enum rc read_file(struct kube_source *s, struct kube_error *err)
{
    char *text = NULL;
    size_t n = 0;
    /* The stamp comes first: what is written in between is read the next time. */
    uint64_t stamp = file_stamp_add(FILE_STAMP_NONE, s->file);
    struct kube_error why;
    enum rc rc = kube_file_read(s->file, KUBE_PEM_MAX_BYTES, &why, &text, &n);

    if (rc != RC_OK) {
        return kube_fail(err, rc, "%s: %.*s", s->key, KUBE_TEXT_BYTES / 2, why.text);
    }
    rc = take(s, text, n, err);
    wipe_free(text, n);
    if (rc == RC_OK) {
        s->stamp = stamp;
    }
    return rc;
}

enum rc kube_source_set_file(struct kube_source *s, const char *key, const char *file,
                             struct kube_error *err)
{
    CHECK_MAGIC(s, KUBE_SOURCE_MAGIC);
    char *copy = strdup(file);
    if (copy == NULL || set_key(s, key) != RC_OK) {
        free(copy);
        return kube_fail(err, RC_NO_MEMORY, "out of memory");
    }
    free(s->file);
    s->file = copy;
    return read_file(s, err);
}

enum rc kube_source_refresh(struct kube_source *s, bool *changed, struct kube_error *err)
{
    CHECK_MAGIC(s, KUBE_SOURCE_MAGIC);
    if (s->file == NULL || file_stamp_add(FILE_STAMP_NONE, s->file) == s->stamp) {
        return RC_OK;
    }
    char *old = s->data;
    size_t n_old = s->n;
    s->data = NULL;
    s->n = 0;
    enum rc rc = read_file(s, err);
    if (rc != RC_OK) {
        s->data = old;
        s->n = n_old;
        return rc;
    }
    if (n_old != s->n || memcmp(old, s->data, n_old) != 0) {
        *changed = true;
    }
    wipe_free(old, n_old);
    return RC_OK;
}
