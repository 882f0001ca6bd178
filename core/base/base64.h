/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 as Kubernetes writes it into secrets and kubeconfigs (RFC 4648 4). Pure. */
#pragma once

#include <stddef.h>

#include "core/base/rc.h"

/** Room for what n characters decode to, and a zero. */
#define BASE64_DECODED_BYTES(n) ((n) / 4 * 3 + 4)

/**
 * Decode n characters of the standard alphabet with padding. Line ends and blanks are skipped, as
 * they are by kubectl; anything else is an error.
 *
 * text   borrowed; need not end with a zero.
 * out    at least BASE64_DECODED_BYTES(n) bytes; a zero is put behind the result. On failure it may
 *        hold a part of the result: wipe it when that is secret.
 * n_out  the number of bytes without that zero.
 * Returns RC_OK or RC_INVALID.
 */
enum rc base64_decode(const char *text, size_t n, char *out, size_t *n_out) MUST_USE;
