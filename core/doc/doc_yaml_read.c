/* SPDX-License-Identifier: Apache-2.0 */
/* YAML text to values by libyaml's events. */
#include <yaml.h>

#include <stdio.h>
#include <string.h>

#include "core/doc/doc.h"
#include "core/doc/doc_internal.h"

struct reader {
    yaml_parser_t yaml;
    struct doc_error *err; /**< borrowed */
    const char *text;      /**< borrowed */
    size_t n_text;
    size_t n_values;
};

static enum rc fail_at(struct reader *r, yaml_mark_t m, const char *text)
{
    return doc_fail(r->err, (uint32_t)m.line + 1, (uint32_t)m.column + 1, "%s", text);
}

static bool begins_character(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

/* libyaml's reader gives a byte offset only. */
static enum rc fail_reader(struct reader *r)
{
    size_t end = r->yaml.problem_offset < r->n_text ? r->yaml.problem_offset : r->n_text;
    uint32_t line = 1;
    uint32_t column = 1;

    for (size_t i = 0; i < end; i++) {
        if (r->text[i] == '\n') {
            line++;
            column = 1;
        } else if (begins_character(r->text[i])) {
            column++;
        }
    }
    return doc_fail(r->err, line, column, "%s: this is not UTF-8 text", r->yaml.problem);
}

/* Is there a tab? libyaml's marks count characters. */
static bool is_tab_at(const struct reader *r, size_t index)
{
    size_t i = 0;

    for (size_t n = 0; i < r->n_text; i++) {
        n += begins_character(r->text[i]);
        if (n > index) {
            break;
        }
    }
    return i < r->n_text && r->text[i] == '\t';
}

static enum rc fail_syntax(struct reader *r)
{
    yaml_mark_t m = r->yaml.problem_mark;
    const char *hint = is_tab_at(r, m.index) ? "; indent with blanks, never with tabs" : "";

    if (r->yaml.context != NULL) {
        return doc_fail(r->err, (uint32_t)m.line + 1, (uint32_t)m.column + 1,
                        "%s (%s that starts at line %u)%s", r->yaml.problem, r->yaml.context,
                        (unsigned)r->yaml.context_mark.line + 1, hint);
    }
    return doc_fail(r->err, (uint32_t)m.line + 1, (uint32_t)m.column + 1, "%s%s", r->yaml.problem,
                    hint);
}

static enum rc next_event(struct reader *r, yaml_event_t *ev)
{
    if (yaml_parser_parse(&r->yaml, ev) != 0) {
        return RC_OK;
    }
    if (r->yaml.error == YAML_MEMORY_ERROR) {
        return RC_NO_MEMORY;
    }
    return r->yaml.error == YAML_READER_ERROR ? fail_reader(r) : fail_syntax(r);
}

/* Only !!str may be said: it is what people write to keep a number as text. */
static enum rc check_tag(struct reader *r, const yaml_event_t *ev, const yaml_char_t *tag)
{
    if (tag == NULL || strcmp((const char *)tag, YAML_STR_TAG) == 0) {
        return RC_OK;
    }
    return fail_at(r, ev->start_mark, "tags (!name) are not allowed: write the plain value");
}

static enum rc give(json_t *v, json_t **out)
{
    if (v == NULL) {
        return RC_NO_MEMORY;
    }
    *out = v;
    return RC_OK;
}

static bool is_plain(const yaml_event_t *ev)
{
    return ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && ev->data.scalar.tag == NULL;
}

static enum rc read_scalar(struct reader *r, const yaml_event_t *ev, json_t **out)
{
    const char *text = (const char *)ev->data.scalar.value;
    size_t n = ev->data.scalar.length;

    TRY(check_tag(r, ev, ev->data.scalar.tag));
    if (!is_plain(ev)) {
        return give(json_stringn(text, n), out);
    }
    struct doc_scalar s = doc_resolve(text, n);
    switch (s.kind) {
    case DOC_TEXT:
        return give(json_stringn(text, n), out);
    case DOC_NULL:
        return give(json_null(), out);
    case DOC_BOOL:
        return give(json_boolean(s.truth), out);
    case DOC_INTEGER:
        return give(json_integer(s.integer), out);
    case DOC_REAL:
        return give(json_real(s.real), out);
    case DOC_ENDLESS:
        break;
    }
    return fail_at(r, ev->start_mark, "infinity and not-a-number are not allowed");
}

/* A key as text; short holds the ones that are not text in YAML. */
static enum rc read_key(struct reader *r, const yaml_event_t *ev, char short_text[24],
                        const char **key, size_t *n)
{
    if (ev->type != YAML_SCALAR_EVENT) {
        return fail_at(r, ev->start_mark,
                       "a key must be a word, not a list, a mapping or an alias");
    }
    TRY(check_tag(r, ev, ev->data.scalar.tag));
    *key = (const char *)ev->data.scalar.value;
    *n = ev->data.scalar.length;
    if (memchr(*key, '\0', *n) != NULL) {
        return fail_at(r, ev->start_mark, "this key holds a NUL");
    }
    if (!is_plain(ev)) {
        return RC_OK;
    }
    if (strcmp(*key, "<<") == 0) {
        return fail_at(r, ev->start_mark, "merge keys (<<) are not allowed: write the keys out");
    }
    struct doc_scalar s = doc_resolve(*key, *n);
    if (s.kind == DOC_TEXT) {
        return RC_OK;
    }
    if (s.kind == DOC_INTEGER) {
        (void)snprintf(short_text, 24, "%lld", (long long)s.integer);
    } else if (s.kind == DOC_BOOL) {
        (void)snprintf(short_text, 24, "%s", s.truth ? "true" : "false");
    } else {
        return fail_at(r, ev->start_mark, "a key must be a word: put it in quotes");
    }
    *key = short_text;
    *n = strlen(short_text);
    return RC_OK;
}

static enum rc read_value(struct reader *r, const yaml_event_t *ev, unsigned depth, json_t **out);

static enum rc read_pair(struct reader *r, const yaml_event_t *key_event, unsigned depth,
                         json_t *map)
{
    char short_text[24];
    const char *key = NULL;
    size_t n = 0;
    yaml_event_t ev;
    json_t *v = NULL;

    TRY(read_key(r, key_event, short_text, &key, &n));
    if (json_object_getn(map, key, n) != NULL) {
        return fail_at(r, key_event->start_mark, "this key is already in the same mapping");
    }
    TRY(next_event(r, &ev));
    enum rc rc = read_value(r, &ev, depth, &v);
    yaml_event_delete(&ev);
    TRY(rc);
    return json_object_setn_new(map, key, n, v) == 0 ? RC_OK : RC_NO_MEMORY;
}

static enum rc read_item(struct reader *r, const yaml_event_t *ev, unsigned depth, json_t *list)
{
    json_t *v = NULL;

    TRY(read_value(r, ev, depth, &v));
    return json_array_append_new(list, v) == 0 ? RC_OK : RC_NO_MEMORY;
}

/* The children of v, an object or an array, up to the event that ends it. */
static enum rc read_children(struct reader *r, unsigned depth, json_t *v)
{
    for (;;) {
        yaml_event_t ev;
        enum rc rc = RC_OK;
        TRY(next_event(r, &ev));
        bool end = ev.type == YAML_MAPPING_END_EVENT || ev.type == YAML_SEQUENCE_END_EVENT;
        if (!end) {
            rc = json_is_object(v) ? read_pair(r, &ev, depth + 1, v)
                                   : read_item(r, &ev, depth + 1, v);
        }
        yaml_event_delete(&ev);
        if (end || rc != RC_OK) {
            return rc;
        }
    }
}

static enum rc read_container(struct reader *r, const yaml_event_t *ev, unsigned depth, json_t *v,
                              json_t **out)
{
    if (v == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = depth < DOC_MAX_DEPTH ? read_children(r, depth, v)
                                       : doc_fail(r->err, (uint32_t)ev->start_mark.line + 1,
                                                  (uint32_t)ev->start_mark.column + 1,
                                                  "nested deeper than %d levels", DOC_MAX_DEPTH);
    if (rc != RC_OK) {
        json_decref(v);
        return rc;
    }
    *out = v;
    return RC_OK;
}

/* The value that begins with ev, inside of `depth` lists and mappings. */
static enum rc read_value(struct reader *r, const yaml_event_t *ev, unsigned depth, json_t **out)
{
    if (++r->n_values > DOC_MAX_VALUES) {
        return doc_fail(r->err, (uint32_t)ev->start_mark.line + 1,
                        (uint32_t)ev->start_mark.column + 1, "more than %d values", DOC_MAX_VALUES);
    }
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r, ev, out);
    case YAML_SEQUENCE_START_EVENT:
        TRY(check_tag(r, ev, ev->data.sequence_start.tag));
        return read_container(r, ev, depth, json_array(), out);
    case YAML_MAPPING_START_EVENT:
        TRY(check_tag(r, ev, ev->data.mapping_start.tag));
        return read_container(r, ev, depth, json_object(), out);
    case YAML_ALIAS_EVENT:
        return fail_at(r, ev->start_mark, "aliases (*name) are not allowed: write the value out");
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        break;
    }
    return fail_at(r, ev->start_mark, "a value is missing here");
}

/* The document that begins with ev, put into all unless it is empty. */
static enum rc read_document(struct reader *r, const yaml_event_t *ev, bool only_one, json_t *all)
{
    json_t *v = NULL;

    TRY(read_value(r, ev, 0, &v));
    if (json_is_null(v)) {
        return RC_OK;
    }
    if (only_one && json_array_size(all) > 0) {
        json_decref(v);
        return fail_at(r, ev->start_mark, "a second document: only one is expected");
    }
    return json_array_append_new(all, v) == 0 ? RC_OK : RC_NO_MEMORY;
}

static enum rc read_stream(struct reader *r, bool only_one, json_t *all)
{
    bool end = false;

    while (!end) {
        yaml_event_t ev;
        enum rc rc = RC_OK;
        TRY(next_event(r, &ev));
        end = ev.type == YAML_STREAM_END_EVENT;
        bool between = end || ev.type == YAML_STREAM_START_EVENT ||
                       ev.type == YAML_DOCUMENT_START_EVENT || ev.type == YAML_DOCUMENT_END_EVENT ||
                       ev.type == YAML_NO_EVENT;
        if (!between) {
            rc = read_document(r, &ev, only_one, all);
        }
        yaml_event_delete(&ev);
        TRY(rc);
    }
    return RC_OK;
}

static enum rc read_all(const char *text, size_t n, bool only_one, struct doc_error *err,
                        json_t **out)
{
    struct reader r = {.err = err, .text = text, .n_text = n};

    doc_memory_watch();
    TRY(doc_check_size(n, err));
    json_t *all = json_array();
    if (all == NULL) {
        return RC_NO_MEMORY;
    }
    if (yaml_parser_initialize(&r.yaml) == 0) {
        json_decref(all);
        return RC_NO_MEMORY;
    }
    yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.yaml, (const unsigned char *)text, n);
    enum rc rc = read_stream(&r, only_one, all);
    yaml_parser_delete(&r.yaml);
    if (rc != RC_OK) {
        json_decref(all);
        return rc;
    }
    *out = all;
    return RC_OK;
}

enum rc doc_parse_yaml_all(const char *text, size_t n, struct doc_error *err, json_t **out)
{
    return read_all(text, n, false, err, out);
}

enum rc doc_parse_yaml(const char *text, size_t n, struct doc_error *err, json_t **out)
{
    json_t *all = NULL;

    TRY(read_all(text, n, true, err, &all));
    if (json_array_size(all) == 0) {
        json_decref(all);
        return doc_fail(err, 1, 1, "there is no document in it");
    }
    *out = json_incref(json_array_get(all, 0));
    json_decref(all);
    return RC_OK;
}
