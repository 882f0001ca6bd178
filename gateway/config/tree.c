/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML text to nodes by libyaml's events. Other YAML than ours is read by core/doc, which keeps no
 * places.
 *
 * A node hangs on the tree before it is filled, so that whatever goes wrong is freed with the tree.
 */
#include "gateway/config/tree.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

struct parse {
    yaml_parser_t yaml;
    struct report *report; /**< borrowed */
    const char *text;      /**< borrowed */
    size_t n_text;
    size_t n_nodes;
};

void tree_free(struct node **n)
{
    struct node *node = *n;
    *n = NULL;
    if (node == NULL) {
        return;
    }
    for (size_t i = 0; i < node->n_items; i++) {
        if (node->keys != NULL) {
            tree_free(&node->keys[i]);
        }
        tree_free(&node->items[i]);
    }
    free(node->keys);
    free(node->items);
    free(node->text);
    free(node);
}

static bool is_key(const struct node *k, const char *name)
{
    if (k->meant != NULL) {
        return strcmp(k->meant, name) == 0;
    }
    return strlen(name) == k->len && memcmp(k->text, name, k->len) == 0;
}

struct node *node_get(const struct node *map, const char *key)
{
    if (map == NULL || map->kind != NODE_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->n_items; i++) {
        if (is_key(map->keys[i], key)) {
            return map->items[i];
        }
    }
    return NULL;
}

bool node_bad(const struct node *n)
{
    if (n == NULL) {
        return false;
    }
    if (n->bad) {
        return true;
    }
    for (size_t i = 0; i < n->n_items; i++) {
        if (node_bad(n->items[i]) || (n->keys != NULL && n->keys[i]->bad)) {
            return true;
        }
    }
    return false;
}

void node_error(struct report *r, struct node *n, const char *fmt, ...)
{
    char text[768];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    n->bad = true;
    report_add(r, n->line, n->column, "%s", text);
}

static uint32_t mark_line(yaml_mark_t m)
{
    return (uint32_t)m.line + 1;
}

static uint32_t mark_column(yaml_mark_t m)
{
    return (uint32_t)m.column + 1;
}

/* libyaml's reader gives a byte offset only. */
static void report_reader_error(struct parse *p)
{
    size_t end = p->yaml.problem_offset < p->n_text ? p->yaml.problem_offset : p->n_text;
    uint32_t line = 1;
    uint32_t column = 1;
    for (size_t i = 0; i < end; i++) {
        unsigned char c = (unsigned char)p->text[i];
        if (c == '\n') {
            line++;
            column = 1;
        } else if ((c & 0xC0) != 0x80) {
            column++;
        }
    }
    report_add(p->report, line, column, "%s: the file must be UTF-8 text", p->yaml.problem);
}

static void report_syntax_error(struct parse *p)
{
    yaml_mark_t m = p->yaml.problem_mark;
    bool tab = m.index < p->n_text && p->text[m.index] == '\t';
    const char *hint = tab ? "; indent with blanks, never with tabs" : "";
    if (p->yaml.context != NULL) {
        report_add(p->report, mark_line(m), mark_column(m),
                   "%s (%s that starts at line %u, column %u)%s", p->yaml.problem, p->yaml.context,
                   (unsigned)mark_line(p->yaml.context_mark),
                   (unsigned)mark_column(p->yaml.context_mark), hint);
        return;
    }
    report_add(p->report, mark_line(m), mark_column(m), "%s%s", p->yaml.problem, hint);
}

static enum rc next_event(struct parse *p, yaml_event_t *ev)
{
    if (yaml_parser_parse(&p->yaml, ev) != 0) {
        return RC_OK;
    }
    switch (p->yaml.error) {
    case YAML_MEMORY_ERROR:
        return RC_NO_MEMORY;
    case YAML_READER_ERROR:
        report_reader_error(p);
        return RC_INVALID;
    case YAML_NO_ERROR:
    case YAML_SCANNER_ERROR:
    case YAML_PARSER_ERROR:
    case YAML_COMPOSER_ERROR:
    case YAML_WRITER_ERROR:
    case YAML_EMITTER_ERROR:
        break;
    }
    report_syntax_error(p);
    return RC_INVALID;
}

/* A node in the place *slot, which belongs to the tree. */
static enum rc put_node(struct parse *p, const yaml_event_t *ev, struct node **slot)
{
    uint32_t line = mark_line(ev->start_mark);
    uint32_t column = mark_column(ev->start_mark);
    if (p->n_nodes == TREE_MAX_NODES) {
        report_add(p->report, line, column, "more than %d values are in this file", TREE_MAX_NODES);
        return RC_INVALID;
    }
    struct node *n = calloc(1, sizeof(*n));
    if (n == NULL) {
        return RC_NO_MEMORY;
    }
    p->n_nodes++;
    n->line = line;
    n->column = column;
    *slot = n;
    return RC_OK;
}

static enum rc grow(struct node *n)
{
    if (n->n_items < n->cap) {
        return RC_OK;
    }
    size_t cap = n->cap == 0 ? 4 : n->cap * 2;
    struct node **items = realloc(n->items, cap * sizeof(struct node *));
    if (items == NULL) {
        return RC_NO_MEMORY;
    }
    n->items = items;
    if (n->kind == NODE_MAP) {
        struct node **keys = realloc(n->keys, cap * sizeof(struct node *));
        if (keys == NULL) {
            return RC_NO_MEMORY;
        }
        n->keys = keys;
    }
    n->cap = cap;
    return RC_OK;
}

static void refuse_properties(struct parse *p, struct node *n, const yaml_char_t *anchor,
                              const yaml_char_t *tag)
{
    if (anchor != NULL) {
        node_error(p->report, n,
                   "anchors (&name) are not allowed here: write the value out where it is needed");
    }
    if (tag != NULL) {
        node_error(p->report, n, "tags (!name) are not allowed here: write the plain value");
    }
}

static enum rc fill_text(struct parse *p, struct node *n, const yaml_event_t *ev)
{
    n->kind = NODE_TEXT;
    n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->len = ev->data.scalar.length;
    n->text = calloc(1, n->len + 1);
    if (n->text == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i < n->len; i++) {
        n->text[i] = (char)ev->data.scalar.value[i];
    }
    refuse_properties(p, n, ev->data.scalar.anchor, ev->data.scalar.tag);
    return RC_OK;
}

static enum rc fill_node(struct parse *p, struct node *n, const yaml_event_t *ev, unsigned depth);

static enum rc fill_key(struct parse *p, struct node *key, const yaml_event_t *ev)
{
    if (ev->type != YAML_SCALAR_EVENT) {
        node_error(p->report, key, "a key must be a word, not a list, a mapping or an alias");
        return RC_INVALID;
    }
    TRY(fill_text(p, key, ev));
    if (key->plain && strcmp(key->text, "<<") == 0) {
        node_error(p->report, key, "merge keys (<<) are not allowed: write the keys out");
    }
    return RC_OK;
}

static enum rc put_and_fill(struct parse *p, const yaml_event_t *ev, struct node **slot,
                            unsigned depth)
{
    TRY(put_node(p, ev, slot));
    return fill_node(p, *slot, ev, depth);
}

static enum rc fill_pair(struct parse *p, struct node *n, const yaml_event_t *key_event,
                         unsigned depth)
{
    TRY(grow(n));
    n->keys[n->n_items] = NULL;
    n->items[n->n_items] = NULL;
    n->n_items++;
    struct node **key = &n->keys[n->n_items - 1];
    TRY(put_node(p, key_event, key));
    TRY(fill_key(p, *key, key_event));
    yaml_event_t ev;
    TRY(next_event(p, &ev));
    enum rc rc = put_and_fill(p, &ev, &n->items[n->n_items - 1], depth);
    yaml_event_delete(&ev);
    return rc;
}

static enum rc fill_item(struct parse *p, struct node *n, const yaml_event_t *ev, unsigned depth)
{
    TRY(grow(n));
    n->items[n->n_items] = NULL;
    n->n_items++;
    return put_and_fill(p, ev, &n->items[n->n_items - 1], depth);
}

/* The children up to the event that ends n. */
static enum rc fill_children(struct parse *p, struct node *n, unsigned depth)
{
    if (depth == TREE_MAX_DEPTH) {
        node_error(p->report, n, "nested deeper than %d levels", TREE_MAX_DEPTH);
        return RC_INVALID;
    }
    for (;;) {
        yaml_event_t ev;
        TRY(next_event(p, &ev));
        bool end = ev.type == YAML_MAPPING_END_EVENT || ev.type == YAML_SEQUENCE_END_EVENT;
        enum rc rc = RC_OK;
        if (!end) {
            rc = n->kind == NODE_MAP ? fill_pair(p, n, &ev, depth + 1)
                                     : fill_item(p, n, &ev, depth + 1);
        }
        yaml_event_delete(&ev);
        if (end || rc != RC_OK) {
            return rc;
        }
    }
}

static enum rc fill_node(struct parse *p, struct node *n, const yaml_event_t *ev, unsigned depth)
{
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return fill_text(p, n, ev);
    case YAML_SEQUENCE_START_EVENT:
        n->kind = NODE_LIST;
        refuse_properties(p, n, ev->data.sequence_start.anchor, ev->data.sequence_start.tag);
        return fill_children(p, n, depth);
    case YAML_MAPPING_START_EVENT:
        n->kind = NODE_MAP;
        refuse_properties(p, n, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
        return fill_children(p, n, depth);
    case YAML_ALIAS_EVENT:
        node_error(p->report, n, "aliases (*name) are not allowed: write the value out");
        n->text = calloc(1, 1);
        return n->text != NULL ? RC_OK : RC_NO_MEMORY;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        break;
    }
    node_error(p->report, n, "a value is missing here");
    return RC_INVALID;
}

/* What stands between documents: nothing to keep, but a second document is refused. */
static enum rc outer_event(struct parse *p, const yaml_event_t *ev, struct node **root)
{
    switch (ev->type) {
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_NO_EVENT:
        return RC_OK;
    case YAML_DOCUMENT_START_EVENT:
        if (*root != NULL) {
            report_add(p->report, mark_line(ev->start_mark), mark_column(ev->start_mark),
                       "a second document starts here: the file must have only one");
            return RC_INVALID;
        }
        return RC_OK;
    case YAML_ALIAS_EVENT:
    case YAML_SCALAR_EVENT:
    case YAML_SEQUENCE_START_EVENT:
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_START_EVENT:
    case YAML_MAPPING_END_EVENT:
        break;
    }
    return put_and_fill(p, ev, root, 1);
}

static enum rc parse_stream(struct parse *p, struct node **root)
{
    bool end = false;
    while (!end) {
        yaml_event_t ev;
        TRY(next_event(p, &ev));
        end = ev.type == YAML_STREAM_END_EVENT;
        enum rc rc = outer_event(p, &ev, root);
        yaml_event_delete(&ev);
        if (rc != RC_OK) {
            return rc;
        }
    }
    return RC_OK;
}

enum rc tree_parse(const char *text, size_t n, struct report *r, struct node **out)
{
    struct parse p = {.report = r, .text = text, .n_text = n};
    if (yaml_parser_initialize(&p.yaml) == 0) {
        return RC_NO_MEMORY;
    }
    yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p.yaml, (const unsigned char *)text, n);
    struct node *root = NULL;
    enum rc rc = parse_stream(&p, &root);
    yaml_parser_delete(&p.yaml);
    if (rc != RC_OK) {
        tree_free(&root);
        return rc;
    }
    *out = root;
    return RC_OK;
}
