/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is everything there that a VM needs to be a member of its mesh, and will it still be there
 * tomorrow? Looks at files only: those of a bundle in a folder, or those that are installed. What
 * needs the network is in gateway/doctor.
 *
 * Every finding is one sentence about one thing, and what to do about it. None holds a part of the
 * token or of a key.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/rc.h"

enum verify_level {
    VERIFY_GOOD, /**< said for completeness */
    VERIFY_WARN, /**< works now, or works for most */
    VERIFY_BAD,  /**< does not work */
};

struct verify_finding {
    enum verify_level level;
    char *what; /**< owned; a file, such as "cluster.env" or "/etc/hosts", or "agent" */
    char *text; /**< owned; one sentence without a full stop */
    char *cure; /**< owned; what to do, or "" */
};

/** More are not kept. */
#define VERIFY_FINDINGS_MAX 100

/** Names of control planes that this VM calls; more are not looked at. */
#define VERIFY_SERVERS_MAX 4

/** Addresses of one of them in a hosts file. */
#define VERIFY_ADDRESSES_MAX 8

/** A control plane as the agent calls it. */
struct verify_server {
    char host[256];
    char port[8];
    char addresses[VERIFY_ADDRESSES_MAX][48]; /**< from the hosts file */
    size_t n_addresses;
    char roots[4096]; /**< the file by which it is judged; empty: there is none to use, as a finding
                         says */
    bool own_roots;   /**< that file is BUNDLE_GATEWAY_ROOT */
};

/** Embedded; one thread. */
struct verify_report {
    uint32_t magic;
    struct verify_finding findings[VERIFY_FINDINGS_MAX];
    size_t n;
    enum verify_level worst;
    struct verify_server servers[VERIFY_SERVERS_MAX]; /**< what the probe has to try */
    size_t n_servers;
};

/** No such user. */
#define VERIFY_NO_USER ((uid_t)-1)

struct verify_opts {
    const char *folder; /**< borrowed; of a bundle. NULL: what is installed */
    const char *root;   /**< borrowed; put before the path of what is installed; "" usually */
    uid_t agent_uid;    /**< istio-proxy, or VERIFY_NO_USER; counts for what is installed */
    gid_t agent_gid;
    int64_t now_s; /**< seconds since 1970 */
};

/** An empty report. */
void verify_init(struct verify_report *r);

/** Free what it holds. */
void verify_fini(struct verify_report *r);

/** Add a finding; when memory is short or there are too many, it is dropped and counts all the
 * same for verify_worst(). */
void verify_add(struct verify_report *r, enum verify_level level, const char *what,
                const char *cure, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/** The worst level in it. */
enum verify_level verify_worst(const struct verify_report *r);

/** Room for a path, its zero included. */
#define VERIFY_PATH_BYTES 4096

/**
 * Where an installed file is under root, an image or "". Links that are usual, /etc/istio and
 * /var/run, lead to the same places there: followed by the kernel they would lead out of it.
 *
 * out      VERIFY_PATH_BYTES.
 * Returns  false: it is too long.
 */
bool verify_find_path(const char *root, const char *path, char *out);

/**
 * Look at all files.
 *
 * r        initialised; gets the findings.
 * Returns  RC_OK, whatever is wrong with the files; RC_NO_MEMORY.
 */
enum rc verify_files(const struct verify_opts *o, struct verify_report *r) MUST_USE;
