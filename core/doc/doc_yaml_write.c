/* SPDX-License-Identifier: Apache-2.0 */
/* Values to YAML by libyaml's emitter, which knows how to quote; what must be quoted is decided
 * here. */
#include <yaml.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc/doc.h"
#include "core/doc/doc_internal.h"

/* libyaml's event consumes its content whether it is emitted or not. */
static enum rc emit(yaml_emitter_t *e, int initialized, yaml_event_t *ev)
{
    return initialized != 0 && yaml_emitter_emit(e, ev) != 0 ? RC_OK : RC_NO_MEMORY;
}

static enum rc write_scalar(yaml_emitter_t *e, const char *text, size_t n,
                            yaml_scalar_style_t style)
{
    yaml_event_t ev;
    int ok = yaml_scalar_event_initialize(&ev, NULL, NULL, (const yaml_char_t *)text, (int)n, 1, 1,
                                          style);

    return emit(e, ok, &ev);
}

/* Lines of text, such as a certificate, are shown as lines; not if any reader could see the white
 * space in them differently. */
static bool is_lines(const char *text, size_t n)
{
    if (n < 2 || memchr(text, '\n', n - 1) == NULL || text[0] == ' ' || text[0] == '\n') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bool printable = text[i] >= 0x20 && text[i] < 0x7f;
        bool blank_at_end = text[i] == ' ' && (i + 1 == n || text[i + 1] == '\n');
        if ((!printable && text[i] != '\n') || blank_at_end) {
            return false;
        }
    }
    return true;
}

static bool has_control(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static enum rc write_text(yaml_emitter_t *e, const char *text, size_t n)
{
    yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE; /* libyaml quotes what cannot be plain */

    if (is_lines(text, n)) {
        style = YAML_LITERAL_SCALAR_STYLE;
    } else if (doc_needs_quotes(text, n) || has_control(text, n)) {
        style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    }
    return write_scalar(e, text, n, style);
}

/* The shortest digits that read as the same number, with a point, without which it would read as an
 * integer. */
static enum rc write_real(yaml_emitter_t *e, double v)
{
    char digits[40];
    char text[48];

    if (v == trunc(v) && fabs(v) < 1e15) {
        (void)snprintf(text, sizeof(text), "%.1f", v);
        return write_scalar(e, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
    }
    for (int precision = 1; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof(digits), "%.*g", precision, v);
        if (strtod(digits, NULL) == v) {
            break;
        }
    }
    size_t whole = strcspn(digits, "e");
    const char *point = memchr(digits, '.', whole) == NULL ? ".0" : "";
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)whole, digits, point, digits + whole);
    return write_scalar(e, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
}

static enum rc write_value(yaml_emitter_t *e, const json_t *v);

static enum rc write_list(yaml_emitter_t *e, const json_t *list)
{
    yaml_event_t ev;

    TRY(emit(e, yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE),
             &ev));
    for (size_t i = 0; i < json_array_size(list); i++) {
        TRY(write_value(e, json_array_get(list, i)));
    }
    return emit(e, yaml_sequence_end_event_initialize(&ev), &ev);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of an object, sorted; borrowed from it. *out is owned by the caller. */
static enum rc sort_keys(const json_t *map, const char ***out)
{
    const char **keys = calloc(json_object_size(map) + 1, sizeof(*keys));
    size_t n = 0;
    const char *key;
    json_t *value;

    if (keys == NULL) {
        return RC_NO_MEMORY;
    }
    /* jansson's iterators want an object that could be changed, and do not change it. */
    json_object_foreach((json_t *)(uintptr_t)map, key, value)
    {
        keys[n++] = key;
    }
    qsort(keys, n, sizeof(*keys), compare_keys);
    *out = keys;
    return RC_OK;
}

static enum rc write_pairs(yaml_emitter_t *e, const json_t *map, const char *const *keys)
{
    for (; *keys != NULL; keys++) {
        TRY(write_text(e, *keys, strlen(*keys)));
        TRY(write_value(e, json_object_get(map, *keys)));
    }
    return RC_OK;
}

static enum rc write_map(yaml_emitter_t *e, const json_t *map)
{
    yaml_event_t ev;
    const char **keys = NULL;

    TRY(emit(e, yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE),
             &ev));
    TRY(sort_keys(map, &keys));
    enum rc rc = write_pairs(e, map, keys);
    free(keys);
    TRY(rc);
    return emit(e, yaml_mapping_end_event_initialize(&ev), &ev);
}

static enum rc write_value(yaml_emitter_t *e, const json_t *v)
{
    char text[24];

    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return write_map(e, v);
    case JSON_ARRAY:
        return write_list(e, v);
    case JSON_STRING:
        return write_text(e, json_string_value(v), json_string_length(v));
    case JSON_INTEGER:
        (void)snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(v));
        return write_scalar(e, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
    case JSON_REAL:
        return write_real(e, json_real_value(v));
    case JSON_TRUE:
        return write_scalar(e, "true", 4, YAML_PLAIN_SCALAR_STYLE);
    case JSON_FALSE:
        return write_scalar(e, "false", 5, YAML_PLAIN_SCALAR_STYLE);
    case JSON_NULL:
        break;
    }
    return write_scalar(e, "null", 4, YAML_PLAIN_SCALAR_STYLE);
}

static enum rc write_document(yaml_emitter_t *e, const json_t *v)
{
    yaml_event_t ev;

    TRY(emit(e, yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING), &ev));
    TRY(emit(e, yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1), &ev));
    TRY(write_value(e, v));
    TRY(emit(e, yaml_document_end_event_initialize(&ev, 1), &ev));
    TRY(emit(e, yaml_stream_end_event_initialize(&ev), &ev));
    return yaml_emitter_flush(e) != 0 ? RC_OK : RC_NO_MEMORY;
}

static int on_bytes(void *file, unsigned char *bytes, size_t n)
{
    return fwrite(bytes, 1, n, file) == n;
}

static enum rc write_to(FILE *file, const json_t *v)
{
    yaml_emitter_t e;

    if (yaml_emitter_initialize(&e) == 0) {
        return RC_NO_MEMORY;
    }
    yaml_emitter_set_output(&e, on_bytes, file);
    yaml_emitter_set_unicode(&e, 1);
    yaml_emitter_set_width(&e, -1);
    enum rc rc = write_document(&e, v);
    yaml_emitter_delete(&e);
    return rc;
}

enum rc doc_write_yaml(const json_t *v, char **out, size_t *n)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    if (file == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = write_to(file, v);
    if (fclose(file) != 0 && rc == RC_OK) {
        rc = RC_NO_MEMORY;
    }
    if (rc != RC_OK) {
        if (text != NULL) {
            explicit_bzero(text, len);
        }
        free(text);
        return rc;
    }
    *out = text;
    if (n != NULL) {
        *n = len;
    }
    return RC_OK;
}
