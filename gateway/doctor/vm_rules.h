/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of Istio's in what iptables-save or `nft list ruleset` prints. Pure, bounded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** All zero is empty. */
struct vm_rules {
    char line[128]; /**< as much of it as matters */
    size_t n_line;
    char now[32];   /**< the table that the lines are of */
    char chain[64]; /**< the first of Istio's; one of table nat before others. "": none */
    char table[32]; /**< that it is of */
};

/** The next n bytes. */
void vm_rules_feed(struct vm_rules *s, const char *bytes, size_t n);

/** Was there one? */
bool vm_rules_found(const struct vm_rules *s);
