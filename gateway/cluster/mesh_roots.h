/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roots that the mesh publishes: ConfigMap istio-ca-root-cert of istiod's namespace is watched,
 * because both roots stand in it while the mesh's root changes.
 *
 * What was known stays while Kubernetes cannot be asked, and while what stands there cannot be
 * read; when the ConfigMap is gone, nothing is published. The cluster's thread drives it by
 * mesh_roots_turn(); mesh_roots_set(), _take(), _await() and _is_current() are for any thread. Says
 * in the log when it stops working, and when it works again, once each.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "certs/root_list.h"
#include "core/base/rc.h"
#include "core/doc/doc.h"
#include "kube/kube.h"

/** What istiod writes into every namespace (istio pilot/pkg/serviceregistry/kube/controller/
 * namespacecontroller.go), and its key. */
#define MESH_ROOTS_NAME "istio-ca-root-cert"
#define MESH_ROOTS_KEY "root-cert.pem"

/** Why they are not known, for people. */
#define MESH_ROOTS_WHY_BYTES 320

struct mesh_roots;

/** Called on the cluster's thread when the watch works or does not: does the API server hear us? */
typedef void mesh_roots_heard_fn(void *arg, bool heard);

/** heard: with arg. out: owned. RC_NO_MEMORY. */
enum rc mesh_roots_new(mesh_roots_heard_fn *heard, void *arg, struct mesh_roots **out) MUST_USE;

/** Free and null the pointer; NULL is allowed. The thread has ended. */
void mesh_roots_free(struct mesh_roots **m);

/** Watch the ConfigMap of this namespace from now on; copied; NULL: none. RC_NO_MEMORY: nothing
 * changes. */
enum rc mesh_roots_set(struct mesh_roots *m, const char *ns) MUST_USE;

/** What is published: an owned reference; the same list until it changes. NULL: not known. */
struct root_list *mesh_roots_take(struct mesh_roots *m);

/** Are changes told now? *wanted: is there a namespace at all? */
bool mesh_roots_is_current(struct mesh_roots *m, bool *wanted);

/** Wait until Kubernetes has said what is published, or that it does not say it to us. false: it
 * has not after so many seconds; why, of MESH_ROOTS_WHY_BYTES. */
bool mesh_roots_await(struct mesh_roots *m, double seconds, char *why);

/**
 * Take up what mesh_roots_set() wants, begin the watch if it is missing.
 *
 * k  borrowed until mesh_roots_forget_client(); NULL: there is none.
 * Returns the seconds until there is something to do again.
 */
double mesh_roots_turn(struct mesh_roots *m, struct kube *k, double now);

/** The client is gone, or about to be. What is known stays. */
void mesh_roots_forget_client(struct mesh_roots *m);

/** The next client is of another cluster: nothing is known any more. */
void mesh_roots_forget_cluster(struct mesh_roots *m);

/**
 * The roots in a ConfigMap.
 *
 * map      NULL: there is none, so no roots are published.
 * why      of MESH_ROOTS_WHY_BYTES; with RC_INVALID what is wrong.
 * Returns  RC_OK; RC_INVALID: no such key, or no certificates in it; RC_NO_MEMORY.
 */
enum rc mesh_roots_read(const json_t *map, struct root_list **out, char *why) MUST_USE;
