/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/program.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

void program_prepare(void)
{
    struct rlimit files;

    (void)signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

bool program_options(int argc, char **argv, const struct option *options, const char **values)
{
    int index = 0;
    int found;

    while ((found = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (found != 0) {
            return false;
        }
        values[index] = optarg;
    }
    if (optind < argc) {
        (void)fprintf(stderr, "%s: what is %s?\n", argv[0], argv[optind]);
        return false;
    }
    return true;
}
