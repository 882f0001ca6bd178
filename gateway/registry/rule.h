/* SPDX-License-Identifier: Apache-2.0 */
/* The rules about what a VM may claim, by name. */
#pragma once

enum rule {
#define RULE(name, label, text) RULE_##name,
#include "gateway/registry/rule.def"
#undef RULE
    RULES
};

/** The first of the rules that cannot be switched off. */
#define RULES_OF_POLICY RULE_REVOKED

/** "service_account": in the configuration, in metrics and in logs. Static. */
const char *rule_label(enum rule rule);

/** What it says, for people. Static. */
const char *rule_text(enum rule rule);
