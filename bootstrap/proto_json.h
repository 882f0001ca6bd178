/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Istio's messages as JSON, the way protobuf reads and writes them: names in either spelling,
 * enums by name, durations in seconds, no defaults. So a document that went through here equals the
 * one that istioctl writes. The messages are the rows of istio_fields.def; fields that have no row
 * are passed on as they are.
 */
#pragma once

#include "bootstrap/why.h"
#include "core/doc/doc.h"

/**
 * Check a message and spell it as protobuf does. Defaults stay, because a message that is merged
 * may set one on purpose.
 *
 * message  a name of istio_fields.def.
 * in       borrowed.
 * where    what the message is called in the reason, such as "WorkloadGroup: spec".
 * out      owned by the caller.
 * Returns RC_OK; RC_INVALID and *w says which field and why; RC_NO_MEMORY.
 * Source   github.com/golang/protobuf/jsonpb, unmarshalMessage().
 */
enum rc proto_json_read(const char *message, const json_t *in, const char *where,
                        const struct why *w, json_t **out) MUST_USE;

/**
 * Put the fields of one message into another one: whole fields are replaced, and a field of a oneof
 * replaces its siblings. Both as proto_json_read() made them.
 *
 * to    borrowed, changed.
 * from  borrowed; its values are shared.
 * Returns RC_OK or RC_NO_MEMORY.
 */
enum rc proto_json_merge(const char *message, json_t *to, json_t *from) MUST_USE;

/** Leave out what protobuf does not write: defaults of plain fields, empty lists and maps. v as
 * proto_json_read() made it, borrowed, changed. */
void proto_json_trim(const char *message, json_t *v);
