/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of a VM as JSON: docs/api.md says what each key means. Resources become JSON by
 * what is known of Envoy's types (xds/pb_json.h), in the shape of Envoy's own /config_dump, which
 * `istioctl proxy-config --file` reads. For no worker: a large configuration takes a while.
 */
#pragma once

#include <stddef.h>

#include "gateway/registry/registry_config.h"

/** No body is larger. */
#define CONFIG_JSON_MAX_BYTES (128U * 1024 * 1024)

/**
 * The body of GET /api/v1/vms/NAME/config.
 *
 * out, n  owned by the caller, free(); a NUL follows.
 * Returns RC_OK; RC_FULL: it would be larger than CONFIG_JSON_MAX_BYTES; RC_NO_MEMORY.
 */
enum rc config_json_dump(const struct registry_config *c, char **out, size_t *n) MUST_USE;

/** The body of GET /api/v1/vms/NAME/config/changes: the last change of each type, the newest first.
 * As above. */
enum rc config_json_changes(const struct registry_config *c, char **out, size_t *n) MUST_USE;
