/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a tree of nodes into structs by tables: one row per key says its name, type, range and
 * place.
 *
 * Whatever does not fit is reported at its node and leaves the field at its default, so that one
 * run finds all errors. Readers get the struct that the row's offset counts from (`base`), so a row
 * of any type has one signature. A row with SCHEMA_NO_STORE only checks; later steps read the value
 * from the tree.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/config/report.h"
#include "gateway/config/tree.h"

#define SCHEMA_NO_STORE SIZE_MAX

struct schema_key;

typedef void schema_reader(struct report *r, struct node *n, const struct schema_key *key,
                           void *base);

struct schema_key {
    const char *name;
    schema_reader *read;
    size_t offset; /**< of the field in base, or SCHEMA_NO_STORE */
    bool required;
    double min; /**< of numbers, in bytes or seconds */
    double max;
    const void *more; /**< what the reader needs besides: one of the structs below */
};

/** more of schema_read_map(). */
struct schema_map {
    const char *what; /**< for people: "a listener" */
    const struct schema_key *keys;
    size_t n_keys;
};

/** One word of an enum and its value; a list of them ends with a NULL word. more of
 * schema_read_enum(). */
struct schema_word {
    const char *word;
    int value;
};

/** more of schema_read_list(). */
struct schema_list {
    size_t item_bytes;        /**< size of an element of the array */
    size_t count_offset;      /**< of the size_t beside the pointer */
    size_t max;               /**< elements */
    struct schema_key item;   /**< reads one element; its base is the element */
    void (*init)(void *item); /**< sets defaults of a zeroed element, or NULL */
    const char *example;      /**< what to write: "[\"0.0.0.0:15012\"]" */
};

/** Check (and normalize in place) one text; returns what is wrong with it ("is not ...: write
 * ..."), or NULL. */
typedef const char *schema_check(char *text);

/** more of schema_read_text() and schema_read_texts(). */
struct schema_text {
    schema_check *check; /**< or NULL */
    size_t max;          /**< elements of a list */
    const char *example;
    bool may_be_empty; /**< "" is a value, too, when it is written in quotes */
};

/** more of schema_read_dict(). */
struct schema_dict {
    size_t item_bytes;      /**< size of an element of the array */
    size_t count_offset;    /**< of the size_t beside the pointer */
    size_t name_offset;     /**< of the char * in an element that gets the key; owned */
    size_t max;             /**< elements */
    schema_check *check;    /**< of a key */
    struct schema_key item; /**< reads one value; its base is the element */
    const char *example;    /**< what to write: "{app: [web]}" */
};

/** A mapping: unknown, duplicate and missing keys are reported. Fields go to base + key->offset. */
schema_reader schema_read_map;
/** As schema_read_map(), for the root: fields go to base itself. */
void schema_read_root(struct report *r, struct node *n, const struct schema_map *map, void *base);
/** uint32_t within the range. */
schema_reader schema_read_count;
/** uint32_t: bytes as a number, or a size such as 64KiB. */
schema_reader schema_read_bytes;
/** double: a duration, in seconds. */
schema_reader schema_read_time;
schema_reader schema_read_bool;
/** int-sized enum by its word. */
schema_reader schema_read_enum;
/** char *, owned by the struct. */
schema_reader schema_read_text;
/** char **, owned, NULL-terminated: a list of at least one text, none twice. A default in the field
 * is freed. */
schema_reader schema_read_texts;
/** An array of structs, at least one, and its count. Every element of the file has one in the
 * array, also a bad one. */
schema_reader schema_read_list;
/** An array of structs, at least one, and its count, from a mapping whose keys are the user's own.
 * Keys that are bad have an element without a name. */
schema_reader schema_read_dict;

/** Is n a list of 1 .. max elements? Reports otherwise. */
bool schema_is_list(struct report *r, struct node *n, const char *name, size_t max,
                    const char *example);

/** The text of n when it is text; NULL after reporting (key: in whose value n is; example: what to
 * write). */
const char *schema_text_of(struct report *r, struct node *n, const char *key, const char *example);

/** strdup() that notes a failure in the report. */
char *schema_copy(struct report *r, const char *text);

/** Free a NULL-terminated array of owned strings and null the pointer; NULL is allowed. */
void schema_free_texts(char ***texts);
