/* SPDX-License-Identifier: Apache-2.0 */
/* The format of a handover, as handover.h describes it. Another format is another version. */
#pragma once

#define HANDOVER_VARIABLE "XDSGATE_HANDOVER"
#define HANDOVER_VERSION "1"

#define HANDOVER_READY 'R'
#define HANDOVER_GO 'G'
#define HANDOVER_SERVING 'S'

/** Errors of the configuration follow, lines of text to the end of the stream. */
#define HANDOVER_REFUSED 'E'
