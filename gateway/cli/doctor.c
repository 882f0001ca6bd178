/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate doctor`: why does a VM not work, or would not, with xdsgate? */
#include <stdlib.h>
#include <string.h>

#include "core/base/protect.h"
#include "gateway/cli/commands.h"
#include "gateway/cli/doctor_run.h"

static int answer(const struct command_line *line, const struct doctor_report *r)
{
    const struct doctor_command *o = line->opts;

    if (o->json == 0) {
        doctor_write_text(line->out, r);
    } else if (doctor_write_json(line->out, r) != RC_OK) {
        return doctor_complain(line, EXIT_CODE_NO, "%s", rc_text(RC_NO_MEMORY));
    }
    if (r->unreachable) {
        return EXIT_CODE_UNREACHABLE;
    }
    return r->n > 0 ? EXIT_CODE_NO : EXIT_CODE_OK;
}

/* What is asked for, by what is given; EXIT_CODE_OK: look. */
static int check_line(const struct command_line *line)
{
    const struct doctor_command *o = line->opts;
    bool gate = o->config != NULL || o->before || line->n_args > 0;

    if (o->vm && gate) {
        return doctor_complain(line, EXIT_CODE_USAGE,
                               "--vm is about this machine; --config, --before and a name are not");
    }
    if (o->endpoints.n > 0 && (!o->before || o->config != NULL)) {
        return doctor_complain(line, EXIT_CODE_USAGE,
                               "--endpoints goes with --before, without --config");
    }
    if (o->endpoints.n == 0 && o->sources.n > 0) {
        return doctor_complain(line, EXIT_CODE_USAGE, "--source goes with --endpoints");
    }
    if (o->endpoints.n == 0 && o->config == NULL && (o->server_name != NULL || o->roots != NULL)) {
        return doctor_complain(line, EXIT_CODE_USAGE,
                               "--server-name and --roots go with --endpoints or --config");
    }
    if (!gate && !o->vm && !doctor_is_vm(o->root)) {
        return doctor_complain(line, EXIT_CODE_USAGE,
                               "this is no VM of a mesh: say --config FILE on a gateway, --before "
                               "where kubectl works, or --vm if this should be a VM");
    }
    return EXIT_CODE_OK;
}

static int look(const struct command_line *line, struct doctor_report *r)
{
    const struct doctor_command *o = line->opts;
    const struct doctor_vm_opts vm = {
        .root = o->root, .timeout_s = o->timeout, .without_network = o->no_network};

    if (o->config != NULL || o->before || line->n_args > 0) {
        return doctor_run_gate(line, r);
    }
    enum rc rc = doctor_vm(&vm, r);
    return rc == RC_OK ? EXIT_CODE_OK : doctor_complain(line, EXIT_CODE_NO, "%s", rc_text(rc));
}

static int doctor(const struct command_line *line)
{
    int code = check_line(line);

    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct doctor_report *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return doctor_complain(line, EXIT_CODE_NO, "%s", rc_text(RC_NO_MEMORY));
    }
    protect_memory();
    doctor_report_init(r);
    code = look(line, r);
    if (code == EXIT_CODE_OK && r->short_of_memory) {
        code = doctor_complain(line, EXIT_CODE_NO, "%s", rc_text(RC_NO_MEMORY));
    }
    if (code == EXIT_CODE_OK) {
        code = answer(line, r);
    }
    doctor_report_fini(r);
    free(r);
    return code;
}

static void set_defaults(void *opts)
{
    struct doctor_command *o = opts;

    o->root = "";
    o->istio_namespace = "istio-system";
    o->timeout = 5;
}

static const struct option_word outputs[] = {{"text", 0}, {"json", 1}, {NULL, 0}};

#define TEXT_ROW(row_name, row_letter, row_value, field, text)                                 \
    {                                                                                          \
        .name = (row_name), .letter = (row_letter), .value = (row_value), .kind = OPTION_TEXT, \
        .offset = offsetof(struct doctor_command, field), .help = (text)                       \
    }
#define TEXTS_ROW(row_name, row_value, field, text)                      \
    {                                                                    \
        .name = (row_name), .value = (row_value), .kind = OPTION_TEXTS,  \
        .offset = offsetof(struct doctor_command, field), .help = (text) \
    }
#define FLAG_ROW(row_name, field, text)                                                            \
    {                                                                                              \
        .name = (row_name), .kind = OPTION_FLAG, .offset = offsetof(struct doctor_command, field), \
        .help = (text)                                                                             \
    }

static const struct option_row rows[] = {
    TEXT_ROW("config", 'c', "FILE", config, "the gateway's configuration"),
    FLAG_ROW("before", before, "what would break if VMs came through xdsgate; without a daemon"),
    FLAG_ROW("vm", vm, "this machine is the VM; found out by itself where its files are"),
    TEXT_ROW("root", 0, "DIR", root, "the files of a VM under this folder, an image"),
    TEXT_ROW("namespace", 'n', "NAMESPACE", name_space, "of the VM"),
    TEXT_ROW("kubeconfig", 0, "FILE", kubeconfig, "of somebody who may read the cluster"),
    TEXT_ROW("context", 0, "NAME", context, "of the kubeconfig"),
    TEXT_ROW("istioNamespace", 'i', "NAMESPACE", istio_namespace, "of istiod: istio-system"),
    TEXT_ROW("revision", 'r', "REV", revision, "of istiod"),
    TEXTS_ROW("endpoints", "HOST:PORT", endpoints,
              "with --before: where istiod is; may come again"),
    TEXT_ROW("server-name", 0, "NAME", server_name,
             "what istiod is called, where no `tls` says it; istiod.istio-system.svc"),
    TEXT_ROW("roots", 0, "FILE", roots, "the mesh's roots, where no `tls` has any; the cluster's"),
    TEXTS_ROW("source", "ADDRESS", sources,
              "with --endpoints: where VMs' connections are to leave from"),
    FLAG_ROW("no-network", no_network, "connect to no istiod and no gateway"),
    {.name = "timeout",
     .value = "TIME",
     .kind = OPTION_SECONDS,
     .offset = offsetof(struct doctor_command, timeout),
     .help = "for each attempt to connect: 5s",
     .min = 1,
     .max = 300},
    {.name = "output",
     .letter = 'o',
     .value = "FORMAT",
     .kind = OPTION_WORD,
     .offset = offsetof(struct doctor_command, json),
     .help = "text (the default) or json",
     .words = outputs},
};

const struct command command_doctor = {
    .name = "doctor",
    .usage = "[--config FILE] [NAME] | [--vm] | --before [--endpoints HOST:PORT]",
    .summary = "why does a VM not work, or would not, with xdsgate",
    .max_args = 1,
    .args_name = "NAME",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .opts_bytes = sizeof(struct doctor_command),
    .init = set_defaults,
    .run = doctor,
    .more = "\nOn a VM without options; on a gateway with --config; NAME is a WorkloadEntry or a\n"
            "WorkloadGroup, or NAME.NAMESPACE. Changes nothing. Each finding comes with what cures "
            "it.\n"
            "Run it as root. Exit code 0: nothing found; 1: something; 2: wrong usage or\n"
            "configuration; 3: the cluster cannot be reached.\n",
};
