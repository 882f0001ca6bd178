/* SPDX-License-Identifier: Apache-2.0 */
/* Between gRPC core's slices and protobuf-c's messages; names of methods and types. */
#include "integration/sandbox/common/wire.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <string.h>

#include "integration/sandbox/common/text.h"

static const struct {
    const char *url;
    const char *name;
} types[XDS_TYPES] = {
    [XDS_CDS] = {TYPE_CLUSTER, "CDS"},
    [XDS_EDS] = {TYPE_ENDPOINT, "EDS"},
    [XDS_LDS] = {TYPE_LISTENER, "LDS"},
    [XDS_RDS] = {TYPE_ROUTE, "RDS"},
};

const char *xds_type_url(enum xds_type type)
{
    return types[type].url;
}

const char *xds_type_name(enum xds_type type)
{
    return types[type].name;
}

enum xds_type xds_type_find(const char *url_or_name)
{
    for (int i = 0; i < XDS_TYPES; i++) {
        if (strcmp(types[i].url, url_or_name) == 0 || strcasecmp(types[i].name, url_or_name) == 0) {
            return (enum xds_type)i;
        }
    }
    return XDS_TYPES;
}

grpc_byte_buffer *wire_pack(const ProtobufCMessage *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    grpc_byte_buffer *buffer;

    (void)protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

ProtobufCMessage *wire_unpack(const ProtobufCMessageDescriptor *type, grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    ProtobufCMessage *message = NULL;

    if (grpc_byte_buffer_reader_init(&reader, buffer)) {
        grpc_slice all = grpc_byte_buffer_reader_readall(&reader);

        message = protobuf_c_message_unpack(type, NULL, GRPC_SLICE_LENGTH(all),
                                            GRPC_SLICE_START_PTR(all));
        grpc_slice_unref(all);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    grpc_byte_buffer_destroy(buffer);
    return message;
}

char *wire_header(const grpc_metadata_array *headers, const char *key, size_t nth)
{
    for (size_t i = 0; i < headers->count; i++) {
        if (grpc_slice_str_cmp(headers->metadata[i].key, key) == 0 && nth-- == 0) {
            return wire_slice_str(headers->metadata[i].value);
        }
    }
    return NULL;
}

char *wire_slice_str(grpc_slice slice)
{
    struct text t = {0};

    text_add_n(&t, (const char *)GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
    return text_take(&t);
}
