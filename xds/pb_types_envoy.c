/* SPDX-License-Identifier: Apache-2.0 */
/* The set that CMake makes of proto/dump; a file of its own, so that it is only in programs that
 * want it. */
#include "xds/pb_types.h"

extern const char envoy_types[];
extern const size_t envoy_types_bytes;

enum rc pb_types_envoy(struct pb_types **types)
{
    return pb_types_new((const uint8_t *)envoy_types, envoy_types_bytes, types);
}
