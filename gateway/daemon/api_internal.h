/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the API share. Included in this folder only. */
#pragma once

#include "core/doc/doc.h"
#include "gateway/daemon/api.h"
#include "gateway/daemon/status.h"

/** No memory, so there is no page. */
#define API_NO_MEMORY 0U

/** Write v, which is taken, and a newline. Returns status, or API_NO_MEMORY; also when v is NULL.
 */
unsigned api_write(FILE *out, unsigned status, json_t *v);

/** {"error": TEXT}. Returns status. */
unsigned api_error(FILE *out, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** Who calls, for people: "uid 1000". buf of API_CALLER_BYTES. */
#define API_CALLER_BYTES 32
const char *api_caller(const struct admin_call *call, char *buf);

/** "vms", "vms/NAME", "vms/NAME/ORDER". rest: behind "vms", with its slash, or "". */
unsigned api_vms(struct status *s, const struct admin_call *call, const char *rest, FILE *out);

/** "upstreams". */
unsigned api_upstreams(struct status *s, FILE *out);
