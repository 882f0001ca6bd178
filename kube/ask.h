/* SPDX-License-Identifier: Apache-2.0 */
/* Questions of command lines: each waits for its answer, and its error names what was asked. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kube/kube.h"
#include "kube/objects.h"
#include "kube/path.h"

/**
 * Get an object, or a list of objects. Older versions of the API are tried when the server does not
 * know the newest.
 *
 * ns        NULL for kinds without namespace, and for a list over all.
 * name      NULL: a list.
 * selector  of labels, "a=b"; NULL: all. Only with a list.
 * out       free with kube_reply_fini(), whatever the outcome.
 * Returns its outcome, too; KUBE_INVALID: no object can have such a name.
 */
enum kube_outcome kube_ask_get(struct kube *k, enum kube_kind kind, const char *ns,
                               const char *name, const char *selector, struct kube_reply *out);

/** Objects that kube_ask_list() asks for at once: a page stays far below what is read at all. */
#define KUBE_PAGE_ITEMS 250

/**
 * A list, page by page, until it is whole or has max objects.
 *
 * ns       as kube_ask_get().
 * out      free with kube_reply_fini(). With KUBE_OK its body has all `items`, and says
 *          `metadata.continue` when there are more.
 * Returns its outcome, too; of the first page that failed.
 */
enum kube_outcome kube_ask_list(struct kube *k, enum kube_kind kind, const char *ns, size_t max,
                                struct kube_reply *out);

/** Did a list end there, and has it at most max objects? */
bool kube_list_is_whole(const json_t *list, size_t max);

/**
 * A token for a service account.
 *
 * audiences  NULL-terminated, at least one.
 * expires_s  KUBE_TOKEN_MIN_S to KUBE_TOKEN_MAX_S.
 * out        with KUBE_OK: free with kube_token_fini().
 * err        otherwise: one line for people.
 * Returns KUBE_INVALID: no such account, audience or lifetime can exist; else as a call.
 */
enum kube_outcome kube_ask_token(struct kube *k, const char *ns, const char *account,
                                 const char *const *audiences, int64_t expires_s,
                                 struct kube_token *out, struct kube_error *err);

/**
 * May we do this?
 *
 * allowed  set with KUBE_OK.
 * err      otherwise: one line for people.
 */
enum kube_outcome kube_ask_right(struct kube *k, const struct kube_right *right, bool *allowed,
                                 struct kube_error *err);
