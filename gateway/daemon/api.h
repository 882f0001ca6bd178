/* SPDX-License-Identifier: Apache-2.0 */
/* The API (docs/api.md): from a call to its JSON. */
#pragma once

#include "gateway/admin/server.h"

/** Answers a call, as struct admin_source wants it. arg: a struct status. */
unsigned api_answer(void *arg, const struct admin_call *call, FILE *out);
