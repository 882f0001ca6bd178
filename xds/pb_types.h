/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What protocol buffers mean: message and enum types, read from a FileDescriptorSet
 * (google/protobuf/descriptor.proto), found by name. The set of Envoy's and Istio's types is in the
 * program (proto/dump). An index costs memory and a moment, so who needs one makes it, uses it, and
 * frees it: pb_types_envoy(), pb_types_free(). Once made it never changes, and any number of
 * threads may read it.
 *
 * Names are views into the set: not terminated by a zero.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

struct pb_types;

/** FieldDescriptorProto.Type. */
enum pb_kind {
    PB_KIND_DOUBLE = 1,
    PB_KIND_FLOAT,
    PB_KIND_INT64,
    PB_KIND_UINT64,
    PB_KIND_INT32,
    PB_KIND_FIXED64,
    PB_KIND_FIXED32,
    PB_KIND_BOOL,
    PB_KIND_STRING,
    PB_KIND_GROUP,
    PB_KIND_MESSAGE,
    PB_KIND_BYTES,
    PB_KIND_UINT32,
    PB_KIND_ENUM,
    PB_KIND_SFIXED32,
    PB_KIND_SFIXED64,
    PB_KIND_SINT32,
    PB_KIND_SINT64,
};

/** Messages that JSON writes in a form of their own; PB_PLAIN: all others. */
enum pb_form {
    PB_PLAIN,
    PB_ANY,
    PB_DURATION,
    PB_TIMESTAMP,
    PB_FIELD_MASK,
    PB_STRUCT,
    PB_VALUE,
    PB_LIST_VALUE,
    PB_WRAPPER,      /**< DoubleValue and the like */
    PB_TYPED_STRUCT, /**< of udpa.type.v1 or xds.type.v3: plain, but holds a message as a Struct */
};

/** Of a field that is in no oneof. */
#define PB_NO_ONEOF UINT16_MAX

struct pb_member {
    const char *name; /**< as in the .proto file: snake_case */
    uint32_t number;  /**< 1 or more */
    uint32_t type; /**< of a message, a group or an enum: for pb_types_at(), pb_types_enum_name() */
    uint16_t n_name;   /**< bytes */
    uint16_t oneof;    /**< which of its message; PB_NO_ONEOF also of an optional field */
    uint8_t kind;      /**< enum pb_kind */
    bool is_repeated;  /**< also of a map */
    bool is_map;       /**< its messages have the fields 1, key, and 2, value */
    bool has_presence; /**< singular, and there even when it is zero */
    bool is_sensitive; /**< (udpa.annotations.sensitive) = true */
};

struct pb_message {
    const char *name;                /**< in full, without the leading dot */
    const struct pb_member *members; /**< by number, ascending */
    uint32_t n_name;                 /**< bytes */
    uint16_t n_members;
    uint16_t n_oneofs;
    uint8_t form; /**< enum pb_form */
};

/**
 * Index a FileDescriptorSet of proto2 or proto3 files. Options other than map_entry and
 * udpa.annotations.sensitive are passed over.
 *
 * set    n bytes, borrowed until pb_types_free().
 * types  owned; untouched on failure.
 * Returns RC_OK; RC_PEER_MALFORMED: no such set, two types of one name, or a field of a type that
 * is not in the set; RC_NO_MEMORY.
 */
enum rc pb_types_new(const uint8_t *set, size_t n, struct pb_types **types) MUST_USE;

/** The same of the set in the program: what istiod sends to proxies. */
enum rc pb_types_envoy(struct pb_types **types) MUST_USE;

/** Free *types, which may be NULL, and set it to NULL. */
void pb_types_free(struct pb_types **types);

/** The message type of a full name of n bytes, without a leading dot; NULL: there is none. */
const struct pb_message *pb_types_find(const struct pb_types *types, const char *name, size_t n);

/** The message type that a member of kind PB_KIND_MESSAGE or PB_KIND_GROUP names. Never NULL. */
const struct pb_message *pb_types_at(const struct pb_types *types, uint32_t type);

/** The member with that number; NULL: there is none. */
const struct pb_member *pb_message_member(const struct pb_message *message, uint32_t number);

/** The member with that name of n bytes, as in the .proto file or in lowerCamelCase, as JSON may
 * have it; NULL: there is none. */
const struct pb_member *pb_message_member_named(const struct pb_message *message, const char *name,
                                                size_t n);

/**
 * The name of a value of the enum that a member of PB_KIND_ENUM names; the first of several.
 *
 * n_name  bytes of it.
 * Returns NULL: the enum has no such value.
 */
const char *pb_types_enum_name(const struct pb_types *types, uint32_t type, int32_t value,
                               size_t *n_name);

/** Is it google.protobuf.NullValue, which JSON writes as null? */
bool pb_types_enum_is_null(const struct pb_types *types, uint32_t type);
