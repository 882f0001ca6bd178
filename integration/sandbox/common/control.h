/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "integration/sandbox/common/loop.h"
#include "integration/sandbox/common/text.h"

/**
 * Answer one command. Called on the control thread with the loop's lock held.
 *
 * argv   borrowed; argc >= 1, argv[0] is the command.
 * reply  gets one line of JSON, without the newline.
 */
typedef void (*control_fn)(void *user, size_t argc, char *const *argv, struct text *reply);

/** A unix socket that takes one command a line and answers one line of JSON. */
struct control;

/**
 * Listen and start the thread.
 *
 * path  borrowed until control_close(); an old socket there is replaced. Mode 0600.
 * Returns  owned; NULL when the socket cannot be made (already logged).
 */
struct control *control_open(const char *path, struct loop *loop, control_fn fn, void *user);

/** End the thread and remove the socket. NULL is allowed. */
void control_close(struct control *c);

/** Answer {"ok":true}. */
void control_ok(struct text *reply);

/** Answer {"ok":false,"error":...}. */
void control_error(struct text *reply, const char *why);
