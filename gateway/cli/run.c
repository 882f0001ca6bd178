/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate run`, `xdsgate check` and `xdsgate version`. */
#include "gateway/cli/commands.h"
#include "gateway/config/config.h"
#include "gateway/daemon/daemon.h"
#include "gateway/daemon/version.h"

struct file_opts {
    const char *config;
};

static const struct option_row file_rows[] = {
    {.name = "config",
     .letter = 'c',
     .value = "FILE",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct file_opts, config),
     .help = "the configuration",
     .required = true},
};

static int run(const struct command_line *line)
{
    const struct file_opts *o = line->opts;

    return daemon_run(o->config, line->argv);
}

const struct command command_run = {
    .name = "run",
    .usage = "--config FILE",
    .summary = "run the daemon in the foreground",
    .rows = file_rows,
    .n_rows = 1,
    .opts_bytes = sizeof(struct file_opts),
    .run = run,
    .more = "\nSignals: HUP reload, TERM graceful stop, INT the same (a second one ends at once),\n"
            "USR1 open the log file again, USR2 hand over to a newly started program: restart or\n"
            "upgrade without a lost VM.\n",
};

static int check(const struct command_line *line)
{
    const struct file_opts *o = line->opts;
    struct config *c = NULL;
    enum rc rc = config_load(o->config, line->err, &c);

    config_free(&c);
    if (rc == RC_OK) {
        return EXIT_CODE_OK;
    }
    if (rc != RC_INVALID) {
        (void)fprintf(line->err, "xdsgate check: %s\n", rc_text(rc));
        return EXIT_CODE_NO;
    }
    return EXIT_CODE_USAGE;
}

const struct command command_check = {
    .name = "check",
    .usage = "--config FILE",
    .summary = "check a configuration",
    .rows = file_rows,
    .n_rows = 1,
    .opts_bytes = sizeof(struct file_opts),
    .run = check,
    .more = "\nExit code 0, or 2 and one line per error: FILE:LINE:COLUMN: what is wrong. Resolves "
            "no\nname and needs no address of the file to be local; the files it names must be "
            "there.\n",
};

struct version_opts {
    int json;
};

static int version(const struct command_line *line)
{
    const struct version_opts *o = line->opts;

    version_write(line->out, o->json != 0);
    return EXIT_CODE_OK;
}

static const struct option_word formats[] = {{"json", 1}, {NULL, 0}};
static const struct option_row version_rows[] = {
    {.name = "output",
     .letter = 'o',
     .value = "json",
     .kind = OPTION_WORD,
     .offset = offsetof(struct version_opts, json),
     .help = "as JSON",
     .words = formats},
};

const struct command command_version = {
    .name = "version",
    .usage = "[-o json]",
    .summary = "show the version",
    .rows = version_rows,
    .n_rows = 1,
    .opts_bytes = sizeof(struct version_opts),
    .run = version,
    .more = "",
};
