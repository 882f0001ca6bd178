/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/rule.h"

static const struct {
    const char *label;
    const char *text;
} rows[] = {
#define RULE(name, lab, txt) {lab, txt},
#include "gateway/registry/rule.def"
#undef RULE
};

const char *rule_label(enum rule rule)
{
    return rows[rule].label;
}

const char *rule_text(enum rule rule)
{
    return rows[rule].text;
}
