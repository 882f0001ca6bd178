/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. See cli.h. */
#include "gateway/daemon/cli.h"

#include <getopt.h>
#include <stddef.h>
#include <string.h>

#ifndef XDSGATE_VERSION
#error "XDSGATE_VERSION comes from the build"
#endif

/** Long options without a letter of their own. */
enum { OPT_HELP = 256 };

struct command {
    const char *name;
    enum cli_command command;
    bool wants_config;
    bool wants_output;
    const char *usage;   /**< what follows the name */
    const char *text;    /**< one line */
    const char *options; /**< for its own --help */
    const char *more;
};

static const struct command commands[] = {
    {"run", CLI_RUN, true, false, "--config FILE", "run the daemon in the foreground",
     "  -c, --config FILE    the configuration\n",
     "\nSignals: HUP reload, TERM graceful stop, INT the same (a second one ends at once),\n"
     "USR1 open the log file again, USR2 hand over to a newly started program: restart or\n"
     "upgrade without a lost VM.\n"},
    {"check", CLI_CHECK, true, false, "--config FILE", "check a configuration",
     "  -c, --config FILE    the configuration\n",
     "\nExit code 0, or 2 and one line per error: FILE:LINE:COLUMN: what is wrong. Resolves no\n"
     "name and needs no address of the file to be local; the files it names must be there.\n"},
    {"version", CLI_VERSION, false, true, "[-o json]", "show the version",
     "  -o, --output json    as JSON\n", ""},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void write_overview(FILE *f)
{
    (void)fputs("Usage: xdsgate COMMAND [OPTIONS]\n\nCommands:\n", f);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        (void)fprintf(f, "  %-8s %-14s  %s\n", commands[i].name, commands[i].usage,
                      commands[i].text);
    }
    (void)fputs("\n`xdsgate COMMAND --help` says more. Exit codes: 0 done, 1 no, 2 wrong usage or\n"
                "configuration, 3 the daemon or the cluster cannot be reached.\n",
                f);
}

static void write_help(FILE *f, const struct command *c)
{
    (void)fprintf(f, "Usage: xdsgate %s %s\n\n%c%s.\n\n", c->name, c->usage, c->text[0] - 'a' + 'A',
                  c->text + 1);
    (void)fprintf(f, "%s      --help           this text\n%s", c->options, c->more);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static enum cli_exit bad_usage(FILE *err, const struct command *c)
{
    (void)fprintf(err, "Try `xdsgate %s --help`.\n", c->name);
    return CLI_EXIT_USAGE;
}

/* One option; false ends the parsing with *exit. */
static bool take_option(int opt, char *const *argv, const struct command *c, FILE *out, FILE *err,
                        struct cli *cli, enum cli_exit *exit)
{
    switch (opt) {
    case OPT_HELP:
        write_help(out, c);
        *exit = CLI_EXIT_OK;
        return false;
    case 'c':
        cli->config_path = optarg;
        return true;
    case 'o':
        cli->json = strcmp(optarg, "json") == 0;
        if (cli->json) {
            return true;
        }
        (void)fprintf(err, "xdsgate %s: unknown output format '%s': only json is known\n", c->name,
                      optarg);
        break;
    case ':':
        (void)fprintf(err, "xdsgate %s: option '%s' needs a value\n", c->name, argv[optind - 1]);
        break;
    default:
        if (optopt > 0 && optopt < 256) {
            (void)fprintf(err, "xdsgate %s: unknown option '-%c'\n", c->name, optopt);
        } else {
            (void)fprintf(err, "xdsgate %s: unknown or ambiguous option '%s'\n", c->name,
                          argv[optind - 1]);
        }
        break;
    }
    *exit = bad_usage(err, c);
    return false;
}

static bool parse_options(int argc, char **argv, const struct command *c, FILE *out, FILE *err,
                          struct cli *cli, enum cli_exit *exit)
{
    struct option options[4] = {{"help", no_argument, NULL, OPT_HELP}};
    size_t n = 1;
    const char *letters = ":";
    if (c->wants_config) {
        options[n++] = (struct option){"config", required_argument, NULL, 'c'};
        letters = ":c:";
    }
    if (c->wants_output) {
        options[n++] = (struct option){"output", required_argument, NULL, 'o'};
        letters = ":o:";
    }
    opterr = 0;
    optind = 0; /* start anew, also in a second call (glibc) */
    int opt;
    while ((opt = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        if (!take_option(opt, argv, c, out, err, cli, exit)) {
            return false;
        }
    }
    if (optind < argc) {
        (void)fprintf(err, "xdsgate %s: unexpected argument '%s'\n", c->name, argv[optind]);
        *exit = bad_usage(err, c);
        return false;
    }
    if (c->wants_config && cli->config_path == NULL) {
        (void)fprintf(err, "xdsgate %s: --config FILE is missing\n", c->name);
        *exit = bad_usage(err, c);
        return false;
    }
    return true;
}

bool cli_parse(int argc, char **argv, FILE *out, FILE *err, struct cli *cli, enum cli_exit *exit)
{
    *cli = (struct cli){.command = CLI_VERSION};
    if (argc < 2) {
        write_overview(err);
        *exit = CLI_EXIT_USAGE;
        return false;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        write_overview(out);
        *exit = CLI_EXIT_OK;
        return false;
    }
    if (strcmp(argv[1], "--version") == 0) {
        return true;
    }
    const struct command *c = find_command(argv[1]);
    if (c == NULL) {
        const char *what = argv[1][0] == '-' ? "option" : "command";
        (void)fprintf(err, "xdsgate: unknown %s '%s'; the commands are run, check and version\n",
                      what, argv[1]);
        (void)fputs("Try `xdsgate --help`.\n", err);
        *exit = CLI_EXIT_USAGE;
        return false;
    }
    cli->command = c->command;
    return parse_options(argc - 1, argv + 1, c, out, err, cli, exit);
}

void cli_write_version(FILE *out, bool json)
{
    if (json) {
        (void)fputs("{\"version\": \"" XDSGATE_VERSION "\"}\n", out);
    } else {
        (void)fputs("xdsgate " XDSGATE_VERSION "\n", out);
    }
}
