/* SPDX-License-Identifier: Apache-2.0 */
/* From a command line to its command. */
#include <stdlib.h>
#include <string.h>

#include "gateway/cli/options.h"
#include "gateway/cli/options_internal.h"
#include "gateway/daemon/version.h"

static void write_overview(FILE *f, const struct command *const *commands, const char *group)
{
    (void)fprintf(f, "Usage: xdsgate %s%s [OPTIONS]\n\nCommands:\n", group,
                  *group != '\0' ? " COMMAND" : "COMMAND");
    for (; *commands != NULL; commands++) {
        const struct command *c = *commands;
        if (strncmp(c->name, group, strlen(group)) == 0) {
            (void)fprintf(f, "  %-14s  %s\n", c->name, c->summary);
        }
    }
    (void)fprintf(f,
                  "\n`xdsgate COMMAND --help` says more. Exit codes: 0 done, 1 no, 2 wrong usage "
                  "or\nconfiguration, 3 the daemon or the cluster cannot be reached.\n");
}

/* Is word the whole of the first n letters of a name? */
static bool is_word(const char *name, size_t n, const char *word)
{
    return strlen(word) == n && strncmp(name, word, n) == 0;
}

/* The command of these words; *n_words of them are its name. NULL: there is none, and *group says
 * whether the first word begins the names of some. */
static const struct command *find(const struct command *const *commands, int argc, char **argv,
                                  int *n_words, bool *group)
{
    *group = false;
    for (; *commands != NULL; commands++) {
        const char *name = (*commands)->name;
        size_t first = strcspn(name, " ");
        if (!is_word(name, first, argv[1])) {
            continue;
        }
        if (name[first] == '\0') {
            *n_words = 1;
            return *commands;
        }
        *group = true;
        if (argc > 2 && strcmp(name + first + 1, argv[2]) == 0) {
            *n_words = 2;
            return *commands;
        }
    }
    return NULL;
}

/* argv[1] is no command by itself: a group ("bundle"), or unknown. */
static int no_command(const struct command *const *commands, int argc, char **argv, bool group,
                      FILE *out, FILE *err)
{
    if (!group) {
        (void)fprintf(err, "xdsgate: unknown %s '%s'\nTry `xdsgate --help`.\n",
                      argv[1][0] == '-' ? "option" : "command", argv[1]);
        return EXIT_CODE_USAGE;
    }
    if (argc > 2 && strcmp(argv[2], "--help") == 0) {
        write_overview(out, commands, argv[1]);
        return EXIT_CODE_OK;
    }
    if (argc > 2) {
        (void)fprintf(err, "xdsgate %s: unknown command '%s'\nTry `xdsgate %s --help`.\n", argv[1],
                      argv[2], argv[1]);
    } else {
        write_overview(err, commands, argv[1]);
    }
    return EXIT_CODE_USAGE;
}

static int run(struct command_line *line, int argc, char **argv)
{
    const struct command *c = line->command;

    line->opts = calloc(1, c->opts_bytes > 0 ? c->opts_bytes : 1);
    if (line->opts == NULL) {
        (void)fputs("xdsgate: out of memory\n", line->err);
        return EXIT_CODE_NO;
    }
    if (c->init != NULL) {
        c->init(line->opts);
    }
    int code = EXIT_CODE_OK;
    switch (options_read(argc, argv, line)) {
    case OPTIONS_RUN:
        code = c->run(line);
        break;
    case OPTIONS_HELP:
        options_write_help(line->out, c);
        break;
    case OPTIONS_WRONG:
        (void)fprintf(line->err, "Try `xdsgate %s --help`.\n", c->name);
        code = EXIT_CODE_USAGE;
        break;
    }
    free(line->opts);
    return code;
}

/* A copy in the order it came in: getopt_long() sorts it. NULL: out of memory. */
static char **copy_arguments(int argc, char **argv)
{
    char **copy = calloc((size_t)argc + 1, sizeof(char *));

    for (int i = 0; copy != NULL && i < argc; i++) {
        copy[i] = argv[i];
    }
    return copy;
}

static int dispatch(const struct command *const *commands, int argc, char **argv, FILE *out,
                    FILE *err)
{
    int n_words = 0;
    bool group = false;

    if (argc < 2) {
        write_overview(err, commands, "");
        return EXIT_CODE_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        write_overview(out, commands, "");
        return EXIT_CODE_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        version_write(out, false);
        return EXIT_CODE_OK;
    }
    const struct command *c = find(commands, argc, argv, &n_words, &group);
    if (c == NULL) {
        return no_command(commands, argc, argv, group, out, err);
    }
    char **copy = copy_arguments(argc, argv);
    if (copy == NULL) {
        (void)fputs("xdsgate: out of memory\n", err);
        return EXIT_CODE_NO;
    }
    struct command_line line = {.command = c, .argv = copy, .out = out, .err = err};
    int code = run(&line, argc - n_words, argv + n_words);
    free(copy);
    return code;
}

int command_main(const struct command *const *commands, int argc, char **argv, FILE *out, FILE *err)
{
    int code = dispatch(commands, argc, argv, out, err);

    /* A script must not take an answer for complete that did not fit on the disk. */
    if (fflush(out) == 0 && ferror(out) == 0) {
        return code;
    }
    (void)fprintf(err, "xdsgate: standard output: %m\n");
    return EXIT_CODE_NO;
}
