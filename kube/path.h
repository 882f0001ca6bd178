/* SPDX-License-Identifier: Apache-2.0 */
/* The paths of the Kubernetes API. Names are checked before they enter one. Pure. */
#pragma once

#include <stddef.h>

#include "core/base/rc.h"

/** Room for every path made here and its zero. */
#define KUBE_PATH_BYTES 1536

/** The kinds of objects: kind.def. */
enum kube_kind {
#define KUBE_KIND(name, group, versions, plural, in_namespace) KUBE_##name,
#include "kube/kind.def"
#undef KUBE_KIND
};

/** How many versions a kind has, at least 1. An API server may know an older one only. */
size_t kube_kind_versions(enum kube_kind kind);

/** "workloadgroups", for people. */
const char *kube_kind_plural(enum kube_kind kind);

/** The API group, "" for the core's. */
const char *kube_kind_group(enum kube_kind kind);

/**
 * The path of an object or of a list of objects.
 *
 * version  0 is the best one; below kube_kind_versions().
 * ns       NULL for kinds without namespace, and for a list over all namespaces.
 * name     NULL: the list.
 * out      KUBE_PATH_BYTES.
 * Returns RC_OK, or RC_INVALID: no such name or namespace can exist.
 */
enum rc kube_path_make(enum kube_kind kind, size_t version, const char *ns, const char *name,
                       char *out) MUST_USE;

/**
 * Append a subresource, "/token".
 *
 * path  KUBE_PATH_BYTES, made by kube_path_make() with a name.
 * Returns RC_OK, or RC_FULL.
 */
enum rc kube_path_sub(char *path, const char *sub) MUST_USE;

/**
 * Append "?key=value", or "&key=value" behind another one; the value may hold anything, and is
 * percent-encoded.
 *
 * path  KUBE_PATH_BYTES.
 * Returns RC_OK, or RC_FULL: then the path is as it was.
 */
enum rc kube_path_query(char *path, const char *key, const char *value) MUST_USE;
