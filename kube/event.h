/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of a watch: {"type": ..., "object": ...}. Pure.
 * Source: k8s.io/apimachinery pkg/watch/watch.go, pkg/apis/meta/v1/watch.go.
 */
#pragma once

#include <stddef.h>

#include "core/base/rc.h"
#include "core/doc/doc.h"
#include "kube/text.h"

/** A resource version is opaque; longer ones do not exist. */
#define KUBE_VERSION_BYTES 129

enum kube_change {
    KUBE_ADDED,
    KUBE_MODIFIED,
    KUBE_DELETED,
    KUBE_BOOKMARK, /**< nothing but another version to go on from */
    KUBE_GONE,     /**< the version to go on from is too old: list again */
    KUBE_ERROR,    /**< another error of the API server */
};

struct kube_event {
    enum kube_change change;
    char version[KUBE_VERSION_BYTES]; /**< "" for KUBE_GONE and KUBE_ERROR */
    json_t *object;                   /**< owned; NULL but for the first three */
    struct kube_error error;          /**< of KUBE_GONE and KUBE_ERROR, for people */
};

/**
 * Read a line.
 *
 * line  borrowed, n bytes.
 * out   free with kube_event_fini().
 * Returns RC_OK; RC_PEER_MALFORMED: no JSON, an unknown type, no object, no version; RC_NO_MEMORY.
 */
enum rc kube_event_read(const char *line, size_t n, struct kube_event *out) MUST_USE;

/** Free the object. */
void kube_event_fini(struct kube_event *e);

/** metadata.resourceVersion of an object or a list. out is KUBE_VERSION_BYTES. RC_OK or
 * RC_PEER_MALFORMED: there is none. */
enum rc kube_version_read(const json_t *object, char *out) MUST_USE;
