/* SPDX-License-Identifier: Apache-2.0 */
/* The deny list as JSON. What a file says is strictly checked: a revocation that is not understood
 * must not get lost. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/hex.h"
#include "core/doc/doc.h"
#include "gateway/registry/denylist_internal.h"
#include "gateway/registry/vm_id.h"

/* No VM that we have revoked has longer texts. */
#define TEXT_MAX 1024

/* ---- reading ---- */

static enum rc fail(char *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static enum rc fail(char *why, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(why, DENYLIST_WHY_BYTES, fmt, ap);
    va_end(ap);
    return RC_INVALID;
}

static bool is_key_of(const char *key, const char *const *keys)
{
    while (*keys != NULL && strcmp(key, *keys) != 0) {
        keys++;
    }
    return *keys != NULL;
}

/* No other keys, so that nothing is passed over. where: "revoked[3]." or "". */
static enum rc check_keys(const json_t *object, const char *where, const char *const *keys,
                          char *why)
{
    for (void *i = json_object_iter((json_t *)(uintptr_t)object); i != NULL;
         i = json_object_iter_next((json_t *)(uintptr_t)object, i)) {
        const char *key = json_object_iter_key(i);
        if (!is_key_of(key, keys)) {
            return fail(why, "%s%.40s: unknown key", where, key);
        }
    }
    return RC_OK;
}

static enum rc read_text(const json_t *row, size_t index, const char *key, const char **out,
                         char *why)
{
    const char *text = doc_text(row, key, NULL);

    if (text == NULL || strlen(text) > TEXT_MAX) {
        return fail(why, "revoked[%zu].%s: a string of at most %d bytes is wanted", index, key,
                    TEXT_MAX);
    }
    *out = text;
    return RC_OK;
}

static int digit_of(char c)
{
    const char *digits = "0123456789abcdef";
    const char *found = c != '\0' ? strchr(digits, c) : NULL;

    return found != NULL ? (int)(found - digits) : -1;
}

static bool read_key(const char *text, uint8_t key[DENYLIST_KEY_BYTES])
{
    if (text == NULL || strlen(text) != (size_t)2 * DENYLIST_KEY_BYTES) {
        return false;
    }
    for (size_t i = 0; i < DENYLIST_KEY_BYTES; i++) {
        int high = digit_of(text[2 * i]);
        int low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        key[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

static enum rc read_keys(const json_t *row, size_t index,
                         uint8_t keys[DENYLIST_KEYS_MAX][DENYLIST_KEY_BYTES], size_t *n, char *why)
{
    const json_t *list = doc_at(row, "keys", NULL);

    if (!json_is_array(list) || json_array_size(list) > DENYLIST_KEYS_MAX) {
        return fail(why, "revoked[%zu].keys: a list of at most %d is wanted", index,
                    DENYLIST_KEYS_MAX);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!read_key(doc_text(json_array_get(list, i), NULL), keys[i])) {
            return fail(why, "revoked[%zu].keys[%zu]: 64 hexadecimal digits are wanted", index, i);
        }
    }
    *n = json_array_size(list);
    return RC_OK;
}

static enum rc read_row(const json_t *row, size_t index, struct denylist_set *out, char *why)
{
    static const char *const keys[] = {"id", "name", "identity", "keys", "by", "at", NULL};
    uint8_t key_bytes[DENYLIST_KEYS_MAX][DENYLIST_KEY_BYTES];
    struct denial v = {.keys = key_bytes[0]};
    const char *id = NULL;
    char where[40];

    (void)snprintf(where, sizeof(where), "revoked[%zu].", index);
    if (!json_is_object(row)) {
        return fail(why, "revoked[%zu]: a mapping is wanted", index);
    }
    TRY(check_keys(row, where, keys, why));
    TRY(read_text(row, index, "id", &id, why));
    TRY(read_text(row, index, "name", &v.name, why));
    TRY(read_text(row, index, "identity", &v.identity, why));
    TRY(read_text(row, index, "by", &v.by, why));
    TRY(read_text(row, index, "at", &v.at, why));
    TRY(read_keys(row, index, key_bytes, &v.n_keys, why));
    if (!vm_id_parse(id, &v.id)) {
        return fail(why, "revoked[%zu].id: 16 hexadecimal digits are wanted", index);
    }
    if (v.name[0] == '\0') {
        return fail(why, "revoked[%zu].name: must not be empty", index);
    }
    return denylist_set_put(out, &v);
}

static enum rc read_document(const json_t *root, struct denylist_set *out, char *why)
{
    static const char *const keys[] = {"version", "revoked", NULL};
    const json_t *version = doc_at(root, "version", NULL);
    const json_t *rows = doc_at(root, "revoked", NULL);

    if (!json_is_integer(version) || json_integer_value(version) != DENYLIST_VERSION) {
        return fail(why, "version: this xdsgate reads version %d only", DENYLIST_VERSION);
    }
    TRY(check_keys(root, "", keys, why));
    if (!json_is_array(rows)) {
        return fail(why, "revoked: a list is wanted");
    }
    if (json_array_size(rows) > DENYLIST_MAX) {
        return fail(why, "revoked: more than %d VMs", DENYLIST_MAX);
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        TRY(read_row(json_array_get(rows, i), i, out, why));
    }
    return RC_OK;
}

enum rc denylist_set_read(const char *text, size_t n, struct denylist_set *out, char *why)
{
    struct doc_error err;
    json_t *root = NULL;
    enum rc rc = doc_parse_json(text, n, &err, &root);

    if (rc == RC_INVALID) {
        return fail(why, "%" PRIu32 ":%" PRIu32 ": %s", err.line, err.column, err.text);
    }
    if (rc == RC_OK) {
        rc = read_document(root, out, why);
    }
    json_decref(root);
    if (rc != RC_OK) {
        denylist_set_fini(out);
    }
    return rc;
}

/* ---- writing ---- */

/* NULL: out of memory. */
static json_t *write_keys(const struct denial *v)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < v->n_keys; i++) {
        char hex[HEX_BYTES(DENYLIST_KEY_BYTES)];
        (void)hex_write(hex, &v->keys[i * DENYLIST_KEY_BYTES], DENYLIST_KEY_BYTES);
        if (!doc_append(list, json_string(hex))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static bool is_utf8(const char *text)
{
    json_t *v = json_string(text);

    json_decref(v);
    return v != NULL;
}

static enum rc write_row(json_t *rows, const struct denial *v)
{
    char id[VM_ID_BYTES];

    if (!is_utf8(v->name) || !is_utf8(v->identity) || !is_utf8(v->by) || !is_utf8(v->at)) {
        return RC_INVALID;
    }
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "id", vm_id_text(v->id, id), "name", v->name,
                  "identity", v->identity, "by", v->by, "at", v->at, "keys", write_keys(v));
    return row != NULL && json_array_append_new(rows, row) == 0 ? RC_OK : RC_NO_MEMORY;
}

enum rc denylist_set_write(const struct denylist_set *s, char **out, size_t *n)
{
    json_t *rows = json_array();
    enum rc rc = rows != NULL ? RC_OK : RC_NO_MEMORY;

    for (size_t i = 0; rc == RC_OK && i < s->n; i++) {
        rc = write_row(rows, &s->of[i]->v);
    }
    if (rc != RC_OK) {
        json_decref(rows);
        return rc;
    }
    json_t *root = json_object();
    bool ok = doc_set(root, "version", json_integer(DENYLIST_VERSION));
    if (!doc_set(root, "revoked", rows) || !ok) { /* takes rows in any case */
        json_decref(root);
        return RC_NO_MEMORY;
    }
    rc = doc_write_json_as_set(root, out, n);
    json_decref(root);
    if (rc == RC_OK && *n > DOC_MAX_BYTES) {
        free(*out);
        return RC_FULL;
    }
    return rc;
}
