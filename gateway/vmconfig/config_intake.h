/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One response of istiod, taken apart while it passes: each resource becomes a block of the store
 * when it is complete, so of the response no more is held than its largest resource. Worker-local.
 *
 * Nothing that is wrong with a response is an error here: then it is not kept. A secret is told by
 * the type URL in its Any, which comes before the value: from there on nothing more of the response
 * is looked at, and what was held is wiped.
 */
#pragma once

#include "gateway/vmconfig/config_push.h"
#include "gateway/vmconfig/config_store.h"
#include "xds/xds_response.h"

/** Of a resource's name: a longer one makes the response unreadable. */
#define CONFIG_NAME_BYTES 1024

struct config_intake;

/** What a response was. */
enum config_taken {
    CONFIG_TAKEN,    /**< it is in *push */
    CONFIG_NOT_OURS, /**< of its type nothing is kept */
    CONFIG_LOST,     /**< it is not kept: *why */
};

/** A message of n bytes begins. NULL: no memory. */
struct config_intake *config_intake_new(struct config_store *s, enum xds_variant variant,
                                        uint32_t n);

/** n bytes of it pass. */
void config_intake_feed(struct config_intake *i, const uint8_t *data, size_t n);

/**
 * It is complete; r says what it was. Frees i and nulls the pointer.
 *
 * push  with CONFIG_TAKEN: owned by the caller.
 * why   with CONFIG_LOST.
 */
enum config_taken config_intake_end(struct config_intake **i, const struct xds_response *r,
                                    struct config_push **push, enum config_loss *why);

/** It will not be complete, or cannot be read. Nulls the pointer; NULL is allowed. */
void config_intake_free(struct config_intake **i);
