/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `xdsgate bundle renew`: what has run out on a VM that was off for too long. Its certificate has,
 * too, but an agent shows no expired one; so only a new token helps. The mesh's roots may have
 * changed meanwhile, and the gateway's own, which somebody has to name; what else the VM has is as
 * good as before.
 */
#include "bootstrap/render.h"
#include "gateway/cli/bundle_inputs.h"
#include "gateway/cli/bundle_output.h"
#include "gateway/cli/commands.h"

struct renew_opts {
    struct bundle_where where;
    struct bundle_output output;
    const char *gateway_name;
    char gateway[BUNDLE_ADDRESS_BYTES]; /* the same with its port */
};

/* The account whose token it is, as it ends its certificate's name. The object was checked. */
static void account_of(const struct bundle_inputs *in, char *buf, size_t bytes)
{
    (void)snprintf(buf, bytes, "/ns/%s/sa/%s", in->group_ns, bundle_service_account(in->group));
}

static int make(const struct command_line *line, const struct bundle_inputs *in)
{
    const struct renew_opts *o = line->opts;
    char why[320];
    char account[600];
    struct bundle b;
    const struct format_renewal renewal = {.account = account,
                                           .gateway = o->gateway_name != NULL ? o->gateway : NULL};
    const struct bundle_opts opts = {.name_space = in->name_space,
                                     .group = o->where.group,
                                     .workload_group = in->group,
                                     .root_cert = in->root,
                                     .gateway_root = in->gateway_root,
                                     .token = in->token,
                                     .now_s = bundle_inputs_token_time(&o->where)};

    bundle_init(&b);
    enum rc rc = bundle_render_renewal(&opts, &b, why, sizeof(why));
    int code = EXIT_CODE_OK;
    if (rc != RC_OK) {
        code = bundle_complain(line, EXIT_CODE_USAGE, "%s", rc == RC_INVALID ? why : rc_text(rc));
    } else {
        account_of(in, account, sizeof(account));
        code = bundle_output_write(line, &o->output, &b, in, &renewal);
    }
    bundle_fini(&b);
    return code;
}

static int renew(const struct command_line *line)
{
    struct renew_opts *o = line->opts;
    char why[320];

    if (!bundle_take_group(line, &o->where)) {
        return EXIT_CODE_USAGE;
    }
    if (o->gateway_name != NULL &&
        bundle_gateway_address(o->gateway_name, o->gateway, why, sizeof(why)) != RC_OK) {
        return bundle_complain(line, EXIT_CODE_USAGE, "%s", why);
    }
    return bundle_inputs_use(line, &o->where, make);
}

/* ---- the command line ---- */

static void set_defaults(void *opts)
{
    struct renew_opts *o = opts;

    o->where.only_renewal = true;
    o->where.token_s = 3600;
}

static const struct option_row rows[] = {
    BUNDLE_GROUP_ROWS(struct renew_opts, where),
    BUNDLE_OUTPUT_ROWS(struct renew_opts, output),
    BUNDLE_TOKEN_TIME_ROW(struct renew_opts, where),
    BUNDLE_NO_TOKEN_ROW(struct renew_opts, where),
    BUNDLE_CLUSTER_ROWS(struct renew_opts, where),
    BUNDLE_TRUST_ROWS(struct renew_opts, where),
    BUNDLE_GATEWAY_ROWS(struct renew_opts, where, gateway_name,
                        "what VMs call xdsgate by; it is for no others"),
};

const struct command command_bundle_renew = {
    .name = "bundle renew",
    .usage = "GROUP -n NAMESPACE -o PATH [OPTIONS]",
    .summary = "make a new token for VMs that were off for too long",
    .max_args = 1,
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .opts_bytes = sizeof(struct renew_opts),
    .init = set_defaults,
    .run = renew,
    .more =
        "\nA VM whose certificate and token have run out needs a new token; its root "
        "certificate\ncomes along, because the mesh's may have changed, and with "
        "--gateway-root the gateway's own.\nA VM that has its certificate needs the roots only: "
        "--no-token. Nothing else is made: with\n--format dir, into the folder of an older "
        "bundle, only these files change there. Exit codes\nas of bundle create.\n",
};
