/* SPDX-License-Identifier: Apache-2.0 */
/* The program: from the command line to what was asked for. */
#include <stdio.h>

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

int main(int argc, char **argv)
{
    struct cli cli;
    enum cli_exit exit = CLI_EXIT_OK;
    if (!cli_parse(argc, argv, stdout, stderr, &cli, &exit)) {
        return (int)flush(exit);
    }
    switch (cli.command) {
    case CLI_RUN:
        return daemon_run(cli.config_path);
    case CLI_CHECK:
        return (int)check(cli.config_path);
    case CLI_VERSION:
        break;
    }
    cli_write_version(stdout, cli.json);
    return (int)flush(CLI_EXIT_OK);
}
