/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of verify share. */
#pragma once

#include <sys/stat.h>

#include "bootstrap/verify.h"
#include "core/doc/doc.h"

/** One file. */
struct vfile {
    const char *what; /**< borrowed; its name in findings: the name in a bundle, or the path */
    char path[VERIFY_PATH_BYTES];
    bool there;   /**< it was read */
    bool unknown; /**< it could not be read, as a finding says: nothing is known of it */
    char *data;   /**< owned; wiped when freed; a NUL follows that does not count */
    size_t n;
    struct stat st;
};

/** Which one. */
enum vfile_id {
    V_ENV,
    V_SIDECAR,
    V_MESH,
    V_ROOT,
    V_TOKEN,
    V_HOSTS,
    V_CHAIN,
    V_KEY,
    V_COPY,
    V_TMPFILES,
    V_XDS_ROOT, /* these two are where the settings say */
    V_CA_ROOT,
    V_N
};

/** One look. Lives within verify_files(). */
struct verify {
    const struct verify_opts *o;
    struct verify_report *r;
    struct vfile files[V_N];
    json_t *env;       /**< owned; an object of strings; NULL: not readable */
    json_t *sidecar;   /**< the same of sidecar.env, which an administrator may have; NULL: none */
    json_t *mesh;      /**< owned; any document; NULL: not readable */
    bool token_good;   /**< it would be taken now */
    bool chain_good;   /**< the agent's certificate would be taken now */
    bool token_tried;  /**< there is one; a finding says what is wrong with it */
    const char *roots; /**< borrowed; the path of root-cert.pem; NULL: it is of no use */
    const char *xds_roots; /**< the same of whom the agent believes for configuration */
    const char *ca_roots;  /**< and for certificates */
};

/* ---- verify_load.c ---- */

/** Read all files; says which are missing and whose rights are wrong. RC_NO_MEMORY. */
enum rc verify_load(struct verify *v) MUST_USE;

/**
 * Read one whose place the settings say; says what is wrong with its rights.
 *
 * what     borrowed as long as v: its name in the bundle, or its path when installed.
 * Returns  RC_OK, whether it is there or not; RC_NO_MEMORY.
 */
enum rc verify_load_file(struct verify *v, enum vfile_id id, const char *what) MUST_USE;

/** Wipe and free them. */
void verify_unload(struct verify *v);

/* ---- verify_names.c: what the files say, and whether they say the same ---- */

/** A variable of cluster.env; NULL: not there. Borrowed. */
const char *verify_env(const struct verify *v, const char *key);

/** What a shell has that sourced sidecar.env and then cluster.env; "" for nothing. *source, unless
 * NULL, gets the file that says so. Borrowed. */
const char *verify_sourced(const struct verify *v, const char *key, enum vfile_id *source);

/** cluster.env and mesh.yaml. RC_NO_MEMORY. */
enum rc verify_settings(struct verify *v) MUST_USE;

/** The hosts file, and r->servers. */
void verify_hosts(struct verify *v);

/* ---- verify_secrets.c: who the VM is, and who it believes ---- */

/** Roots, token, certificate. RC_NO_MEMORY. */
enum rc verify_secrets(struct verify *v) MUST_USE;

/** Whose roots a file has. Borrowed. */
struct root_owner {
    const char *name; /* who has a new one when they end, as "the mesh" */
    const char *anew; /* what to do about a file of no use */
};

/**
 * Whether a file that is there has roots, and how long they are good.
 *
 * *usable  they can be judged by.
 * Returns  RC_OK; RC_NO_MEMORY.
 */
enum rc verify_root_file(struct verify *v, const struct vfile *f, const struct root_owner *owner,
                         bool *usable) MUST_USE;

/* ---- verify_gateway.c: a gateway with roots of its own ---- */

/** v->xds_roots and v->ca_roots; after verify_secrets(). RC_NO_MEMORY. */
enum rc verify_gateway_roots(struct verify *v) MUST_USE;

/** Is that path of roots, v->xds_roots or v->ca_roots, where the bundle's own root for the gateway
 * is? */
bool verify_is_gateway_root(const struct verify *v, const char *roots);
