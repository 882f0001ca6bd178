/* SPDX-License-Identifier: Apache-2.0 */
/* Why connections and streams end: the log line and the metric label are the same row. */
#pragma once

enum end_reason {
#define END(name, label, text) END_##name,
#include "core/base/end_reason.def"
#undef END
    END_COUNT
};

/** The label, such as "vm_closed"; static storage. */
const char *end_label(enum end_reason r);

/** The text for people; static storage. */
const char *end_text(enum end_reason r);
