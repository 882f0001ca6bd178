/* SPDX-License-Identifier: Apache-2.0 */
/* What a response of istiod brings, as it is kept until the VM says whether it takes it. */
#pragma once

#include "gateway/vmconfig/config_store.h"
#include "xds/xds_request.h"

/** Types of which the configuration is kept. */
#define CONFIG_TYPES 6

/** A type's number among those that are kept; CONFIG_TYPES: it is not, because it is secret or no
 * configuration of an Envoy. */
unsigned config_type_index(enum xds_type type);

/** The type of such a number. */
enum xds_type config_type_at(unsigned index);

/** One response. Its memory is taken of the budget. */
struct config_push {
    struct config_store *store;  /**< borrowed */
    struct config_blob *version; /**< owned reference */
    struct config_pair *pairs;   /**< owned, with their references: a resource and its version; one
                                    whose value is not known is removed. By name, each once */
    size_t n;
    size_t room;
    enum xds_type type;
    char nonce[XDS_NONCE_BYTES];
};

/** An empty one. NULL: no memory. */
struct config_push *config_push_new(struct config_store *s);

/** Free and null the pointer; NULL is allowed. */
void config_push_free(struct config_push **p);

/** Add a pair; takes its references, also with an error. RC_OK; RC_FULL; RC_NO_MEMORY. */
enum rc config_push_add(struct config_push *p, struct config_pair pair) MUST_USE;

/** All are there: bring them in order. False: a name is there twice. */
bool config_push_sort(struct config_push *p);
