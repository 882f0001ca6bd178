/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of one kind, now and as they change: a list, then a watch from where the list ends, for
 * ever. A watch that ends, is cut or goes stale is begun again where it was; when the API server
 * does not know that place any more (410), or what came makes no sense, there is a new list.
 *
 * On the client's thread; callbacks come out of kube_turn(). Never logs: on_state is called when
 * it stops working and when it works again, once each. Only for want of memory it ends by itself.
 * Source: kubernetes.io/docs/reference/using-api/api-concepts (efficient detection of changes).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kube/event.h"
#include "kube/kube.h"

struct kube_watch;

/** A longer line ends the watch. */
#define KUBE_WATCH_LINE_MAX_BYTES (1024 * 1024)

/** One watch, before the server ends it; with bookmarks each minute. */
#define KUBE_WATCH_TIMEOUT_S 300

/** A server that has not ended it that much later is gone. */
#define KUBE_WATCH_SLACK_MS 30000

/** All may close the watch. */
struct kube_watch_ops {
    /** All there is: an array, borrowed. What was there before and is not in it, is gone. */
    void (*on_list)(void *arg, const json_t *items);
    /** One object, borrowed; KUBE_ADDED, KUBE_MODIFIED or KUBE_DELETED. */
    void (*on_change)(void *arg, enum kube_change change, const json_t *object);
    /** It works, after the first list and after a failure; or it does not, and why (borrowed, one
     * line for people), with the HTTP status, 0 when no answer has come. Never twice the same in a
     * row. What was seen stays true as far as anybody knows. */
    void (*on_state)(void *arg, bool ok, int status, const char *why);
    /** It could not be begun again: the last callback. To be closed, and opened anew later. */
    void (*on_end)(void *arg);
};

struct kube_watch_opts {
    const char *path;                 /**< of the list, with its selectors; copied */
    const struct kube_watch_ops *ops; /**< static */
    void *arg;
    uint32_t timeout_s;             /**< 0: KUBE_WATCH_TIMEOUT_S */
    uint32_t slack_ms;              /**< 0: KUBE_WATCH_SLACK_MS */
    struct kube_retry_policy pause; /**< first_s and max_s; zeros: the defaults */
};

/**
 * Begin; nothing is called back from here.
 *
 * Returns RC_OK, RC_INVALID: the path is too long or none; RC_NO_MEMORY.
 */
enum rc kube_watch_open(struct kube *k, const struct kube_watch_opts *opts,
                        struct kube_watch **out) MUST_USE;

/** End: no callback comes any more. Also from its callbacks, and after kube_free(). NULL is fine.
 */
void kube_watch_close(struct kube_watch **pw);
