/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VM may claim and ask for: the rules that need no memory of other VMs (rule.def; those that
 * do are in registry.h). Pure: claim and options in, verdict out.
 *
 * istiod believes what the first request of a stream says, so the rules look at it as istiod would
 * (pilot/pkg/model/context.go and pilot/pkg/autoregistration/controller.go of Istio), and where it
 * could be understood in two ways, at both.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "certs/spiffe.h"
#include "core/net/addr.h"
#include "gateway/registry/rule.h"
#include "xds/xds_request.h"

/** What happens when a rule is broken. */
enum policy_action {
    POLICY_ENFORCE, /**< it is refused */
    POLICY_REPORT,  /**< it passes, and is counted and shown */
    POLICY_OFF,     /**< nobody looks */
};

/** A label that may be claimed with some values only. */
struct policy_label {
    char *key;     /**< owned */
    char **values; /**< owned, NULL-terminated, 1 or more */
};

/** What identities of one pattern may claim. */
struct policy_allow {
    char *identity;  /**< owned: "ns/NS/sa/SA", * for a whole part (certs/spiffe.h) */
    char **groups;   /**< owned, NULL-terminated: WorkloadGroups; NULL: any */
    char **entries;  /**< owned, NULL-terminated: WorkloadEntries that it may name; NULL: any, or
                        none when groups are given */
    char **networks; /**< owned, NULL-terminated, "" is no network; NULL: any */
    struct policy_label *labels; /**< owned; all others are free */
    size_t n_labels;
};

/** `registration:` of a listener. Zeroed it is the default. Owned by the config snapshot. */
struct registration_opts {
    enum policy_action actions[RULES_OF_POLICY];
    struct addr_net *address_networks; /**< owned */
    size_t n_address_networks;
    struct policy_allow *allow; /**< owned; the first that matches decides */
    size_t n_allow;             /**< 0: every identity may claim any group, network and label */
    char **extra_types;         /**< owned, NULL-terminated: whole type URLs; NULL: none */
};

/** The entry of allow that decides for an identity. Borrowed; NULL: none does. id: NULL: nobody. */
const struct policy_allow *policy_allow_of(const struct registration_opts *o,
                                           const struct spiffe_id *id);

/** Who asks. All is borrowed during the call. */
struct policy_claim {
    const struct spiffe_id *identity;  /**< of its certificate; else of its token, which istiod has
                                          not verified yet; NULL: it has neither */
    bool verified;                     /**< of the certificate */
    struct addr peer;                  /**< where it comes from */
    const struct xds_request *request; /**< NULL: it cannot be read */
    const char *unread;                /**< then: why, for people: "it is compressed" */
};

/** What follows from a broken rule. */
enum policy_fate {
    POLICY_PASS, /**< nothing: it is only reported */
    POLICY_DROP, /**< the request is not relayed; the stream goes on */
    POLICY_END,  /**< the stream is refused, or ended */
};

/** Room for the longest detail. */
#define POLICY_DETAIL_BYTES 512

struct policy_verdict {
    enum rule rule;
    enum policy_fate fate;
    char detail[POLICY_DETAIL_BYTES]; /**< for people: what it claimed, what is allowed, what to do.
                                         Printable ASCII; what the VM said in it is cut and escaped
                                         and stands in quotes */
};

/**
 * Look at the first request of a stream.
 *
 * from  the first rule to look at. Begin with 0; as long as the fate is POLICY_PASS, go on with the
 *       rule after the one that was found.
 * out   filled when a rule is broken.
 * Returns whether a rule from there on is broken. Rules that are off are passed over, and
 * RULE_DUPLICATE, which needs the registry. A request that cannot be read breaks RULE_READABLE and
 * no other, so with that one off it passes.
 */
bool policy_judge_first(const struct registration_opts *opts, const struct policy_claim *claim,
                        enum rule from, struct policy_verdict *out);

/**
 * Look at a later request: RULE_READABLE ends the stream, RULE_TYPE and RULE_NACK drop the request.
 *
 * request  borrowed; NULL: it cannot be read, unread says why.
 * asked    istiod has the VM on its list for this type: it was asked for on this stream, and not
 *          taken back. Means nothing when the request rejects nothing.
 * from, out, Returns  as above.
 */
bool policy_judge_later(const struct registration_opts *opts, const struct xds_request *request,
                        const char *unread, bool asked, enum rule from, struct policy_verdict *out);
