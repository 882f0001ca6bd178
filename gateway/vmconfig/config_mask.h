/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets that istiod puts into resources that are none: made unreadable before they are kept.
 * Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * Overwrite with '*', so that the message stays as long as it is:
 *
 * - what follows "PRIVATE KEY-----", up to the next "-----END" or the end of the value;
 * - the value of the variable ISTIO_META_WASM_IMAGE_PULL_SECRET: the password of a registry, which
 *   istiod writes into the environment of a Wasm filter for the agent
 * (pilot/pkg/model/extensions.go of Istio), and which its own debug pages leave out, too. If that
 * entry is written as nobody writes it, all of the value.
 */
void config_mask(uint8_t *value, size_t n);
