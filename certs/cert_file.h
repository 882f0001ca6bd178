/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PEM file with certificates, a private key, or both, to be looked at: who is it for, until when,
 * which key fits, who believes it. What it says is read even when nobody would accept it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/cert_bytes.h"
#include "certs/cert_set.h"
#include "core/base/rc.h"

/** Longer names are cut. */
#define CERT_SUBJECT_BYTES 512

struct cert_file;

/**
 * Read a file that has at least one certificate or private key.
 *
 * out      owned by the caller: cert_file_free().
 * Returns  RC_OK; RC_INVALID with err->text filled; RC_NO_MEMORY.
 */
enum rc cert_file_load(const char *path, struct cert_file **out, struct cert_error *err) MUST_USE;

/** The same for a text in memory; pem is borrowed during the call. */
enum rc cert_file_parse(const struct cert_bytes *pem, struct cert_file **out,
                        struct cert_error *err) MUST_USE;

/** Free it and null the pointer; NULL is allowed. */
void cert_file_free(struct cert_file **f);

/** How many certificates it has. */
size_t cert_file_count(const struct cert_file *f);

enum cert_file_key {
    CERT_FILE_NO_KEY,
    CERT_FILE_KEY,
    CERT_FILE_ENCRYPTED_KEY,
    CERT_FILE_UNREADABLE_KEY, /**< of a kind that is not known here, or damaged */
};

/** Has it a private key? */
enum cert_file_key cert_file_key(const struct cert_file *f);

/** Has it only certificates of authorities, one or more, so that it is a file of roots? */
bool cert_file_is_roots(const struct cert_file *f);

/** What one certificate says. Texts are printable ASCII; what is not is written as \xNN. */
struct cert_info {
    char subject[CERT_SUBJECT_BYTES]; /**< as in RFC 2253; may be empty */
    char issuer[CERT_SUBJECT_BYTES];
    char **names; /**< owned, n_names of them: DNS names, addresses, URIs */
    size_t n_names;
    char serial[48];  /**< hexadecimal digits */
    char key[32];     /**< "EC P-256", "RSA 2048" */
    char sha256[65];  /**< of the whole certificate; hexadecimal digits */
    int64_t from;     /**< seconds since 1970 */
    int64_t to;       /**< seconds since 1970 */
    bool authority;   /**< by its basic constraints */
    bool self_signed; /**< a root, usually */
    bool for_servers; /**< by its extended key usage; one without it is for all */
    bool for_clients;
};

/**
 * Read certificate i, 0 .. cert_file_count() - 1.
 *
 * out      fill; cert_info_fini().
 * Returns  RC_OK; RC_INVALID: its dates or its names are malformed; RC_NO_MEMORY.
 */
enum rc cert_file_info(const struct cert_file *f, size_t i, struct cert_info *out) MUST_USE;

/** Free the names. */
void cert_info_fini(struct cert_info *info);

/** Is the key of `key` that of certificate i of f? false when it has none, or an encrypted one. */
bool cert_file_fits(const struct cert_file *key, const struct cert_file *f, size_t i);

/**
 * Do the roots vouch for certificate i, as it is or through the others of its file? Dates do not
 * matter here.
 *
 * anchor      gets the subject of the root, of CERT_SUBJECT_BYTES.
 * why, size   get the reason of a refusal.
 * Returns     RC_OK; RC_PEER_DENIED with why filled; RC_NO_MEMORY.
 */
enum rc cert_file_verify(const struct cert_file *f, size_t i, const struct cert_file *roots,
                         char *anchor, char *why, size_t size) MUST_USE;

/**
 * All certificates of a, then those of b that a has not, as PEM.
 *
 * out      fill; cert_bytes_fini(). Untouched when there is nothing to add.
 * added    gets how many of b were added.
 * Returns  RC_OK; RC_NO_MEMORY.
 */
enum rc cert_file_join(const struct cert_file *a, const struct cert_file *b, struct cert_bytes *out,
                       size_t *added) MUST_USE;
