/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML file as a tree of nodes that know their line and column. Pure: text in, tree out.
 *
 * Less than YAML on purpose: one document; no anchors, aliases, merge keys, tags; keys are plain
 * text; depth and number of nodes are bounded. What is left means the same to every reader of the
 * file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "gateway/config/report.h"

/** The schema needs 9 levels. */
#define TREE_MAX_DEPTH 16

/** Far more than a file within the size limit needs, and little memory. */
#define TREE_MAX_NODES 100000

enum node_kind { NODE_TEXT, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    bool plain;      /**< a text without quotes, so it may be a number or a bool */
    bool bad;        /**< an error was reported here: no rule looks at it again */
    uint32_t line;   /**< 1 or more */
    uint32_t column; /**< 1 or more, in characters */
    char *text;      /**< owned; of a NODE_TEXT, may hold zeros */
    size_t len;
    const char *meant;   /**< of a key: the known key it was probably meant to be; static */
    struct node **keys;  /**< owned; of a NODE_MAP */
    struct node **items; /**< owned; of a NODE_LIST, and the values of a NODE_MAP */
    size_t n_items;
    size_t cap;
};

/**
 * Parse n bytes of text.
 *
 * out  owned by the caller, free with tree_free(); NULL for an empty file.
 * Returns RC_OK also when errors were reported that do not stop reading; RC_INVALID when an error
 * did; RC_NO_MEMORY.
 */
enum rc tree_parse(const char *text, size_t n, struct report *r, struct node **out) MUST_USE;

/** Free a tree and null the pointer; NULL is allowed. */
void tree_free(struct node **n);

/** The value of a key of a map, also of one that was misspelt; NULL when absent or when map is no
 * map or NULL. */
struct node *node_get(const struct node *map, const char *key);

/** Has an error been reported anywhere in n? NULL: no. */
bool node_bad(const struct node *n);

/** Report an error at n and mark it bad. */
void node_error(struct report *r, struct node *n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
