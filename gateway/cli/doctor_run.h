/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line of `xdsgate doctor` says, and the part of it that is about a gateway. */
#pragma once

#include "gateway/cli/options.h"
#include "gateway/doctor/doctor.h"

/** Filled by the command's rows. Borrowed from argv; NULL: not given. */
struct doctor_command {
    const char *config;
    bool before;
    bool vm;
    const char *root;
    const char *name_space;
    const char *kubeconfig;
    const char *context;
    const char *istio_namespace;
    const char *revision;
    struct option_texts endpoints;
    const char *server_name;
    const char *roots;
    struct option_texts sources;
    bool no_network;
    double timeout;
    int json;
};

/** Look at a gateway and its cluster. EXIT_CODE_OK when the report is to be shown; else another
 * code, after a complaint. */
int doctor_run_gate(const struct command_line *line, struct doctor_report *r);

/** Complain, with the command's name in front. Returns code. */
int doctor_complain(const struct command_line *line, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
