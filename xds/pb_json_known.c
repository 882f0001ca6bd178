/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "xds/pb_json_internal.h"

#define SECOND_NS 1000000000

/* google/protobuf/duration.proto: about 10,000 years. */
#define DURATION_MAX_S INT64_C(315576000000)

/* google/protobuf/timestamp.proto: the years 1 to 9999. */
#define TIMESTAMP_MIN_S INT64_C(-62135596800)
#define TIMESTAMP_MAX_S INT64_C(253402300799)

static const char STRUCT_URL[] = "type.googleapis.com/google.protobuf.Struct";

/* Seconds and nanoseconds of a Duration or Timestamp. */
static void read_time(const struct pb_json *j, const struct pb_level *level, struct pb_how how,
                      int64_t *s, int32_t *ns)
{
    *s = how.is_secret ? 0 : (int64_t)pb_json_last(j, level, 1).value;
    *ns = how.is_secret ? 0 : (int32_t)(uint32_t)pb_json_last(j, level, 2).value;
}

/* "", ".5" as 3, 6 or 9 digits. */
static void put_fraction(struct pb_json *j, int32_t ns)
{
    char text[16];

    if (ns == 0) {
        return;
    }
    int n = snprintf(text, sizeof(text), ".%09d", ns);
    while (n > 4 && strcmp(text + n - 3, "000") == 0) {
        n -= 3;
        text[n] = '\0';
    }
    pb_json_puts(j, text);
}

static enum rc put_duration(struct pb_json *j, const struct pb_level *level, struct pb_how how)
{
    char text[32];
    int64_t s;
    int32_t ns;

    read_time(j, level, how, &s, &ns);
    if (s < -DURATION_MAX_S || s > DURATION_MAX_S || ns <= -SECOND_NS || ns >= SECOND_NS ||
        (s > 0 && ns < 0) || (s < 0 && ns > 0)) {
        return RC_PEER_MALFORMED;
    }
    (void)snprintf(text, sizeof(text), "\"%s%lld", s < 0 || ns < 0 ? "-" : "",
                   (long long)(s < 0 ? -s : s));
    pb_json_puts(j, text);
    put_fraction(j, ns < 0 ? -ns : ns);
    pb_json_puts(j, "s\"");
    return RC_OK;
}

static enum rc put_timestamp(struct pb_json *j, const struct pb_level *level, struct pb_how how)
{
    char text[64];
    struct tm tm;
    int64_t s;
    int32_t ns;

    read_time(j, level, how, &s, &ns);
    if (s < TIMESTAMP_MIN_S || s > TIMESTAMP_MAX_S || ns < 0 || ns >= SECOND_NS) {
        return RC_PEER_MALFORMED;
    }
    time_t t = (time_t)s;
    if (gmtime_r(&t, &tm) == NULL) {
        return RC_PEER_MALFORMED;
    }
    (void)snprintf(text, sizeof(text), "\"%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    pb_json_puts(j, text);
    put_fraction(j, ns);
    pb_json_puts(j, "Z\"");
    return RC_OK;
}

static bool is_lower(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

/* One path in lowerCamelCase. Only such as can be told from it again have a form in JSON. */
static enum rc put_path(struct pb_json *j, const uint8_t *path, size_t n)
{
    bool at_start = true; /* of a name */

    for (size_t i = 0; i < n; i++) {
        uint8_t c = path[i];
        bool is_raised = c == '_' && i + 1 < n && is_lower(path[i + 1]);
        bool is_inside = (c >= '0' && c <= '9') || c == '.';
        if (!is_lower(c) && !is_raised && (at_start || !is_inside)) {
            return RC_PEER_MALFORMED;
        }
        if (is_raised) {
            c = (uint8_t)(path[++i] - 'a' + 'A');
        }
        pb_json_put(j, (const char *)&c, 1);
        at_start = c == '.';
    }
    return at_start ? RC_PEER_MALFORMED : RC_OK;
}

static enum rc put_field_mask(struct pb_json *j, const struct pb_level *level, struct pb_how how)
{
    struct pb_chain chain = pb_json_chain(j, level, 0);

    pb_json_puts(j, "\"");
    if (how.is_secret && chain.first != 0) {
        pb_json_puts(j, "redacted"); /* readers take no brackets in a path */
        chain.first = 0;
    }
    for (uint32_t at = chain.first; at != 0; at = j->seen[at].next) {
        if (at != chain.first) {
            pb_json_puts(j, ",");
        }
        if (j->full) {
            return RC_FULL;
        }
        TRY(put_path(j, j->seen[at].data, j->seen[at].value));
    }
    pb_json_puts(j, "\"");
    return RC_OK;
}

/* One of its six members. A number that is secret is left out, and then it is none of them. */
static enum rc put_value(struct pb_json *j, const struct pb_level *level, struct pb_how how)
{
    for (size_t i = 0; i < level->type->n_members; i++) {
        const struct pb_member *m = &level->type->members[i];
        struct pb_chain chain = pb_json_chain(j, level, i);
        bool is_number = m->kind == PB_KIND_DOUBLE || m->kind == PB_KIND_BOOL;
        if (chain.first != 0 && !(how.is_secret && is_number)) {
            return pb_json_element(j, m, (struct pb_pieces){chain.first, true}, how);
        }
    }
    pb_json_puts(j, "null");
    return RC_OK;
}

static enum rc put_list_value(struct pb_json *j, const struct pb_level *level, struct pb_how how)
{
    pb_json_puts(j, "[");
    TRY(pb_json_elements(j, &level->type->members[0], pb_json_chain(j, level, 0), how));
    pb_json_puts(j, "]");
    return RC_OK;
}

const struct pb_message *pb_json_type(const struct pb_json *j, const uint8_t *url, size_t n)
{
    const char *name = (const char *)url;
    const char *slash = n > 0 ? memrchr(name, '/', n) : NULL;

    if (slash != NULL) {
        n -= (size_t)(slash + 1 - name);
        name = slash + 1;
    }
    return n > 0 ? pb_types_find(j->types, name, n) : NULL;
}

/* An Any that readers know, of one that they would not. The bytes of a known type may hold secrets,
 * and which of them do, nobody can tell. */
static void put_stranger(struct pb_json *j, struct pb_seen url, struct pb_seen value, bool is_known,
                         struct pb_how how)
{
    pb_json_puts(j, "{\"@type\":\"");
    pb_json_puts(j, STRUCT_URL);
    pb_json_puts(j, is_known ? "\",\"value\":{\"unreadable_type_url\":"
                             : "\",\"value\":{\"unknown_type_url\":");
    pb_json_string(j, url.data, url.value);
    pb_json_puts(j, ",\"base64\":");
    if (is_known || how.is_secret) {
        pb_json_puts(j, "\"" PB_JSON_REDACTED "\"");
    } else {
        pb_json_base64(j, value.data, value.value);
    }
    pb_json_puts(j, "}}");
}

static enum rc put_content(struct pb_json *j, const struct pb_level *level, struct pb_how how)
{
    if (level->type->form == PB_PLAIN || level->type->form == PB_TYPED_STRUCT) {
        return pb_json_members(j, level, how, true);
    }
    pb_json_puts(j, ",\"value\":");
    return pb_json_known(j, level, how);
}

/* The "@type" of an Any, and what it holds. */
static enum rc put_any_of(struct pb_json *j, const struct pb_message *type, struct pb_seen url,
                          struct pb_pieces pieces, struct pb_how how)
{
    struct pb_level level;

    if (j->depth == PB_JSON_DEPTH) {
        return RC_PEER_MALFORMED;
    }
    j->depth++;
    pb_json_puts(j, "{\"@type\":");
    pb_json_string(j, url.data, url.value);
    enum rc rc = pb_json_open(j, type, pieces, &level);
    if (rc == RC_OK) {
        rc = put_content(j, &level, how);
    }
    pb_json_close(j, &level);
    j->depth--;
    pb_json_puts(j, "}");
    return rc;
}

/* Before it is written it is tried, so that what cannot be read can be written otherwise. In a try
 * Anys are not entered: each byte is tried once. */
enum rc pb_json_any(struct pb_json *j, struct pb_seen url, uint32_t value, struct pb_how how)
{
    struct pb_pieces pieces = {value, false};
    struct pb_seen bytes = value != 0 ? j->seen[value] : (struct pb_seen){.value = 0};
    const struct pb_message *type = pb_json_type(j, url.data, url.value);
    struct pb_how inside = {.is_secret = how.is_secret};

    if (j->dry) {
        return RC_OK;
    }
    if (url.value == 0 && bytes.value == 0) {
        pb_json_puts(j, "{}");
        return RC_OK;
    }
    enum rc rc = RC_PEER_MALFORMED;
    if (type != NULL) {
        j->dry = true;
        rc = put_any_of(j, type, url, pieces, inside);
        j->dry = false;
    }
    if (rc == RC_PEER_MALFORMED) {
        put_stranger(j, url, bytes, type != NULL, how);
        return RC_OK;
    }
    TRY(rc);
    return put_any_of(j, type, url, pieces, inside);
}

/* The value in it, or its default. What is empty holds no secret, as in a member. */
static enum rc put_wrapped(struct pb_json *j, const struct pb_level *level, struct pb_how how)
{
    struct pb_pieces pieces = {pb_json_chain(j, level, 0).first, true};

    if (pieces.first == 0 || j->seen[pieces.first].value == 0) {
        how.is_secret = false;
    }
    return pb_json_element(j, &level->type->members[0], pieces, how);
}

enum rc pb_json_known(struct pb_json *j, const struct pb_level *level, struct pb_how how)
{
    switch (level->type->form) {
    case PB_ANY:
        return pb_json_any(j, pb_json_last(j, level, 1), pb_json_chain(j, level, 1).first, how);
    case PB_DURATION:
        return put_duration(j, level, how);
    case PB_TIMESTAMP:
        return put_timestamp(j, level, how);
    case PB_FIELD_MASK:
        return put_field_mask(j, level, how);
    case PB_STRUCT:
        return pb_json_map(j, &level->type->members[0], pb_json_chain(j, level, 0), how);
    case PB_VALUE:
        return put_value(j, level, how);
    case PB_LIST_VALUE:
        return put_list_value(j, level, how);
    default: /* PB_WRAPPER */
        return put_wrapped(j, level, how);
    }
}
