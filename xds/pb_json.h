/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol buffers as JSON (protobuf.dev, "ProtoJSON Format"), with the names of the fields as they
 * are in the .proto files: the way Envoy writes /config_dump. For bytes of strangers: depth and
 * size are bounded, and the work is as much as there are bytes.
 *
 * As in Envoy, what is (udpa.annotations.sensitive) is not shown: strings and bytes there are
 * "[redacted]", numbers are left out; also inside of Any and TypedStruct.
 *
 * An Any of a type that is not known, or whose bytes cannot be read, becomes
 *
 *   {"@type":"type.googleapis.com/google.protobuf.Struct",
 *    "value":{"unknown_type_url":"...","base64":"..."}}
 *
 * which every reader knows. Of a type that is known the bytes may be secret and are "[redacted]",
 * and the first key is "unreadable_type_url".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/rc.h"
#include "xds/pb_types.h"

/** Messages inside of each other, the outermost included; what an Any holds counts on. As deep as
 * Envoy reads. */
#define PB_JSON_DEPTH 100

/** No protocol buffers are longer. */
#define PB_JSON_MESSAGE_MAX_BYTES ((size_t)INT32_MAX)

/**
 * Write one message as a JSON value: compact, without a newline.
 *
 * type_name  in full, for instance "envoy.config.listener.v3.Listener".
 * message    n bytes.
 * max_bytes  of what may be written.
 * out        borrowed; after an error it may hold a part.
 * Returns RC_OK; RC_NOT_FOUND: no such type; RC_PEER_MALFORMED: the bytes are no such message, are
 * too deep, or have no form in JSON (a time outside of its range); RC_FULL: more than max_bytes;
 * RC_NO_MEMORY. Whether `out` failed, its owner asks ferror().
 */
enum rc pb_json_write(const struct pb_types *types, const char *type_name, const uint8_t *message,
                      size_t n, size_t max_bytes, FILE *out) MUST_USE;

/**
 * The same of what an Any holds, with its "@type": a resource of a DiscoveryResponse. Whatever the
 * bytes are, a JSON object that says so is written.
 *
 * type_url  borrowed, terminated by a zero.
 * Returns RC_OK; RC_FULL, also when there are more than PB_JSON_MESSAGE_MAX_BYTES; RC_NO_MEMORY.
 */
enum rc pb_json_write_any(const struct pb_types *types, const char *type_url, const uint8_t *value,
                          size_t n, size_t max_bytes, FILE *out) MUST_USE;
