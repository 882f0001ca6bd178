/* SPDX-License-Identifier: Apache-2.0 */
/* The commands; main.c has their list. Each file of this folder that is called like a command has
 * its table and what it does. */
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
