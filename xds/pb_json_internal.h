/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of pb_json_write(), in parts:
 *
 *   pb_json.c        messages, members, lists, scalars
 *   pb_json_known.c  the messages that JSON writes in a form of their own
 *   pb_json_map.c    maps, and what the keys of a Struct mean
 *   pb_json_tree.c   the fields of a message, gathered
 *   pb_json_text.c   characters
 *
 * The wire may have the fields of a message in any order, in pieces, and again; JSON has each once.
 * So the fields of a message are gathered before the first is written: for each member a chain of
 * where it was seen. What was gathered lies in two stacks that grow with the depth.
 */
#pragma once

#include <stdio.h>

#include "xds/pb_json.h"
#include "xds/pb_read.h"

/** Where a field was seen. In a chain: the later ones of the same member; 0 ends it. */
struct pb_seen {
    const uint8_t *data; /**< of PB_BYTES: `value` bytes, borrowed from the message */
    uint64_t value;
    uint32_t next;
    enum pb_wire wire;
};

/** The chain of a member; 0: it was not seen. */
struct pb_chain {
    uint32_t first;
    uint32_t last;
};

struct pb_json {
    const struct pb_types *types;
    FILE *out;
    size_t left;    /**< bytes that may be written */
    uint32_t depth; /**< messages that are open */
    bool full;      /**< there would have been more */
    bool dry;       /**< write nothing: is it well formed? What an Any holds is left out then */
    struct pb_seen *seen; /**< the first means nothing */
    struct pb_chain *chains;
    size_t n_seen;
    size_t room_seen;
    size_t n_chains;
    size_t room_chains;
};

/** A message to read: one piece, or all of a chain, which is one message then. */
struct pb_pieces {
    uint32_t first; /**< 0: it is empty */
    bool all;
};

/** The gathered fields of a message; for chains of its members, in their order. */
struct pb_level {
    const struct pb_message *type;
    size_t chains;
    size_t n_seen; /**< before */
};

/** What is known of the place of a message. */
struct pb_how {
    const struct pb_message *shadow; /**< of a Struct: the type that it stands for; NULL: none */
    bool is_map;                     /**< the shadow is the entry of a map */
    bool is_secret;
};

/** Gather the fields of a message. pb_json_close() must follow, also after an error. */
enum rc pb_json_open(struct pb_json *j, const struct pb_message *type, struct pb_pieces pieces,
                     struct pb_level *level) MUST_USE;

/** Forget them, and what was gathered since. */
void pb_json_close(struct pb_json *j, const struct pb_level *level);

/** Note a field that is not on the wire. Returns RC_OK, RC_NO_MEMORY. */
enum rc pb_json_note(struct pb_json *j, const struct pb_item *item, uint32_t *seen) MUST_USE;

/** The chain of the i-th member of a level. */
struct pb_chain pb_json_chain(const struct pb_json *j, const struct pb_level *level, size_t i);

/** The member with that number, which the type has, as it was seen last; all zero: nowhere. */
struct pb_seen pb_json_last(const struct pb_json *j, const struct pb_level *level, uint32_t number);

/** Write a message as the value that it is in JSON. */
enum rc pb_json_message(struct pb_json *j, const struct pb_message *type, struct pb_pieces pieces,
                        struct pb_how how) MUST_USE;

/** The members of a level as keys and values, without braces; some: there is a key before. */
enum rc pb_json_members(struct pb_json *j, const struct pb_level *level, struct pb_how how,
                        bool some) MUST_USE;

/** One value of a member that is no map; pieces.first 0: its default. */
enum rc pb_json_element(struct pb_json *j, const struct pb_member *m, struct pb_pieces pieces,
                        struct pb_how how) MUST_USE;

/** All elements of a list, with commas between them, without brackets. */
enum rc pb_json_elements(struct pb_json *j, const struct pb_member *m, struct pb_chain chain,
                         struct pb_how how) MUST_USE;

/** A map as an object: by key, each once. */
enum rc pb_json_map(struct pb_json *j, const struct pb_member *m, struct pb_chain chain,
                    struct pb_how how) MUST_USE;

/** A message whose form is not PB_PLAIN, PB_TYPED_STRUCT, and whose fields were gathered. */
enum rc pb_json_known(struct pb_json *j, const struct pb_level *level, struct pb_how how) MUST_USE;

/** An Any; value: a place of PB_BYTES, 0: there is none. */
enum rc pb_json_any(struct pb_json *j, struct pb_seen url, uint32_t value,
                    struct pb_how how) MUST_USE;

/** What a member makes of `how`: for the values that it has. */
struct pb_how pb_json_how(const struct pb_json *j, const struct pb_member *m, struct pb_how how);

/** The message type of a type URL of n bytes; NULL: it is not known. */
const struct pb_message *pb_json_type(const struct pb_json *j, const uint8_t *url, size_t n);

/** What is written for strings and bytes that are not shown. */
#define PB_JSON_REDACTED "[redacted]"

/** n characters as they are. */
void pb_json_put(struct pb_json *j, const char *text, size_t n);

/** A text that ends with a zero, as it is. */
void pb_json_puts(struct pb_json *j, const char *text);

/** n bytes as a string in quotes; what is no UTF-8 becomes U+FFFD. */
void pb_json_string(struct pb_json *j, const uint8_t *text, size_t n);

/** n bytes as base64 (RFC 4648, section 4) in quotes. */
void pb_json_base64(struct pb_json *j, const uint8_t *data, size_t n);

/** The order of two strings as pb_json_string() would write them: below, above, or 0. */
int pb_json_compare(const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b);

/** Floating point: a short text that is read as the same number. */
void pb_json_double(struct pb_json *j, double v);
void pb_json_float(struct pb_json *j, float v);
