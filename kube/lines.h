/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of bytes cut into lines, as a watch of Kubernetes is one: one JSON object a line. Pure;
 * bytes come in any pieces; a line is bounded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

/** A whole line without its end, not zero-terminated, borrowed during the call. false: no more. */
typedef bool kube_line_fn(void *arg, const char *line, size_t n);

struct kube_lines {
    uint32_t magic;
    char *buf;   /**< owned; the beginning of a line whose end has not come */
    size_t n;    /**< bytes in buf */
    size_t size; /**< room in buf */
    size_t max;  /**< the longest line, in bytes */
};

/** Begin. max_bytes is the longest line without its end, at least 1. Allocates nothing. */
void kube_lines_init(struct kube_lines *l, size_t max_bytes);

/** Forget what has come and free it. */
void kube_lines_fini(struct kube_lines *l);

/**
 * Take n bytes; on_line is called for each line that is complete with them, in order. Empty lines
 * are left out, "\r" before the end belongs to the end.
 *
 * on_line, arg  may not touch l.
 * Returns RC_OK; RC_PEER_LIMIT: a line is longer than max; RC_EOF: on_line said no more;
 * RC_NO_MEMORY. After an error l takes no more: kube_lines_fini().
 */
enum rc kube_lines_feed(struct kube_lines *l, const char *bytes, size_t n, kube_line_fn *on_line,
                        void *arg) MUST_USE;
