/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tap of the agent's streams: reads what passes in both directions, tells the registry, and
 * asks the rules what may pass. It never holds back a byte of a response and cannot fail a stream
 * by what istiod says; a VM's request passes, is left out, or ends the stream, as the rules have
 * it. Worker-local.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/registry/policy.h"
#include "gateway/registry/registry.h"
#include "gateway/registry/tally.h"
#include "gateway/relay/relay_index.h"

struct relay;

/** What the taps of a listener's streams work with, on one worker. All borrowed. */
struct relay_tap_env {
    struct registry *registry;
    const struct registration_opts *registration;
    const char *trust_domain; /**< of the identities of tokens */
    struct relay_index *index;
    struct tally *tally;
};

/** Of an ADS stream, inside its relay: a message that finds nothing of its VM in the CPU's caches
 * should not have to look for this, too. Begins as {0}. */
struct relay_tap {
    uint64_t number; /**< in the index; 0: no message has come */
    struct vm *vm;   /**< owned reference; NULL: its first request could not be read, and passed */
    const void *row; /**< that the last message was about: an address only */
    struct tally *tally;            /**< borrowed: the route's, without the way to it */
    struct config_store *configs;   /**< borrowed: the registry's, likewise */
    struct xds_response_scan *scan; /**< owned; NULL but in the middle of a response */
    struct config_intake *intake; /**< owned; NULL but while a response passes that is to be kept */
    uint32_t asked; /**< one bit for each type that the stream has asked for and not left */
};

/** What becomes of a VM's message. */
enum relay_tap_fate {
    RELAY_TAP_PASS,
    RELAY_TAP_DROP, /**< it does not go up; the stream goes on */
    RELAY_TAP_OVER, /**< the relay was ended */
};

/** A message of the VM is complete: what r->open_message holds, and these n bytes. */
enum relay_tap_fate relay_tap_message(struct relay *r, const uint8_t *data, size_t n);

/** The first bytes of istiod's first message have come: it believes who asks. Before they are
 * passed on. */
void relay_tap_admitted(struct relay *r);

/** n bytes of istiod pass. */
void relay_tap_response(struct relay *r, const uint8_t *data, size_t n);

/** The relay is over: let go of everything. */
void relay_tap_end(struct relay *r);
