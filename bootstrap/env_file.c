/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/env_file.h"

#include <stdbool.h>
#include <string.h>

#include "bootstrap/bundle_text.h"
#include "core/base/name.h"

#define KEY_MAX_BYTES 256

struct reader {
    const char *p;
    const char *end;
    unsigned line;
    const struct why *why;
};

static enum rc refuse(const struct reader *r, const char *what)
{
    return why_set(r->why, "line %u: %s", r->line, what);
}

static bool at_end_of_line(const struct reader *r)
{
    return r->p == r->end || *r->p == '\n';
}

static char take(struct reader *r)
{
    if (*r->p == '\n') {
        r->line++;
    }
    return *r->p++;
}

static void skip_blanks(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t')) {
        r->p++;
    }
}

static void skip_line(struct reader *r)
{
    while (!at_end_of_line(r)) {
        r->p++;
    }
}

/* What stands between single quotes, the first of which is behind us: all of it counts. */
static enum rc read_single(struct reader *r, struct text *out)
{
    const char *end = memchr(r->p, '\'', (size_t)(r->end - r->p));

    if (end == NULL) {
        return refuse(r, "a quote (') is never closed");
    }
    while (r->p < end) {
        char c = take(r);
        text_add(out, &c, 1);
    }
    r->p++;
    return RC_OK;
}

/* Between double quotes a backslash only means something before $ ` " \ and a newline
 * (POSIX 2.2.3).
 */
static enum rc read_double(struct reader *r, struct text *out)
{
    while (r->p < r->end && *r->p != '"') {
        char c = take(r);
        if (c == '$' || c == '`') {
            return refuse(r, "holds $ or ` that a shell would run; put it between single quotes");
        }
        if (c == '\\' && r->p < r->end && strchr("$`\"\\\n", *r->p) != NULL) {
            c = take(r);
            if (c == '\n') {
                continue;
            }
        }
        text_add(out, &c, 1);
    }
    if (r->p == r->end) {
        return refuse(r, "a quote (\") is never closed");
    }
    r->p++;
    return RC_OK;
}

static enum rc read_plain(struct reader *r, struct text *out)
{
    char c = take(r);

    if (c == '\\' && r->p < r->end) {
        c = take(r);
        if (c != '\n') {
            text_add(out, &c, 1);
        }
        return RC_OK;
    }
    if (c == '\0' || strchr("$`;&|<>()\\", c) != NULL) {
        return refuse(r, "holds a character that a shell would act on; put the value in quotes");
    }
    text_add(out, &c, 1);
    return RC_OK;
}

static bool at_end_of_word(const struct reader *r)
{
    return at_end_of_line(r) || *r->p == ' ' || *r->p == '\t' || *r->p == '\r';
}

static enum rc read_word(struct reader *r, struct text *out)
{
    while (!at_end_of_word(r)) {
        if (*r->p == '\'') {
            r->p++;
            TRY(read_single(r, out));
        } else if (*r->p == '"') {
            r->p++;
            TRY(read_double(r, out));
        } else {
            TRY(read_plain(r, out));
        }
    }
    return text_result(out);
}

static enum rc read_key(struct reader *r, char key[KEY_MAX_BYTES])
{
    const char *equals = r->p;

    while (equals < r->end && *equals != '=' && *equals != '\n') {
        equals++;
    }
    size_t n = (size_t)(equals - r->p);
    if (equals == r->end || *equals == '\n' || n >= KEY_MAX_BYTES) {
        return refuse(r, "is no KEY=VALUE");
    }
    memcpy(key, r->p, n);
    key[n] = '\0';
    if (strlen(key) != n || !name_is_variable(key)) {
        return refuse(r, "what stands before = is no name of a variable");
    }
    r->p = equals + 1;
    return RC_OK;
}

static enum rc read_assignment(struct reader *r, json_t *all, struct text *value)
{
    char key[KEY_MAX_BYTES];

    TRY(read_key(r, key));
    TRY(read_word(r, value));
    skip_blanks(r);
    if (r->p < r->end && *r->p == '\r') {
        return refuse(r, "ends with a carriage return; write the file with Unix line ends");
    }
    if (!at_end_of_line(r) && *r->p != '#') {
        return refuse(r, "more than one word behind =; put the value in quotes");
    }
    skip_line(r);
    json_t *string = json_stringn(value->n > 0 ? value->data : "", value->n);
    if (string == NULL) { /* jansson wants UTF-8 */
        return refuse(r, "the value is not UTF-8");
    }
    return json_object_set_new(all, key, string) == 0 ? RC_OK : RC_NO_MEMORY;
}

static enum rc read_all(struct reader *r, json_t *all)
{
    while (r->p < r->end) {
        skip_blanks(r);
        if (at_end_of_line(r) || *r->p == '#') {
            skip_line(r);
        } else {
            struct text value;
            text_init(&value);
            enum rc rc = read_assignment(r, all, &value);
            text_fini(&value);
            TRY(rc);
        }
        if (json_object_size(all) > ENV_FILE_MAX_KEYS) {
            return refuse(r, "too many variables");
        }
        if (r->p < r->end) {
            (void)take(r);
        }
    }
    return RC_OK;
}

enum rc env_file_read(const char *text, size_t n, const struct why *w, json_t **out)
{
    struct reader r = {text, text + n, 1, w};
    json_t *all = json_object();

    if (all == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = read_all(&r, all);
    if (rc != RC_OK) {
        json_decref(all);
        return rc == RC_FULL ? refuse(&r, "a value is too long") : rc;
    }
    *out = all;
    return RC_OK;
}
