/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/end_reason.h"

static const struct {
    const char *label;
    const char *text;
} rows[] = {
#define END(name, lab, txt) {lab, txt},
#include "core/base/end_reason.def"
#undef END
};

const char *end_label(enum end_reason r)
{
    return rows[r].label;
}

const char *end_text(enum end_reason r)
{
    return rows[r].text;
}
