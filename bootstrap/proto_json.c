/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/proto_json.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/go_duration.h"

enum many { ONE, LIST, MAP };
enum kind {
    TEXT,
    BOOL,
    INT,
    UINT,
    REAL,
    ENUM,
    DURATION,
    MESSAGE,
    BOOL_VALUE,  /* wrapped: a default counts */
    INT_VALUE,   /* the same */
    INT64_VALUE, /* the same, and written as text */
};

struct field {
    const char *message;
    const char *name;
    enum many many;
    enum kind kind;
    const char *type;
    const char *oneof;
};

static const struct field fields[] = {
#define FIELD(message, name, many, kind, type, oneof) {message, name, many, kind, type, oneof},
#define ENUM(type, name, number)
#include "bootstrap/istio_fields.def"
#undef FIELD
#undef ENUM
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

struct enum_value {
    const char *type;
    const char *name;
    int number;
};

static const struct enum_value enum_values[] = {
#define FIELD(message, name, many, kind, type, oneof)
#define ENUM(type, name, number) {type, name, number},
#include "bootstrap/istio_fields.def"
#undef FIELD
#undef ENUM
};

#define N_ENUM_VALUES (sizeof(enum_values) / sizeof(enum_values[0]))

/* Where reading is, for the reason: "mesh config: defaultConfig.tracing". */
struct reader {
    const struct why *why;
    char path[256];
};

static bool is_of(const struct field *f, const char *message)
{
    return strcmp(f->message, message) == 0;
}

/* Is key the name in the proto file (proxy_metadata) of a field of JSON (proxyMetadata)? */
static bool is_proto_name(const char *key, const char *name)
{
    for (; *name != '\0'; name++) {
        bool upper = *name >= 'A' && *name <= 'Z';
        if (upper && *key++ != '_') {
            return false;
        }
        if (*key++ != (upper ? *name - 'A' + 'a' : *name)) {
            return false;
        }
    }
    return *key == '\0';
}

static bool is_named(const struct field *f, const char *key)
{
    return strcmp(key, f->name) == 0 || is_proto_name(key, f->name);
}

static const struct field *find_field(const char *message, const char *key)
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (is_of(&fields[i], message) && is_named(&fields[i], key)) {
            return &fields[i];
        }
    }
    return NULL;
}

static const struct enum_value *enum_by_name(const char *type, const char *name)
{
    for (size_t i = 0; i < N_ENUM_VALUES; i++) {
        if (strcmp(enum_values[i].type, type) == 0 && strcmp(enum_values[i].name, name) == 0) {
            return &enum_values[i];
        }
    }
    return NULL;
}

static const struct enum_value *enum_by_number(const char *type, json_int_t number)
{
    for (size_t i = 0; i < N_ENUM_VALUES; i++) {
        if (strcmp(enum_values[i].type, type) == 0 && enum_values[i].number == number) {
            return &enum_values[i];
        }
    }
    return NULL;
}

static enum rc give(json_t *v, json_t **out)
{
    if (v == NULL) {
        return RC_NO_MEMORY;
    }
    *out = v;
    return RC_OK;
}

/* jansson's iterators want an object that could be changed, and do not change it. */
static json_t *walkable(const json_t *v)
{
    return (json_t *)(uintptr_t)v;
}

/* ---- reading ---- */

static enum rc wrong(const struct reader *r, const char *what)
{
    bool at_top = r->path[0] != '\0' && r->path[strlen(r->path) - 1] == ' ';

    return why_set(r->why, "%s%s%s", r->path, at_top ? "it " : " ", what);
}

/* Returns the length of the path before, for leave(). */
static size_t enter(struct reader *r, const char *name)
{
    size_t n = strlen(r->path);

    (void)snprintf(r->path + n, sizeof(r->path) - n, "%s%s",
                   n > 0 && r->path[n - 1] != ' ' ? "." : "", name);
    return n;
}

static void leave(struct reader *r, size_t n)
{
    r->path[n] = '\0';
}

static enum rc read_text(const struct reader *r, const json_t *in, json_t **out)
{
    if (!json_is_string(in)) {
        return wrong(r, "must be a text: put it in quotes");
    }
    if (strlen(json_string_value(in)) != json_string_length(in)) {
        return wrong(r, "holds a NUL");
    }
    return give(json_string(json_string_value(in)), out);
}

/* A whole number, also as text: protobuf takes "15020" as well. */
static enum rc read_integer(const struct reader *r, const json_t *in, json_int_t min,
                            json_int_t max, json_int_t *out)
{
    json_int_t v = 0;
    bool is_number = json_is_integer(in);

    if (is_number) {
        v = json_integer_value(in);
    } else if (json_is_real(in) && fabs(json_real_value(in)) < 9e15 &&
               trunc(json_real_value(in)) == json_real_value(in)) {
        is_number = true;
        v = (json_int_t)json_real_value(in);
    } else if (json_is_string(in)) {
        const char *text = json_string_value(in);
        char *end = NULL;
        v = strtoll(text, &end, 10);
        is_number = (text[0] == '-' || (text[0] >= '0' && text[0] <= '9')) && *end == '\0';
    }
    if (!is_number || v < min || v > max) {
        return why_set(r->why, "%s must be a whole number from %lld to %lld", r->path,
                       (long long)min, (long long)max);
    }
    *out = v;
    return RC_OK;
}

static enum rc read_real(const struct reader *r, const json_t *in, json_t **out)
{
    double v = json_number_value(in);
    bool is_number = json_is_number(in);

    if (json_is_string(in)) {
        const char *text = json_string_value(in);
        char *end = NULL;
        v = strtod(text, &end);
        is_number = end != text && *end == '\0' && strspn(text, "+-.0123456789eE") == strlen(text);
    }
    if (!is_number || !isfinite(v)) {
        return wrong(r, "must be a number");
    }
    /* JSON knows one kind of numbers: 100.0 is written as 100. */
    bool whole = trunc(v) == v && fabs(v) < 9e15;
    return give(whole ? json_integer((json_int_t)v) : json_real(v), out);
}

static enum rc read_enum(const struct reader *r, const struct field *f, const json_t *in,
                         json_t **out)
{
    if (json_is_string(in)) {
        if (enum_by_name(f->type, json_string_value(in)) == NULL) {
            return wrong(r, "has a value that Istio does not know");
        }
        return give(json_string(json_string_value(in)), out);
    }
    json_int_t number = 0;
    TRY(read_integer(r, in, INT32_MIN, INT32_MAX, &number));
    const struct enum_value *known = enum_by_number(f->type, number);
    return give(known != NULL ? json_string(known->name) : json_integer(number), out);
}

static enum rc read_duration(const struct reader *r, const json_t *in, json_t **out)
{
    char text[GO_DURATION_BYTES];
    int64_t ns = 0;

    if (!json_is_string(in) || !go_duration_parse(json_string_value(in), &ns)) {
        return wrong(r, "must be a duration, such as 45s or 1h30m");
    }
    return give(json_string(go_duration_format(ns, text)), out);
}

static enum rc read_bool(const struct reader *r, const json_t *in, json_t **out)
{
    if (!json_is_boolean(in)) {
        return wrong(r, "must be true or false");
    }
    return give(json_boolean(json_is_true(in)), out);
}

static enum rc read_number(const struct reader *r, enum kind kind, const json_t *in, json_t **out)
{
    json_int_t v = 0;
    char text[24];

    if (kind == UINT) {
        TRY(read_integer(r, in, 0, UINT32_MAX, &v));
    } else if (kind == INT64_VALUE) {
        TRY(read_integer(r, in, INT64_MIN, INT64_MAX, &v));
        (void)snprintf(text, sizeof(text), "%lld", (long long)v);
        return give(json_string(text), out);
    } else {
        TRY(read_integer(r, in, INT32_MIN, INT32_MAX, &v));
    }
    return give(json_integer(v), out);
}

static enum rc read_message(struct reader *r, const char *message, const json_t *in, json_t **out);

static enum rc read_single(struct reader *r, const struct field *f, const json_t *in, json_t **out)
{
    switch (f->kind) {
    case TEXT:
        return read_text(r, in, out);
    case BOOL:
    case BOOL_VALUE:
        return read_bool(r, in, out);
    case INT:
    case UINT:
    case INT_VALUE:
    case INT64_VALUE:
        return read_number(r, f->kind, in, out);
    case REAL:
        return read_real(r, in, out);
    case ENUM:
        return read_enum(r, f, in, out);
    case DURATION:
        return read_duration(r, in, out);
    case MESSAGE:
        return read_message(r, f->type, in, out);
    }
    return RC_INVALID;
}

/* An item of a list or map; null is the default of its kind there. */
static enum rc read_item(struct reader *r, const struct field *f, const json_t *in, json_t **out)
{
    if (json_is_null(in) && f->kind == TEXT) {
        return give(json_string(""), out);
    }
    return read_single(r, f, in, out);
}

static enum rc read_list(struct reader *r, const struct field *f, const json_t *in, json_t *list)
{
    if (!json_is_array(in)) {
        return wrong(r, "must be a list");
    }
    for (size_t i = 0; i < json_array_size(in); i++) {
        json_t *v = NULL;
        char name[24];
        (void)snprintf(name, sizeof(name), "[%zu]", i);
        size_t before = enter(r, name);
        TRY(read_item(r, f, json_array_get(in, i), &v));
        leave(r, before);
        if (json_array_append_new(list, v) != 0) {
            return RC_NO_MEMORY;
        }
    }
    return RC_OK;
}

static enum rc read_map(struct reader *r, const struct field *f, const json_t *in, json_t *map)
{
    const char *key;
    json_t *value;

    if (!json_is_object(in)) {
        return wrong(r, "must be a mapping");
    }
    json_object_foreach(walkable(in), key, value)
    {
        json_t *v = NULL;
        size_t before = enter(r, key);
        TRY(read_item(r, f, value, &v));
        leave(r, before);
        if (json_object_set_new(map, key, v) != 0) {
            return RC_NO_MEMORY;
        }
    }
    return RC_OK;
}

static enum rc read_field(struct reader *r, const struct field *f, const json_t *in, json_t **out)
{
    if (f->many == ONE) {
        return read_single(r, f, in, out);
    }
    json_t *v = f->many == LIST ? json_array() : json_object();
    if (v == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = f->many == LIST ? read_list(r, f, in, v) : read_map(r, f, in, v);
    if (rc != RC_OK) {
        json_decref(v);
        return rc;
    }
    *out = v;
    return RC_OK;
}

/* The value of a field in either spelling; NULL: none, or null, which is none to protobuf. */
static const json_t *find_value(const struct field *f, const json_t *in)
{
    const json_t *found = json_object_get(in, f->name);
    const char *key;
    json_t *value;

    json_object_foreach(walkable(in), key, value)
    {
        if (found == NULL && is_proto_name(key, f->name)) {
            found = value;
        }
    }
    return json_is_null(found) ? NULL : found;
}

static void remove_siblings(const struct field *f, json_t *message)
{
    for (size_t i = 0; f->oneof[0] != '\0' && i < N_FIELDS; i++) {
        if (&fields[i] != f && is_of(&fields[i], f->message) &&
            strcmp(fields[i].oneof, f->oneof) == 0) {
            (void)json_object_del(message, fields[i].name);
        }
    }
}

static enum rc set_field(const struct field *f, json_t *message, json_t *owned)
{
    remove_siblings(f, message);
    return json_object_set_new(message, f->name, owned) == 0 ? RC_OK : RC_NO_MEMORY;
}

static enum rc read_known(struct reader *r, const char *message, const json_t *in, json_t *out)
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct field *f = &fields[i];
        const json_t *value = is_of(f, message) ? find_value(f, in) : NULL;
        json_t *v = NULL;
        if (value == NULL) {
            continue;
        }
        size_t before = enter(r, f->name);
        TRY(read_field(r, f, value, &v));
        leave(r, before);
        TRY(set_field(f, out, v));
    }
    return RC_OK;
}

static enum rc copy_unknown(const char *message, const json_t *in, json_t *out)
{
    const char *key;
    json_t *value;

    json_object_foreach(walkable(in), key, value)
    {
        json_t *copy = NULL;
        if (find_field(message, key) != NULL || json_is_null(value)) {
            continue;
        }
        TRY(doc_copy(value, &copy));
        if (json_object_set_new(out, key, copy) != 0) {
            return RC_NO_MEMORY;
        }
    }
    return RC_OK;
}

static enum rc read_message(struct reader *r, const char *message, const json_t *in, json_t **out)
{
    if (!json_is_object(in)) {
        return wrong(r, "must be a mapping");
    }
    json_t *v = json_object();
    if (v == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = read_known(r, message, in, v);
    if (rc == RC_OK) {
        rc = copy_unknown(message, in, v);
    }
    if (rc != RC_OK) {
        json_decref(v);
        return rc;
    }
    *out = v;
    return RC_OK;
}

enum rc proto_json_read(const char *message, const json_t *in, const char *where,
                        const struct why *w, json_t **out)
{
    struct reader r = {.why = w};

    (void)snprintf(r.path, sizeof(r.path), "%s", where);
    return read_message(&r, message, in, out);
}

/* ---- merging and writing ---- */

enum rc proto_json_merge(const char *message, json_t *to, json_t *from)
{
    const char *key;
    json_t *value;

    json_object_foreach(from, key, value)
    {
        const struct field *f = find_field(message, key);
        if (f != NULL) {
            remove_siblings(f, to);
        }
        if (json_object_set(to, key, value) != 0) {
            return RC_NO_MEMORY;
        }
    }
    return RC_OK;
}

static bool is_default(const struct field *f, const json_t *v)
{
    if (f->many != ONE) {
        return json_array_size(v) == 0 && json_object_size(v) == 0;
    }
    if (f->oneof[0] != '\0') {
        return false;
    }
    const struct enum_value *e = NULL;
    switch (f->kind) {
    case TEXT:
        return json_string_length(v) == 0;
    case BOOL:
        return json_is_false(v);
    case INT:
    case UINT:
    case REAL:
        return json_is_integer(v) && json_integer_value(v) == 0;
    case ENUM:
        e = json_is_string(v) ? enum_by_name(f->type, json_string_value(v)) : NULL;
        return e != NULL && e->number == 0;
    case DURATION:
    case MESSAGE:
    case BOOL_VALUE:
    case INT_VALUE:
    case INT64_VALUE:
        break;
    }
    return false;
}

static void trim_inside(const struct field *f, json_t *v)
{
    const char *key;
    json_t *value;

    if (f->kind != MESSAGE) {
        return;
    }
    if (f->many == ONE) {
        proto_json_trim(f->type, v);
        return;
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        proto_json_trim(f->type, json_array_get(v, i));
    }
    json_object_foreach(v, key, value)
    {
        proto_json_trim(f->type, value);
    }
}

void proto_json_trim(const char *message, json_t *v)
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct field *f = &fields[i];
        json_t *value = is_of(f, message) ? json_object_get(v, f->name) : NULL;
        if (value == NULL) {
            continue;
        }
        trim_inside(f, value);
        if (is_default(f, value)) {
            (void)json_object_del(v, f->name);
        }
    }
}
