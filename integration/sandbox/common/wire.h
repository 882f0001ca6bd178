/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#define TYPE_PREFIX "type.googleapis.com/"
#define TYPE_CLUSTER TYPE_PREFIX "envoy.config.cluster.v3.Cluster"
#define TYPE_ENDPOINT TYPE_PREFIX "envoy.config.endpoint.v3.ClusterLoadAssignment"
#define TYPE_LISTENER TYPE_PREFIX "envoy.config.listener.v3.Listener"
#define TYPE_ROUTE TYPE_PREFIX "envoy.config.route.v3.RouteConfiguration"
#define TYPE_HEALTH TYPE_PREFIX "istio.v1.HealthInformation"
#define TYPE_HCM \
    TYPE_PREFIX  \
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"

#define METHOD_SOTW \
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
#define METHOD_DELTA \
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
#define METHOD_CSR "/istio.v1.auth.IstioCertificateService/CreateCertificate"

/** The four types that the sandbox pushes, in istiod's push order. */
enum xds_type { XDS_CDS, XDS_EDS, XDS_LDS, XDS_RDS, XDS_TYPES };

/** Type URL of a pushed type. */
const char *xds_type_url(enum xds_type type);

/** "CDS", "EDS", "LDS" or "RDS". */
const char *xds_type_name(enum xds_type type);

/** Find a pushed type by URL or by name. Returns XDS_TYPES when it is none of them. */
enum xds_type xds_type_find(const char *url_or_name);

/** Pack a message. Returns a buffer owned by the caller. */
grpc_byte_buffer *wire_pack(const ProtobufCMessage *message);

/**
 * Unpack a message and destroy the buffer.
 *
 * Returns  owned by the caller (protobuf_c_message_free_unpacked); NULL when it is malformed.
 */
ProtobufCMessage *wire_unpack(const ProtobufCMessageDescriptor *type, grpc_byte_buffer *buffer);

/**
 * The n-th value of a header.
 *
 * Returns  owned by the caller; NULL when there are fewer.
 */
char *wire_header(const grpc_metadata_array *headers, const char *key, size_t nth);

/** Copy a slice into a string owned by the caller. */
char *wire_slice_str(grpc_slice slice);
