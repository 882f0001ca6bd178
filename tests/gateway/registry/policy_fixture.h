/* SPDX-License-Identifier: Apache-2.0 */
/* Claims that differ from a good one, and what follows. Each that breaks a rule is tried with that
 * rule enforced, reported and off. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/registry/policy.h"

#define NOTHING RULES
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

#define CDS_URL "type.googleapis.com/envoy.config.cluster.v3.Cluster"
#define GOOD_ID "sidecar~192.168.7.11~vm1.vms~vms.svc.cluster.local"

struct set {
    enum xds_node_text which;
    const char *value; /**< NULL: the end of the list */
};

struct row {
    const char *what;
    enum rule broken;
    const char *detail; /**< what the text has in it */
    struct set set[4];  /**< texts of the node */
    const char *labels;
    uint32_t n_labels;
    const char *identity; /**< NULL: ns/vms/sa/web; "": none */
    const char *peer;     /**< NULL: 192.168.7.11 */
    const struct registration_opts *opts;
    const char *url; /**< of another type */
    enum xds_type type;
    bool token; /**< the identity is a token's */
    bool no_node;
    bool odd_request;
    bool odd_node;
    bool cut;
    bool nack;
    bool no_request;
    const char *unread;
};

/** A claim that was made of a row; its parts point at each other. */
struct made {
    struct xds_node node;
    struct xds_request request;
    struct spiffe_id identity;
    struct policy_claim claim;
    struct registration_opts opts;
};

void claim_make(const struct row *row, struct made *m);

/** Is it printable ASCII, and more than a word? */
void assert_detail(const char *text);

/** The rule that is found first, looking from `from` on; NOTHING when none is broken. */
enum rule claim_find(const struct made *m, enum rule from, struct policy_verdict *v);

/** The row breaks its rule, with its detail, and no other. */
void claim_try(const struct row *row);

#define TRY_ROWS(rows)                            \
    for (size_t i = 0; i < COUNT_OF(rows); i++) { \
        claim_try(&(rows)[i]);                    \
    }
