/* SPDX-License-Identifier: Apache-2.0 */
/* The types of resources that an agent and its Envoy ask for. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Who asks for a type, and what it is. */
#define XDS_FROM_ENVOY 1U
#define XDS_FROM_AGENT 2U
#define XDS_SECRET 4U /**< its resources must never be kept or shown */
#define XDS_BY_NAME                                                                 \
    8U /**< an empty list of names asks for none, not for all (pkg/xds/server.go of \
          Istio, IsWildcardTypeURL) */

enum xds_type {
#define XDS_TYPE(name, text, url, flags) XDS_##name,
#include "xds/xds_type.def"
#undef XDS_TYPE
    XDS_TYPES,              /**< how many there are */
    XDS_HEALTH = XDS_TYPES, /**< HealthInformation: a report, not a subscription */
    XDS_OTHER,              /**< anything else */
};

/** Which type a URL of n bytes names. With "type.googleapis.com/" before it, as agents write it and
 * istiod compares it: without, it is XDS_OTHER. */
enum xds_type xds_type_of(const char *url, size_t n);

/** "CDS"; "HEALTH", "OTHER". Static. */
const char *xds_type_name(enum xds_type t);

/** The whole type URL, with the prefix; "" for XDS_OTHER. Static. */
const char *xds_type_url(enum xds_type t);

/** XDS_FROM_ENVOY and others, added up; 0 for XDS_HEALTH and XDS_OTHER. */
unsigned xds_type_flags(enum xds_type t);
