/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/json_diff.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/show.h"

/* Of one value, and of a path; what is longer is cut. */
#define VALUE_BYTES 160
#define PATH_BYTES 512

/* A walk through two values. */
struct diff {
    FILE *out;
    int indent;
    char path[PATH_BYTES]; /* of what is being looked at */
    size_t n_path;
};

static void look(struct diff *d, const json_t *before, const json_t *after);

/* ---- where ---- */

/* snprintf() has written behind the path, and says that it has n bytes. Returns what leave() wants.
 */
static size_t enter(struct diff *d, int n)
{
    size_t old = d->n_path;

    d->n_path = n > 0 && (size_t)n < PATH_BYTES - old ? old + (size_t)n : PATH_BYTES - 1;
    return old;
}

static size_t enter_key(struct diff *d, const char *key)
{
    return enter(d, snprintf(d->path + d->n_path, PATH_BYTES - d->n_path, "%s%s",
                             d->n_path > 0 ? "." : "", key));
}

static size_t enter_item(struct diff *d, size_t i)
{
    return enter(d, snprintf(d->path + d->n_path, PATH_BYTES - d->n_path, "[%zu]", i));
}

static void leave(struct diff *d, size_t old)
{
    d->n_path = old;
    d->path[old] = '\0';
}

/* ---- what ---- */

static void put_clean(FILE *out, const char *text, size_t n)
{
    char clean[SHOW_CLEAN_BYTES(PATH_BYTES)];

    (void)show_clean(text, n < PATH_BYTES ? n : PATH_BYTES, clean);
    (void)fputs(clean, out);
}

static void put_value(struct diff *d, const json_t *v)
{
    size_t n = 0;
    char *text = NULL;

    if (doc_write_json_as_set(v, &text, &n) != RC_OK) {
        (void)fputs("(out of memory)", d->out);
        return;
    }
    size_t shown = n <= VALUE_BYTES ? n : VALUE_BYTES;
    while (shown < n && shown > 0 && ((unsigned char)text[shown] & 0xc0U) == 0x80U) {
        shown--; /* at a whole character */
    }
    put_clean(d->out, text, shown);
    (void)fputs(shown < n ? "..." : "", d->out);
    free(text);
}

static void begin_line(struct diff *d, const char *mark)
{
    (void)fprintf(d->out, "%*s%s", d->indent, "", mark);
    put_clean(d->out, d->path, d->n_path);
    (void)fputs(d->n_path > 0 ? ": " : "", d->out);
}

static void put_one(struct diff *d, const char *mark, const json_t *v)
{
    begin_line(d, mark);
    put_value(d, v);
    (void)fputc('\n', d->out);
}

static void put_both(struct diff *d, const json_t *before, const json_t *after)
{
    begin_line(d, "");
    put_value(d, before);
    (void)fputs(" -> ", d->out);
    put_value(d, after);
    (void)fputc('\n', d->out);
}

/* ---- looking ---- */

/* One of them may be NULL: it is not there. */
static void look_at_one(struct diff *d, const json_t *before, const json_t *after)
{
    if (before == NULL) {
        put_one(d, "+ ", after);
    } else if (after == NULL) {
        put_one(d, "- ", before);
    } else {
        look(d, before, after);
    }
}

static void look_at_objects(struct diff *d, const json_t *before, const json_t *after)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)before, key, value)
    {
        size_t old = enter_key(d, key);
        look_at_one(d, value, json_object_get(after, key));
        leave(d, old);
    }
    json_object_foreach((json_t *)(uintptr_t)after, key, value)
    {
        if (json_object_get(before, key) == NULL) {
            size_t old = enter_key(d, key);
            put_one(d, "+ ", value);
            leave(d, old);
        }
    }
}

static void look_at_items(struct diff *d, const json_t *before, size_t from, size_t to,
                          const char *mark)
{
    for (size_t i = from; i < to; i++) {
        size_t old = enter_item(d, i);
        put_one(d, mark, json_array_get(before, i));
        leave(d, old);
    }
}

static void look_at_arrays(struct diff *d, const json_t *before, const json_t *after)
{
    size_t n_before = json_array_size(before);
    size_t n_after = json_array_size(after);
    size_t same = 0;

    while (same < n_before && same < n_after &&
           json_equal(json_array_get(before, same), json_array_get(after, same))) {
        same++;
    }
    while (n_before > same && n_after > same &&
           json_equal(json_array_get(before, n_before - 1), json_array_get(after, n_after - 1))) {
        n_before--;
        n_after--;
    }
    if (n_before != n_after) {
        look_at_items(d, before, same, n_before, "- ");
        look_at_items(d, after, same, n_after, "+ ");
        return;
    }
    for (size_t i = same; i < n_before; i++) {
        size_t old = enter_item(d, i);
        look(d, json_array_get(before, i), json_array_get(after, i));
        leave(d, old);
    }
}

/* As deep as a document may be (DOC_MAX_DEPTH). */
// NOLINTNEXTLINE(misc-no-recursion)
static void look(struct diff *d, const json_t *before, const json_t *after)
{
    if (json_equal(before, after)) {
        return;
    }
    if (json_is_object(before) && json_is_object(after)) {
        look_at_objects(d, before, after);
    } else if (json_is_array(before) && json_is_array(after)) {
        look_at_arrays(d, before, after);
    } else {
        put_both(d, before, after);
    }
}

void json_diff_write(const json_t *before, const json_t *after, int indent, FILE *out)
{
    struct diff d = {.out = out, .indent = indent};

    look(&d, before, after);
}
