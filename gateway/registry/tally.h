/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What passed on ADS streams, counted by type: one tally for each worker, which alone writes it;
 * any thread reads (core/base/counter.h).
 */
#pragma once

#include <stdint.h>

#include "core/base/end_reason.h"
#include "core/base/histogram.h"
#include "gateway/registry/policy.h"
#include "xds/xds_type.h"

/** From a response to its ACK or NACK, in milliseconds. */
extern const struct histogram_scale tally_ack_scale;

/** Types that are counted: those of the table, health, and all others together. */
#define TALLY_TYPES (XDS_OTHER + 1)

struct tally_type {
    uint64_t requests;
    uint64_t request_bytes;
    uint64_t responses;
    uint64_t response_bytes;
    uint64_t acks;
    uint64_t nacks;
    struct histogram push_to_ack; /**< by tally_ack_scale */
};

struct tally {
    struct tally_type types[TALLY_TYPES];
    uint64_t refused[RULES];  /**< streams that were refused or ended by a rule */
    uint64_t dropped[RULES];  /**< requests that were left out by a rule */
    uint64_t reported[RULES]; /**< what broke a rule that only reports */
    uint64_t unread_up;       /**< messages that could not be read */
    uint64_t unread_down;
    uint64_t certificates;          /**< that were issued */
    uint64_t reconnects[END_COUNT]; /**< VMs that came back, by how their last stream had ended */
};

/** Add what a worker has counted to a sum of the reader's. */
void tally_sum(struct tally *sum, const struct tally *worker);
