/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the cluster is and who we are in it: from a kubeconfig, or from what Kubernetes puts into a
 * pod. One thread at a time; given to a client by kube_new().
 *
 * Everything of a kubeconfig that is not done here is refused with what to do instead, so that
 * nobody talks to another cluster, or as another user, than kubectl would: plug-ins (exec and
 * auth-provider), passwords, impersonation, several files in $KUBECONFIG. A server whose
 * certificate is not verified is never talked to.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "kube/text.h"

/** Where a pod finds its service account. */
#define KUBE_POD_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"

/** A larger kubeconfig is refused. */
#define KUBE_CONFIG_MAX_BYTES (1024 * 1024)

struct kube_access;

/** Wipe and free it. NULL inside is fine. */
void kube_access_free(struct kube_access **pa);

/**
 * From a kubeconfig file. Relative names of files in it are relative to its folder.
 *
 * path     borrowed.
 * context  borrowed; NULL: its current-context.
 * Returns RC_OK; RC_NOT_FOUND: no such file; RC_INVALID: what is wrong, with file, key and cure in
 * err; RC_NO_MEMORY; or what the system says about a file.
 * Source  k8s.io/client-go tools/clientcmd: client_config.go (getUserIdentificationPartialConfig),
 * loader.go (ResolveLocalPaths).
 */
enum rc kube_access_from_file(const char *path, const char *context, struct kube_error *err,
                              struct kube_access **out) MUST_USE;

/** The same from whatever is there, also a pipe, whose writer is waited for. For commands. */
enum rc kube_access_from_any_file(const char *path, const char *context, struct kube_error *err,
                                  struct kube_access **out) MUST_USE;

/**
 * The same from n bytes of text, for tests and pipes.
 *
 * path  borrowed; the file's name, for errors and for its folder.
 */
enum rc kube_access_from_text(const char *path, const char *text, size_t n, const char *context,
                              struct kube_error *err, struct kube_access **out) MUST_USE;

/**
 * As a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, and the files token, ca.crt and
 * namespace in a folder, which are read again when they change.
 *
 * folder  borrowed; KUBE_POD_FOLDER but in tests.
 * Returns as kube_access_from_file(); RC_NOT_FOUND when the variables are not set.
 * Source  k8s.io/client-go rest/config.go (InClusterConfig).
 */
enum rc kube_access_in_pod(const char *folder, struct kube_error *err,
                           struct kube_access **out) MUST_USE;

/**
 * As a command line tool: the file named, else $KUBECONFIG, else ~/.kube/config if there is one,
 * else as a pod.
 *
 * path, context  borrowed; may be NULL. With a context a pod is no choice.
 * Returns as the others; RC_NOT_FOUND when there is nothing of all this.
 */
enum rc kube_access_find(const char *path, const char *context, struct kube_error *err,
                         struct kube_access **out) MUST_USE;

/** "https://10.0.0.1:6443": the server, for people. Borrowed. */
const char *kube_access_server(const struct kube_access *a);

/** The namespace to use when none is named; "default" when the source names none. Borrowed. */
const char *kube_access_namespace(const struct kube_access *a);

/** Where it is from, for people: "/x/config: contexts[dev]". Borrowed. */
const char *kube_access_origin(const struct kube_access *a);

/**
 * Read again what has changed in files.
 *
 * Returns RC_OK; else the error of the first file that could not be read: what was read before
 * stays in use, and the others are read all the same.
 * Effects  kube_access_generation() is another number when something is new.
 */
enum rc kube_access_refresh(struct kube_access *a, struct kube_error *err) MUST_USE;

/** Changes with every credential that was read anew. */
uint64_t kube_access_generation(const struct kube_access *a);
