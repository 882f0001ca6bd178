/* SPDX-License-Identifier: Apache-2.0 */
/* What a bundle is made from, out of files or out of the cluster. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/doc/doc.h"
#include "gateway/cli/options.h"
#include "kube/objects.h"

/** Where it is; filled by the command's rows. Borrowed from argv; NULL: not given. */
struct bundle_where {
    const char *file;         /**< the WorkloadGroup */
    const char *mesh;         /**< the mesh config, or its ConfigMap */
    const char *values;       /**< the injector's values, or their ConfigMap */
    const char *root;         /**< PEM */
    const char *gateway_root; /**< PEM */
    const char *token;
    bool no_token;
    bool only_renewal; /**< only the group, the roots and a token; mesh and values stay NULL */
    const char *kubeconfig;
    const char *context;
    const char *name_space;
    const char *istio_namespace;
    const char *revision;
    const char *cluster_id;
    double token_s;    /**< how long a new token lives */
    const char *group; /**< the name that was asked for */
};

#define BUNDLE_WHERE_ROW(type, where, row_name, row_letter, row_value, field, text)            \
    {                                                                                          \
        .name = (row_name), .letter = (row_letter), .value = (row_value), .kind = OPTION_TEXT, \
        .offset = offsetof(type, where.field), .help = (text)                                  \
    }

/** Rows of a command whose options `type` have a struct bundle_where `where`: which group. */
#define BUNDLE_GROUP_ROWS(type, where)                                       \
    BUNDLE_WHERE_ROW(type, where, "namespace", 'n', "NAMESPACE", name_space, \
                     "of the WorkloadGroup"),                                \
        BUNDLE_WHERE_ROW(type, where, "name", 0, "GROUP", group,             \
                         "the WorkloadGroup, as istioctl has it"),           \
        BUNDLE_WHERE_ROW(type, where, "file", 'f', "FILE", file, "the WorkloadGroup from a file")

/** How long a new token lives. */
#define BUNDLE_TOKEN_TIME_ROW(type, where)                                                 \
    {                                                                                      \
        .name = "tokenDuration", .value = "TIME", .kind = OPTION_SECONDS,                  \
        .offset = offsetof(type, where.token_s), .help = "how long the token is good: 1h", \
        .min = KUBE_TOKEN_MIN_S, .max = (double)KUBE_TOKEN_MAX_S                           \
    }

#define BUNDLE_NO_TOKEN_ROW(type, where)                                                   \
    {                                                                                      \
        .name = "no-token", .kind = OPTION_FLAG, .offset = offsetof(type, where.no_token), \
        .help = "without a token, for a VM that has its certificate"                       \
    }

/** Which cluster. */
#define BUNDLE_CLUSTER_ROWS(type, where)                                 \
    BUNDLE_WHERE_ROW(type, where, "kubeconfig", 'c', "FILE", kubeconfig, \
                     "how to reach the cluster"),                        \
        BUNDLE_WHERE_ROW(type, where, "context", 0, "NAME", context, "of the kubeconfig")

/** What a VM trusts, and what it is trusted by. */
#define BUNDLE_TRUST_ROWS(type, where)                                                      \
    BUNDLE_WHERE_ROW(type, where, "rootCert", 0, "FILE", root, "the mesh's root-cert.pem"), \
        BUNDLE_WHERE_ROW(type, where, "token", 0, "FILE", token,                            \
                         "a token for the group's service account")

/** What the gateway has of its own. gateway_name is a text of `type` itself. */
#define BUNDLE_GATEWAY_ROWS(type, where, gateway_name, name_help)              \
    {.name = "gateway-name",                                                   \
     .value = "NAME[:PORT]",                                                   \
     .kind = OPTION_TEXT,                                                      \
     .offset = offsetof(type, gateway_name),                                   \
     .help = (name_help)},                                                     \
        BUNDLE_WHERE_ROW(type, where, "gateway-root", 0, "FILE", gateway_root, \
                         "whom VMs believe there, instead of the mesh's root-cert.pem")

/** All owned; NULL: none. */
struct bundle_inputs {
    char *name_space;       /**< where the group is; NULL: the object says it */
    const char *group_name; /**< borrowed from the line or the object; NULL: nobody says it */
    const char *group_ns;   /**< the same for its namespace */
    json_t *group;
    json_t *mesh;
    json_t *values;
    char *root;
    char *gateway_root;
    char *token; /**< wiped when freed */
};

/** Take GROUP, the first argument; false, after a complaint, when --name names one, too. */
bool bundle_take_group(const struct command_line *line, struct bundle_where *w);

/**
 * Read what files were named for, ask the cluster for the rest (it is not asked when nothing is
 * left), and make of it whatever it is. The process keeps its memory to itself from here on.
 *
 * make     its `in` is borrowed.
 * Returns  what make() does; else another code, after a complaint.
 */
int bundle_inputs_use(const struct command_line *line, const struct bundle_where *w,
                      int (*make)(const struct command_line *line, const struct bundle_inputs *in));

/** The time for bundle_opts.now_s: a token from a file may be old, or another account's. 0: the
 * cluster has just made it, whatever this machine's clock says. */
int64_t bundle_inputs_token_time(const struct bundle_where *w);

/** Complain, with the command's name in front. Returns code. */
int bundle_complain(const struct command_line *line, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/**
 * Ask the cluster for what is still NULL in `in`. Part of bundle_inputs_use().
 *
 * Returns EXIT_CODE_OK, or another code after a complaint; what was brought stays in `in`.
 */
int bundle_inputs_ask(const struct command_line *line, const struct bundle_where *w,
                      struct bundle_inputs *in);
