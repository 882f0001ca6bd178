/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of config_load(), in their order: keys (each value by itself), rules (values against
 * each other), files (what the file names). Every step reports all it finds and skips what an
 * earlier step called bad.
 */
#pragma once

#include "gateway/config/config.h"
#include "gateway/config/report.h"
#include "gateway/config/schema.h"
#include "gateway/config/tree.h"

/** No list of the file is longer than this; many are shorter. */
#define CONFIG_MAX_ITEMS 1024

/** The largest file that is read: the configuration itself and each PEM file. */
#define CONFIG_MAX_FILE_BYTES (1024 * 1024)

/** Fill c from the tree, with defaults where keys are absent. */
void keys_read(struct report *r, struct node *root, struct config *c);

/** The maps of keys_listener.c and keys_upstream.c: an element of `listeners` and of `upstreams`.
 */
extern const struct schema_map keys_listener;
extern const struct schema_map keys_upstream;

/** The maps of keys_registration.c: `registration` of a listener, its base struct
 * registration_opts; `registry` at the top, its base struct config_registry. */
extern const struct schema_map keys_registration;
extern const struct schema_map keys_registry;

/** Defaults of a zeroed struct. */
void keys_init_registry(struct config_registry *registry);

/** Free what the reading made. */
void keys_fini_registration(struct registration_opts *opts);

/** Defaults of a zeroed element. */
void keys_init_listener(void *listener);
void keys_init_upstream(void *upstream);

/** Defaults that need memory, after reading: lists of a terminating route, audiences of an
 * upstream. */
void keys_finish_route(struct report *r, struct config_route *route);
void keys_finish_upstream(struct report *r, struct config_upstream *upstream);

/** Where an upstream's endpoints are found (keys_discovery.c): struct upstream_discovery. */
schema_reader keys_read_discovery;

/** Its defaults, after reading. */
void keys_finish_discovery(struct report *r, struct upstream_discovery *d);

/** Readers and checks that several maps use. */
schema_reader keys_read_bind; /**< struct addr from IP:PORT */
schema_reader keys_read_flag; /**< bool from two words (more: struct schema_word) */
schema_reader keys_read_net;  /**< struct addr_net, an element of a list */
const char *keys_check_name(char *text);
const char *keys_check_namespace(char *text);
const char *keys_check_path(char *text);
const char *keys_check_trust_domain(char *text);
const char *keys_check_vm_identity(char *text);

/** Rules between values: names, modes, routes that never match, addresses. Resolves
 * config_route.upstream. */
void rules_check(struct report *r, const struct node *root, struct config *c);

/** Rules on `registration` of a listener, and on `registry` (rules_registration.c). */
void rules_check_registration(struct report *r, const struct node *root, const struct config *c);

/** Rules on source_address (rules_source.c). Sets upstream_opts.sources_must_hold. */
void rules_check_sources(struct report *r, const struct node *root, struct config *c);

/** Load certificates and roots into c, and list the files read in c->files. */
void files_load(struct report *r, const struct node *root, struct config *c);

/** Read a whole regular file of at most CONFIG_MAX_FILE_BYTES.
 *
 * out  owned by the caller. why: a text for people, on failure (what: static or from strerror).
 * Returns RC_OK; RC_INVALID with *why; RC_NO_MEMORY. */
enum rc files_read(const char *path, char **out, size_t *n, const char **why) MUST_USE;

/** A file is about to be read: onto the list of the config, with its stamp. */
void files_note(struct report *r, struct config *c, const char *path);
