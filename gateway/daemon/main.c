/* SPDX-License-Identifier: Apache-2.0 */
/* The program: from the command line to what was asked for. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/config/config.h"
#include "gateway/daemon/cli.h"
#include "gateway/daemon/daemon.h"

static enum cli_exit check(const char *path)
{
    struct config *c = NULL;
    enum rc rc = config_load(path, stderr, &c);
    config_free(&c);
    if (rc == RC_OK) {
        return CLI_EXIT_OK;
    }
    if (rc != RC_INVALID) {
        (void)fprintf(stderr, "xdsgate check: %s\n", rc_text(rc));
        return CLI_EXIT_NO;
    }
    return CLI_EXIT_USAGE;
}

/* A script must not take an answer for complete that did not fit on the disk. */
static enum cli_exit flush(enum cli_exit code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return code;
    }
    perror("xdsgate: standard output");
    return CLI_EXIT_NO;
}

/* A copy in the order it came in, for a handover: getopt_long() sorts it. NULL: out of memory. */
static char **copy_arguments(int argc, char **argv)
{
    char **copy = calloc((size_t)argc + 1, sizeof(char *));
    for (int i = 0; copy != NULL && i < argc; i++) {
        copy[i] = argv[i];
    }
    return copy;
}

static int run(const char *config_path, char **argv)
{
    if (argv == NULL) {
        (void)fprintf(stderr, "xdsgate run: %s\n", rc_text(RC_NO_MEMORY));
        return CLI_EXIT_NO;
    }
    return daemon_run(config_path, argv);
}

int main(int argc, char **argv)
{
    struct cli cli;
    enum cli_exit exit = CLI_EXIT_OK;
    char **arguments = copy_arguments(argc, argv);
    if (!cli_parse(argc, argv, stdout, stderr, &cli, &exit)) {
        free(arguments);
        return (int)flush(exit);
    }
    int code = CLI_EXIT_OK;
    switch (cli.command) {
    case CLI_RUN:
        code = run(cli.config_path, arguments);
        break;
    case CLI_CHECK:
        code = (int)check(cli.config_path);
        break;
    case CLI_VERSION:
        cli_write_version(stdout, cli.json);
        code = (int)flush(CLI_EXIT_OK);
        break;
    }
    free(arguments);
    return code;
}
