/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate doctor`: why does this VM not work? */
#include <stdlib.h>

#include "gateway/cli/commands.h"
#include "gateway/cli/protect.h"
#include "gateway/doctor/doctor.h"

struct doctor_command {
    bool vm;
    const char *root;
    bool no_network;
    double timeout;
    int json;
};

static int complain(const struct command_line *line, int code, const char *text)
{
    (void)fprintf(line->err, "xdsgate doctor: %s\n", text);
    return code;
}

static enum rc look(const struct doctor_command *o, struct doctor_report *r)
{
    const struct doctor_vm_opts vm = {
        .root = o->root, .timeout_s = o->timeout, .without_network = o->no_network};

    return doctor_vm(&vm, r);
}

static int answer(const struct command_line *line, const struct doctor_report *r)
{
    const struct doctor_command *o = line->opts;

    if (o->json == 0) {
        doctor_write_text(line->out, r);
    } else if (doctor_write_json(line->out, r) != RC_OK) {
        return complain(line, EXIT_CODE_NO, rc_text(RC_NO_MEMORY));
    }
    if (r->unreachable) {
        return EXIT_CODE_UNREACHABLE;
    }
    return r->n > 0 ? EXIT_CODE_NO : EXIT_CODE_OK;
}

static int doctor(const struct command_line *line)
{
    const struct doctor_command *o = line->opts;

    if (!o->vm && !doctor_is_vm(o->root)) {
        return complain(line, EXIT_CODE_USAGE,
                        "this is no VM of a mesh; say --vm if it should be one");
    }
    struct doctor_report *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return complain(line, EXIT_CODE_NO, rc_text(RC_NO_MEMORY));
    }
    protect_memory();
    doctor_report_init(r);
    enum rc rc = look(o, r);
    rc = rc == RC_OK && r->short_of_memory ? RC_NO_MEMORY : rc;
    int code = rc == RC_OK ? answer(line, r) : complain(line, EXIT_CODE_NO, rc_text(rc));
    doctor_report_fini(r);
    free(r);
    return code;
}

static void set_defaults(void *opts)
{
    struct doctor_command *o = opts;

    o->root = "";
    o->timeout = 5;
}

static const struct option_word outputs[] = {{"text", 0}, {"json", 1}, {NULL, 0}};

#define TEXT_ROW(row_name, row_value, field, text)                       \
    {                                                                    \
        .name = (row_name), .value = (row_value), .kind = OPTION_TEXT,   \
        .offset = offsetof(struct doctor_command, field), .help = (text) \
    }
#define FLAG_ROW(row_name, field, text)                                                            \
    {                                                                                              \
        .name = (row_name), .kind = OPTION_FLAG, .offset = offsetof(struct doctor_command, field), \
        .help = (text)                                                                             \
    }

static const struct option_row rows[] = {
    FLAG_ROW("vm", vm, "this machine is the VM; found out by itself where its files are"),
    TEXT_ROW("root", "DIR", root, "the files of a VM under this folder, an image"),
    FLAG_ROW("no-network", no_network, "connect to nobody"),
    {.name = "timeout",
     .value = "TIME",
     .kind = OPTION_SECONDS,
     .offset = offsetof(struct doctor_command, timeout),
     .help = "for each attempt to connect: 5s",
     .min = 0.1,
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
    .usage = "[--vm]",
    .summary = "why does a VM not work",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .opts_bytes = sizeof(struct doctor_command),
    .init = set_defaults,
    .run = doctor,
    .more =
        "\nChanges nothing. Each finding comes with what cures it. Run it as root. Exit code 0: "
        "nothing\nfound; 1: something; 2: wrong usage; 3: the cluster cannot be reached.\n",
};
