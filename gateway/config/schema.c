/* SPDX-License-Identifier: Apache-2.0 */
/* Tables over nodes. See schema.h. */
#include "gateway/config/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/config/scalar.h"

/** No mapping of the file has nearly as many keys. */
#define MAX_KEYS 64

static void *field_of(const struct schema_key *key, void *base)
{
    return key->offset == SCHEMA_NO_STORE ? NULL : (char *)base + key->offset;
}

char *schema_copy(struct report *r, const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL) {
        r->no_memory = true;
    }
    return copy;
}

void schema_free_texts(char ***texts)
{
    if (*texts == NULL) {
        return;
    }
    for (char **t = *texts; *t != NULL; t++) {
        free(*t);
    }
    free(*texts);
    *texts = NULL;
}

/* ---- what a node is, for people ---- */

static const char *node_type_name(const struct node *n)
{
    switch (n->kind) {
    case NODE_LIST:
        return "a list";
    case NODE_MAP:
        return "a mapping";
    case NODE_TEXT:
        break;
    }
    return n->plain ? scalar_type_name(scalar_type_of(n->text)) : "text in quotes";
}

static bool has_control_characters(const struct node *n)
{
    for (size_t i = 0; i < n->len; i++) {
        unsigned char c = (unsigned char)n->text[i];
        if (c < 0x20 || c == 0x7f) {
            return true;
        }
    }
    return false;
}

const char *schema_text_of(struct report *r, struct node *n, const char *key, const char *example)
{
    char quoted[REPORT_QUOTE_BYTES];
    if (n->bad) {
        return NULL;
    }
    if (n->kind != NODE_TEXT) {
        node_error(r, n, "`%s` takes text here, not %s: write for example %s", key,
                   node_type_name(n), example);
        return NULL;
    }
    enum scalar_type t = n->plain ? scalar_type_of(n->text) : SCALAR_TEXT;
    if (t == SCALAR_EMPTY || n->len == 0) {
        node_error(r, n, "`%s` needs a value: write for example %s", key, example);
        return NULL;
    }
    if (t != SCALAR_TEXT) {
        node_error(r, n, "`%s` takes text, not %s such as %.40s: write for example %s", key,
                   scalar_type_name(t), n->text, example);
        return NULL;
    }
    if (has_control_characters(n)) {
        node_error(r, n, "`%s` holds control characters: %s", key,
                   report_quote(quoted, n->text, n->len));
        return NULL;
    }
    return n->text;
}

/* ---- mappings ---- */

static const struct schema_key *find_key(const struct schema_map *map, const char *name)
{
    for (size_t i = 0; i < map->n_keys; i++) {
        if (strcmp(map->keys[i].name, name) == 0) {
            return &map->keys[i];
        }
    }
    return NULL;
}

static void unknown_key(struct report *r, const struct node *n, size_t i,
                        const struct schema_map *map)
{
    const char *known[MAX_KEYS + 1];
    size_t n_known = 0;
    for (size_t k = 0; k < map->n_keys; k++) {
        if (node_get(n, map->keys[k].name) == NULL) {
            known[n_known++] = map->keys[k].name;
        }
    }
    known[n_known] = NULL;
    struct node *key = n->keys[i];
    const char *meant = scalar_suggest(key->text, known);
    char quoted[REPORT_QUOTE_BYTES];
    report_quote(quoted, key->text, key->len);
    if (meant == NULL) {
        node_error(r, key, "unknown key %s in %s", quoted, map->what);
        return;
    }
    node_error(r, key, "unknown key %s in %s: did you mean `%s`?", quoted, map->what, meant);
    key->meant = meant;
    n->items[i]->bad = true;
}

static const struct node *earlier_key(const struct node *n, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        const struct node *key = n->keys[k];
        if (key->len == n->keys[i]->len && memcmp(key->text, n->keys[i]->text, key->len) == 0) {
            return key;
        }
    }
    return NULL;
}

/* Is key i there for the first time? Reports otherwise. */
static bool is_first_key(struct report *r, struct node *n, size_t i)
{
    struct node *key = n->keys[i];
    char quoted[REPORT_QUOTE_BYTES];
    const struct node *first = earlier_key(n, i);
    if (first != NULL) {
        node_error(r, key, "duplicate key %s: it is already on line %u",
                   report_quote(quoted, key->text, key->len), (unsigned)first->line);
    }
    return first == NULL;
}

static void read_pair(struct report *r, struct node *n, size_t i, const struct schema_map *map,
                      void *base)
{
    struct node *key = n->keys[i];
    if (key->bad || !is_first_key(r, n, i)) {
        return;
    }
    const struct schema_key *known =
        strlen(key->text) == key->len ? find_key(map, key->text) : NULL;
    if (known == NULL) {
        unknown_key(r, n, i, map);
        return;
    }
    known->read(r, n->items[i], known, base);
}

void schema_read_root(struct report *r, struct node *n, const struct schema_map *map, void *base)
{
    CHECK(map->n_keys <= MAX_KEYS);
    if (n->bad) {
        return;
    }
    if (n->kind != NODE_MAP) {
        node_error(r, n, "%s must be a mapping (key: value), not %s", map->what, node_type_name(n));
        return;
    }
    if (n->n_items > MAX_KEYS) {
        node_error(r, n, "%s has %zu keys; there are only %zu", map->what, n->n_items, map->n_keys);
        return;
    }
    for (size_t i = 0; i < n->n_items; i++) {
        read_pair(r, n, i, map, base);
    }
    for (size_t k = 0; k < map->n_keys; k++) {
        if (map->keys[k].required && node_get(n, map->keys[k].name) == NULL) {
            node_error(r, n, "%s needs the key `%s`", map->what, map->keys[k].name);
        }
    }
}

void schema_read_map(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    void *field = field_of(key, base);
    schema_read_root(r, n, key->more, field);
}

/* ---- numbers ---- */

static void store_u32(const struct schema_key *key, void *base, uint64_t v)
{
    uint32_t *field = field_of(key, base);
    *field = (uint32_t)v;
}

/* A plain whole number; a negative or huge one is given as UINT64_MAX, so that the range is what is
 * complained about. */
static bool read_uint(struct node *n, uint64_t *out)
{
    if (n->kind != NODE_TEXT || !n->plain || scalar_type_of(n->text) != SCALAR_INT) {
        return false;
    }
    if (scalar_uint(n->text, out)) {
        return true;
    }
    const char *digits = n->text + (n->text[0] == '-');
    if (digits[0] < '1' || digits[0] > '9') {
        return false;
    }
    *out = UINT64_MAX;
    return true;
}

void schema_read_count(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    uint64_t v = 0;
    if (n->bad) {
        return;
    }
    if (!read_uint(n, &v)) {
        node_error(r, n, "`%s` takes a whole number without quotes, %.0f to %.0f, not %s",
                   key->name, key->min, key->max, node_type_name(n));
        return;
    }
    if ((double)v < key->min || (double)v > key->max) {
        node_error(r, n, "`%s` must be %.0f to %.0f", key->name, key->min, key->max);
        return;
    }
    store_u32(key, base, v);
}

void schema_read_bytes(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    uint64_t v = 0;
    char min[SCALAR_FORMAT_BYTES];
    char max[SCALAR_FORMAT_BYTES];
    scalar_format_size((uint64_t)key->min, min);
    scalar_format_size((uint64_t)key->max, max);
    if (n->bad) {
        return;
    }
    bool ok = n->kind == NODE_TEXT && (read_uint(n, &v) || scalar_size(n->text, &v));
    if (!ok) {
        node_error(r, n, "`%s` takes a size such as %s, or bytes as a number without quotes",
                   key->name, max);
        return;
    }
    if ((double)v < key->min || (double)v > key->max) {
        node_error(r, n, "`%s` must be %s to %s", key->name, min, max);
        return;
    }
    store_u32(key, base, v);
}

void schema_read_time(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    double v = 0;
    char min[SCALAR_FORMAT_BYTES];
    char max[SCALAR_FORMAT_BYTES];
    scalar_format_duration(key->min, min);
    scalar_format_duration(key->max, max);
    if (n->bad) {
        return;
    }
    if (n->kind != NODE_TEXT || !scalar_duration(n->text, &v)) {
        node_error(
            r, n, "`%s` takes a duration, a whole number with its unit: write 250ms, 30s, 5m or 1h",
            key->name);
        return;
    }
    if (v < key->min || v > key->max) {
        node_error(r, n, "`%s` must be %s to %s", key->name, min, max);
        return;
    }
    double *field = field_of(key, base);
    *field = v;
}

void schema_read_bool(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    if (n->bad) {
        return;
    }
    bool yes = n->kind == NODE_TEXT && n->plain && strcmp(n->text, "true") == 0;
    bool no = n->kind == NODE_TEXT && n->plain && strcmp(n->text, "false") == 0;
    if (!yes && !no) {
        node_error(r, n, "`%s` takes true or false, without quotes", key->name);
        return;
    }
    bool *field = field_of(key, base);
    *field = yes;
}

/* ---- texts ---- */

static void list_words(const struct schema_word *words, char *buf, size_t n)
{
    size_t o = 0;
    buf[0] = '\0';
    for (const struct schema_word *w = words; w->word != NULL && o < n; w++) {
        const char *joint = w == words ? "" : (w[1].word == NULL ? " or " : ", ");
        int wrote = snprintf(buf + o, n - o, "%s%s", joint, w->word);
        o += wrote > 0 ? (size_t)wrote : 0;
    }
}

void schema_read_enum(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    const struct schema_word *words = key->more;
    char quoted[REPORT_QUOTE_BYTES];
    char list[128];
    list_words(words, list, sizeof(list));
    const char *text = schema_text_of(r, n, key->name, list);
    if (text == NULL) {
        return;
    }
    for (const struct schema_word *w = words; w->word != NULL; w++) {
        if (strcmp(w->word, text) == 0) {
            int *field = field_of(key, base);
            *field = w->value;
            return;
        }
    }
    node_error(r, n, "`%s` cannot be %s: write %s", key->name,
               report_quote(quoted, n->text, n->len), list);
}

/* A checked copy of one text, owned by the caller; NULL after reporting. */
static char *checked_copy(struct report *r, struct node *n, const struct schema_key *key)
{
    const struct schema_text *spec = key->more;
    char quoted[REPORT_QUOTE_BYTES];
    bool empty = !n->bad && n->kind == NODE_TEXT && !n->plain && n->len == 0;
    if (empty && spec->may_be_empty) {
        return schema_copy(r, "");
    }
    const char *text = schema_text_of(r, n, key->name, spec->example);
    if (text == NULL) {
        return NULL;
    }
    char *copy = schema_copy(r, text);
    const char *complaint = copy != NULL && spec->check != NULL ? spec->check(copy) : NULL;
    if (complaint != NULL) {
        node_error(r, n, "`%s`: %s %s", key->name, report_quote(quoted, n->text, n->len),
                   complaint);
        free(copy);
        return NULL;
    }
    return copy;
}

void schema_read_text(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    char *copy = checked_copy(r, n, key);
    char **field = field_of(key, base);
    if (copy == NULL || field == NULL) {
        free(copy);
        return;
    }
    free(*field);
    *field = copy;
}

bool schema_is_list(struct report *r, struct node *n, const char *name, size_t max,
                    const char *example)
{
    if (n->bad) {
        return false;
    }
    if (n->kind != NODE_LIST) {
        node_error(r, n, "`%s` takes a list, not %s: write for example %s", name, node_type_name(n),
                   example);
        return false;
    }
    if (n->n_items == 0) {
        node_error(r, n, "`%s` is empty: write for example %s", name, example);
        return false;
    }
    if (n->n_items > max) {
        node_error(r, n, "`%s` has %zu elements; at most %zu are possible", name, n->n_items, max);
        return false;
    }
    return true;
}

static bool among(char *const *texts, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(texts[i], text) == 0) {
            return true;
        }
    }
    return false;
}

void schema_read_texts(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    const struct schema_text *spec = key->more;
    if (!schema_is_list(r, n, key->name, spec->max, spec->example)) {
        return;
    }
    char **texts = calloc(n->n_items + 1, sizeof(char *));
    if (texts == NULL) {
        r->no_memory = true;
        return;
    }
    size_t n_texts = 0;
    for (size_t i = 0; i < n->n_items; i++) {
        char *copy = checked_copy(r, n->items[i], key);
        if (copy == NULL) {
            continue;
        }
        if (among(texts, n_texts, copy)) {
            node_error(r, n->items[i], "`%s` has this element twice: leave one out", key->name);
        }
        texts[n_texts++] = copy;
    }
    char ***field = field_of(key, base);
    if (field == NULL) {
        schema_free_texts(&texts);
        return;
    }
    schema_free_texts(field);
    *field = texts;
}

/* A zeroed array for the elements of n into *field, and its count; NULL: no memory. */
static char *store_array(struct report *r, const struct node *n, size_t item_bytes, void **field,
                         size_t *count)
{
    char *array = calloc(n->n_items, item_bytes);
    if (array == NULL) {
        r->no_memory = true;
        return NULL;
    }
    *field = array;
    *count = n->n_items;
    return array;
}

void schema_read_list(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    const struct schema_list *spec = key->more;
    if (!schema_is_list(r, n, key->name, spec->max, spec->example)) {
        return;
    }
    size_t *count = (size_t *)(void *)((char *)base + spec->count_offset);
    char *array = store_array(r, n, spec->item_bytes, field_of(key, base), count);
    for (size_t i = 0; array != NULL && i < n->n_items; i++) {
        void *item = array + i * spec->item_bytes;
        if (spec->init != NULL) {
            spec->init(item);
        }
        spec->item.read(r, n->items[i], &spec->item, item);
    }
}

/* ---- mappings with keys of the user's ---- */

/* A checked copy of a key, owned by the caller; NULL after reporting. */
static char *copy_key(struct report *r, struct node *n, const struct schema_key *key)
{
    const struct schema_dict *spec = key->more;
    char quoted[REPORT_QUOTE_BYTES];
    char *copy = strlen(n->text) == n->len ? schema_copy(r, n->text) : NULL;
    const char *complaint = copy != NULL ? spec->check(copy) : "holds control characters";
    if (complaint != NULL && !r->no_memory) {
        node_error(r, n, "`%s`: %s %s", key->name, report_quote(quoted, n->text, n->len),
                   complaint);
        free(copy);
        return NULL;
    }
    return copy;
}

static bool is_dict(struct report *r, struct node *n, const struct schema_key *key)
{
    const struct schema_dict *spec = key->more;
    if (n->bad) {
        return false;
    }
    if (n->kind != NODE_MAP || n->n_items == 0 || n->n_items > spec->max) {
        node_error(r, n, "`%s` takes a mapping with 1 to %zu keys: write for example %s", key->name,
                   spec->max, spec->example);
        return false;
    }
    return true;
}

void schema_read_dict(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    const struct schema_dict *spec = key->more;
    if (!is_dict(r, n, key)) {
        return;
    }
    size_t *count = (size_t *)(void *)((char *)base + spec->count_offset);
    char *array = store_array(r, n, spec->item_bytes, field_of(key, base), count);
    for (size_t i = 0; array != NULL && i < n->n_items; i++) {
        char *item = array + i * spec->item_bytes;
        char **name = (char **)(void *)(item + spec->name_offset);
        if (n->keys[i]->bad || !is_first_key(r, n, i)) {
            continue;
        }
        *name = copy_key(r, n->keys[i], key);
        spec->item.read(r, n->items[i], &spec->item, item);
    }
}
