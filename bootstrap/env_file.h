/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster.env, read as the shell of istio-start.sh reads it, without running it: lines KEY=WORD,
 * where WORD is plain text, '...', "..." and \x one after the other. What a shell would compute
 * ($, `) is refused. Pure; for files that somebody may have edited.
 */
#pragma once

#include <stddef.h>

#include "bootstrap/why.h"
#include "core/doc/doc.h"

/** More assignments are refused. */
#define ENV_FILE_MAX_KEYS 1000

/**
 * Read n bytes. Of a key that is set twice the last one counts.
 *
 * out      owned by the caller, json_decref(): an object of strings.
 * Returns  RC_OK; RC_INVALID and *w says which line and why, without its content; RC_NO_MEMORY.
 */
enum rc env_file_read(const char *text, size_t n, const struct why *w, json_t **out) MUST_USE;
