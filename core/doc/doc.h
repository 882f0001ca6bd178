/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents: JSON and YAML text to jansson's values and back, and the way to a value inside of one.
 *
 * What is read may come from a stranger: size, depth and number of values are bounded, duplicate
 * keys are errors, so a document means the same to every reader. Keys hold no NUL; strings may.
 * YAML is read as Kubernetes' tools read it (sigs.k8s.io/yaml, that is YAML 1.1's plain scalars),
 * without aliases and merge keys.
 *
 * Memory that jansson frees is wiped first, because documents carry tokens and keys. Texts that are
 * written belong to the caller, who wipes them where that matters.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "core/base/rc.h"

/** A text of more bytes is refused. */
#define DOC_MAX_BYTES (4U * 1024 * 1024)

/** Lists and mappings inside of each other; a list of numbers is one level. */
#define DOC_MAX_DEPTH 64

/** Values of all kinds in one text. */
#define DOC_MAX_VALUES 100000

/** What is wrong with a text, and where; nothing of its content. */
struct doc_error {
    uint32_t line;   /**< 1 or more */
    uint32_t column; /**< 1 or more, in characters */
    char text[200];
};

/**
 * Read n bytes of JSON: one value of any kind.
 *
 * err  filled with RC_INVALID only.
 * out  owned by the caller, free with json_decref().
 * Returns RC_OK; RC_INVALID: no JSON, over a bound, a duplicate key, an integer beyond 64 bits;
 * RC_NO_MEMORY.
 */
enum rc doc_parse_json(const char *text, size_t n, struct doc_error *err, json_t **out) MUST_USE;

/**
 * The same for an answer of our own, which may be long: n bytes of any number, bounded by the
 * caller, and at most max_values values.
 */
enum rc doc_parse_json_within(const char *text, size_t n, size_t max_values, struct doc_error *err,
                              json_t **out) MUST_USE;

/**
 * Read n bytes of YAML with exactly one document; empty ones before and after it do not count.
 *
 * Keys that are integers or booleans become their text ("1", "true"); integers beyond 64 bits
 * become reals; time stamps stay text.
 *
 * err  filled with RC_INVALID only.
 * out  owned by the caller, free with json_decref().
 * Returns RC_OK; RC_INVALID: no YAML, none or several documents, over a bound, a duplicate key, an
 * alias, a merge key, a tag other than !!str, infinity or not-a-number; RC_NO_MEMORY.
 * Source  sigs.k8s.io/yaml v1.6, yaml.go; go.yaml.in/yaml/v2, resolve.go.
 */
enum rc doc_parse_yaml(const char *text, size_t n, struct doc_error *err, json_t **out) MUST_USE;

/**
 * The same for any number of documents.
 *
 * out  owned by the caller: an array of the documents, empty ones left out; an empty array for an
 *      empty text.
 * Returns as doc_parse_yaml().
 */
enum rc doc_parse_yaml_all(const char *text, size_t n, struct doc_error *err,
                           json_t **out) MUST_USE;

/**
 * Write v as one YAML document: block style, keys sorted, strings quoted where a reader of YAML 1.1
 * or 1.2 would take them for something else. doc_parse_yaml() gives an equal value.
 *
 * v    borrowed.
 * out  owned by the caller, free with free(); ends with a newline, a NUL follows.
 * n    its length, may be NULL.
 * Returns RC_OK or RC_NO_MEMORY.
 */
enum rc doc_write_yaml(const json_t *v, char **out, size_t *n) MUST_USE;

/**
 * Write v as JSON, compact, keys sorted.
 *
 * v    borrowed; of any kind.
 * out  owned by the caller, free with free(); a NUL follows.
 * n    its length, may be NULL.
 * Returns RC_OK or RC_NO_MEMORY.
 */
enum rc doc_write_json(const json_t *v, char **out, size_t *n) MUST_USE;

/** The same with the keys of each object in the order in which they were set, for readers that
 * compare texts. */
enum rc doc_write_json_as_set(const json_t *v, char **out, size_t *n) MUST_USE;

/**
 * A copy of v and of all in it.
 * json_copy() and json_deep_copy() of jansson 2.14 lose what there is no memory for, without a
 * word.
 *
 * v    borrowed.
 * out  owned by the caller.
 * Returns RC_OK or RC_NO_MEMORY.
 */
enum rc doc_copy(const json_t *v, json_t **out) MUST_USE;

/**
 * The value at the end of a path of keys, such as doc_at(v, "metadata", "name", NULL).
 *
 * v  borrowed; may be NULL.
 * Returns NULL when a key is absent, or something on the way is no object; borrowed from v.
 */
const json_t *doc_at(const json_t *v, ...) __attribute__((sentinel));

/**
 * The text at the end of a path of keys.
 *
 * Returns NULL as doc_at(), and also when the value is no string, or one that holds a NUL; borrowed
 * from v.
 */
const char *doc_text(const json_t *v, ...) __attribute__((sentinel));

/** Is the text under this key of v, which may be NULL, this one? */
bool doc_is_text(const json_t *v, const char *key, const char *text);

/**
 * Set a key of an object, in a chain of which any part may find no memory.
 *
 * object  borrowed; NULL: there was no memory for it.
 * value   taken, also on failure; NULL: there was no memory for it.
 * Returns false: out of memory.
 */
bool doc_set(json_t *object, const char *key, json_t *value);

/** Append to a list. As doc_set(). */
bool doc_append(json_t *list, json_t *value);

/** For texts of unknown origin, such as paths, that a value is made of: where text is not UTF-8 as
 * a whole, each byte that is not ASCII becomes "?". */
void doc_make_utf8(char *text);

/** The same, and each control character becomes "?": for one line that people read. */
void doc_make_printable(char *text);
