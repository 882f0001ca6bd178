/* SPDX-License-Identifier: Apache-2.0 */
/* Types for the tests: of kinds.proto, or of the program. */
#pragma once

#include "xds/pb_types.h"

/** An index of kinds.proto; owned. The set that it looks into stays. */
struct pb_types *pb_types_of_kinds(void);

/** The FileDescriptorSet of kinds.proto, with all that it imports. */
const uint8_t *pb_kinds_set(size_t *n);
