/* SPDX-License-Identifier: Apache-2.0 */
/* The commands; commands.c has their list. Each file of this folder that is called like a command
 * has its table and what it does. */
#pragma once

#include "gateway/cli/options.h"

extern const struct command command_run;
extern const struct command command_check;
extern const struct command command_version;
extern const struct command command_bundle_create;
extern const struct command command_bundle_verify;
extern const struct command command_bundle_renew;
extern const struct command command_cert_issue;
extern const struct command command_cert_show;
extern const struct command command_doctor;
extern const struct command command_vm_list;
extern const struct command command_vm_describe;
extern const struct command command_vm_config;
extern const struct command command_vm_revoke;
extern const struct command command_vm_unrevoke;
extern const struct command command_vm_reregister;
extern const struct command command_upstream_list;
extern const struct command command_log_level;
extern const struct command command_completion;
extern const struct command command_man;

/** All of them, NULL-terminated, in the order of the help. */
extern const struct command *const commands_all[];
