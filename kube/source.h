/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One credential: a token, a certificate or a key, that was given as a text or as a file. A file is
 * read again when it has changed, because Kubernetes renews tokens and certificates in place.
 * One thread at a time; the content is wiped before it is freed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "kube/text.h"

/** Tokens of Kubernetes are 1 to 2 KB; some identity providers' are larger. */
#define KUBE_TOKEN_MAX_BYTES 16384

/** A file with authorities may hold many. */
#define KUBE_PEM_MAX_BYTES (1024 * 1024)

enum kube_source_kind { KUBE_SOURCE_TOKEN, KUBE_SOURCE_CERTIFICATE, KUBE_SOURCE_KEY };

struct kube_source {
    uint32_t magic;
    enum kube_source_kind kind;
    char *key;      /**< owned; what the kubeconfig calls it, for errors; "" before it is set */
    char *file;     /**< owned; NULL when there is no file */
    uint64_t stamp; /**< of the file when it was read */
    char *data;     /**< owned; zero-terminated; NULL when there is none */
    size_t n;       /**< its length */
};

/** May these n bytes be a token? Visible ASCII, at most KUBE_TOKEN_MAX_BYTES: it goes into a
 * header. */
bool kube_token_is_valid(const char *text, size_t n);

/** An empty one. */
void kube_source_init(struct kube_source *s, enum kube_source_kind kind);

/** Wipe and free what it holds. */
void kube_source_fini(struct kube_source *s);

/**
 * It is this text.
 *
 * key   what it is called in errors, such as "users[web].token"; copied.
 * text  borrowed; n bytes and a zero, copied. Blanks around a token are left out.
 * Returns RC_OK, RC_INVALID: no token or no PEM, with a text in err; RC_NO_MEMORY.
 */
enum rc kube_source_set(struct kube_source *s, const char *key, const char *text, size_t n,
                        struct kube_error *err) MUST_USE;

/**
 * It is what this file holds now, and later on.
 *
 * key, file  copied.
 * Returns as kube_source_set(), or what the system says about the file.
 */
enum rc kube_source_set_file(struct kube_source *s, const char *key, const char *file,
                             struct kube_error *err) MUST_USE;

/**
 * Read the file again if it is another one than before; on failure what was read before stays.
 *
 * *changed  set to true when the content is another one; never to false.
 * Returns RC_OK also without a file; else as kube_source_set_file().
 */
enum rc kube_source_refresh(struct kube_source *s, bool *changed, struct kube_error *err) MUST_USE;

/**
 * A whole regular file, of at most max bytes. Waits for nobody.
 *
 * out  owned; zero-terminated; wipe it when it is secret.
 * Returns RC_OK, RC_NOT_FOUND, RC_FULL: it is larger, RC_INVALID: it is no regular file,
 * RC_NO_MEMORY, or what the system says; with a text in err that names the file.
 */
enum rc kube_file_read(const char *path, size_t max, struct kube_error *err, char **out,
                       size_t *n_out) MUST_USE;

/** The same of whatever is there, also a pipe, whose writer is waited for: for what is named on a
 * command line. */
enum rc kube_file_read_waiting(const char *path, size_t max, struct kube_error *err, char **out,
                               size_t *n_out) MUST_USE;
