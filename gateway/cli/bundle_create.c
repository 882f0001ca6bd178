/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate bundle create`: the files that make a VM a member of the mesh. */
#include <string.h>

#include "bootstrap/render.h"
#include "gateway/cli/bundle_inputs.h"
#include "gateway/cli/bundle_output.h"
#include "gateway/cli/commands.h"

struct create_opts {
    struct bundle_where where;
    struct bundle_output output;
    struct option_texts gateways;
    const char *gateway_name;
    const char *internal_ip;
    const char *external_ip;
    bool autoregister;
    bool dns_capture;
};

static struct bundle_opts render_opts(const struct create_opts *o, const struct bundle_inputs *in)
{
    struct bundle_opts r = {.name_space = in->name_space,
                            .group = o->where.group,
                            .workload_group = in->group,
                            .mesh_config = in->mesh,
                            .injector_values = in->values,
                            .root_cert = in->root,
                            .token = o->where.no_token ? NULL : in->token,
                            .now_s = bundle_inputs_token_time(&o->where),
                            .revision = o->where.revision,
                            .istio_namespace = o->where.istio_namespace,
                            .cluster_id = o->where.cluster_id,
                            .internal_ip = o->internal_ip,
                            .external_ip = o->external_ip,
                            .n_gateways = o->gateways.n,
                            .gateway_name = o->gateway_name,
                            .gateway_root = in->gateway_root,
                            .autoregister = o->autoregister,
                            .dns_capture = o->dns_capture};

    for (size_t i = 0; i < o->gateways.n; i++) {
        r.gateways[i] = o->gateways.items[i];
    }
    return r;
}

static int make(const struct command_line *line, const struct bundle_inputs *in)
{
    const struct create_opts *o = line->opts;
    char why[320];
    struct bundle b;
    const struct bundle_opts opts = render_opts(o, in);

    bundle_init(&b);
    enum rc rc = bundle_render(&opts, &b, why, sizeof(why));
    int code = rc == RC_OK ? bundle_output_write(line, &o->output, &b, in, NULL)
                           : bundle_complain(line, EXIT_CODE_USAGE, "%s",
                                             rc == RC_INVALID ? why : rc_text(rc));
    bundle_fini(&b);
    return code;
}

static int create(const struct command_line *line)
{
    struct create_opts *o = line->opts;

    if (!bundle_take_group(line, &o->where)) {
        return EXIT_CODE_USAGE;
    }
    if (o->gateways.n == 0) {
        return bundle_complain(line, EXIT_CODE_USAGE,
                               "--gateway IP is missing: where do VMs reach xdsgate?");
    }
    if (o->gateways.n > BUNDLE_GATEWAYS_MAX) {
        return bundle_complain(line, EXIT_CODE_USAGE, "--gateway: at most %d addresses",
                               BUNDLE_GATEWAYS_MAX);
    }
    return bundle_inputs_use(line, &o->where, make);
}

/* ---- the command line ---- */

static void set_defaults(void *opts)
{
    struct create_opts *o = opts;

    o->where.istio_namespace = "istio-system";
    o->where.token_s = 3600;
    o->dns_capture = true;
}

#define TEXT_ROW(row_name, row_letter, row_value, field, text)                                 \
    {                                                                                          \
        .name = (row_name), .letter = (row_letter), .value = (row_value), .kind = OPTION_TEXT, \
        .offset = offsetof(struct create_opts, field), .help = (text)                          \
    }
#define FLAG_ROW(row_name, field, text)                                                         \
    {                                                                                           \
        .name = (row_name), .kind = OPTION_FLAG, .offset = offsetof(struct create_opts, field), \
        .help = (text)                                                                          \
    }

static const struct option_row rows[] = {
    BUNDLE_GROUP_ROWS(struct create_opts, where),
    {.name = "gateway",
     .letter = 'g',
     .value = "IP",
     .kind = OPTION_TEXTS,
     .offset = offsetof(struct create_opts, gateways),
     .help = "where VMs reach xdsgate; may come again, for two of them"},
    {.name = "ingressIP",
     .value = "IP",
     .kind = OPTION_TEXTS,
     .offset = offsetof(struct create_opts, gateways),
     .help = "the same, as istioctl has it"},
    BUNDLE_GATEWAY_ROWS(struct create_opts, where, gateway_name,
                        "what VMs call xdsgate by, instead of istiod's name"),
    BUNDLE_OUTPUT_ROWS(struct create_opts, output),
    TEXT_ROW("internalIP", 0, "IP", internal_ip, "the VM's address, when it has several"),
    TEXT_ROW("externalIP", 0, "IP", external_ip, "the VM's address as others see it"),
    TEXT_ROW("clusterID", 0, "NAME", where.cluster_id,
             "the cluster; what the sidecar injector says"),
    TEXT_ROW("revision", 'r', "REV", where.revision, "of istiod"),
    TEXT_ROW("istioNamespace", 'i', "NAMESPACE", where.istio_namespace, "of istiod: istio-system"),
    FLAG_ROW("autoregister", autoregister, "the VM makes its own WorkloadEntry"),
    FLAG_ROW("capture-dns", dns_capture, "the agent answers DNS; --capture-dns=false: it does not"),
    BUNDLE_TOKEN_TIME_ROW(struct create_opts, where),
    BUNDLE_NO_TOKEN_ROW(struct create_opts, where),
    BUNDLE_CLUSTER_ROWS(struct create_opts, where),
    TEXT_ROW("meshConfig", 0, "FILE", where.mesh, "the mesh config, or the ConfigMap istio"),
    TEXT_ROW("injectorValues", 0, "FILE", where.values,
             "values, or the ConfigMap istio-sidecar-injector"),
    BUNDLE_TRUST_ROWS(struct create_opts, where),
};

const struct command command_bundle_create = {
    .name = "bundle create",
    .usage = "GROUP -n NAMESPACE --gateway IP -o PATH [OPTIONS]",
    .summary = "make the files that a VM needs",
    .max_args = 1,
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .opts_bytes = sizeof(struct create_opts),
    .init = set_defaults,
    .run = create,
    .more = "\nThe same files as `istioctl x workload entry configure` makes. The cluster is asked "
            "for\nwhat no file is named for; with -f, --meshConfig, --clusterID (or "
            "--injectorValues),\n--rootCert and --token (or --no-token) it is not asked at all. "
            "Exit code 0; "
            "1 when\nsomething is missing there; 2 for wrong usage or input; 3 when the cluster "
            "cannot be\nreached.\n",
};
