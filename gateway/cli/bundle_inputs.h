/* SPDX-License-Identifier: Apache-2.0 */
/* What a bundle is made from, out of files or out of the cluster. */
#pragma once

#include <stdbool.h>

#include "core/doc/doc.h"
#include "gateway/cli/options.h"

/** Where it is; filled by the command's rows. Borrowed from argv; NULL: not given. */
struct bundle_where {
    const char *file;   /**< the WorkloadGroup */
    const char *mesh;   /**< the mesh config, or its ConfigMap */
    const char *values; /**< the injector's values, or their ConfigMap */
    const char *root;   /**< PEM */
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

/** All owned; NULL: none. */
struct bundle_inputs {
    char *name_space;       /**< where the group is; NULL: the object says it */
    const char *group_name; /**< borrowed from the line or the object; NULL: nobody says it */
    const char *group_ns;   /**< the same for its namespace */
    json_t *group;
    json_t *mesh;
    json_t *values;
    char *root;
    char *token; /**< wiped when freed */
};

/** Take GROUP, the first argument; false, after a complaint, when --name names one, too. */
bool bundle_take_group(const struct command_line *line, struct bundle_where *w);

/**
 * Read what files were named for, and ask the cluster for the rest; it is not asked when nothing is
 * left.
 *
 * Returns EXIT_CODE_OK, then bundle_inputs_fini(); else another code, after a complaint.
 */
int bundle_inputs_read(const struct command_line *line, const struct bundle_where *w,
                       struct bundle_inputs *out);

/** Free and wipe. */
void bundle_inputs_fini(struct bundle_inputs *in);

/** Complain, with the command's name in front. Returns code. */
int bundle_complain(const struct command_line *line, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/**
 * Ask the cluster for what is still NULL in `in`. Part of bundle_inputs_read().
 *
 * Returns as bundle_inputs_read(); what was brought stays in `in`.
 */
int bundle_inputs_ask(const struct command_line *line, const struct bundle_where *w,
                      struct bundle_inputs *in);
