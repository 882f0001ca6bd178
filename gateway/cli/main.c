/* SPDX-License-Identifier: Apache-2.0 */
/* The program: the list of its commands. */
#include "gateway/cli/commands.h"

static const struct command *const commands[] = {
    &command_run,           &command_check,
    &command_bundle_create, &command_bundle_renew,
    &command_bundle_verify, &command_cert_issue,
    &command_cert_show,     &command_doctor,
    &command_version,       NULL,
};

int main(int argc, char **argv)
{
    return command_main(commands, argc, argv, stdout, stderr);
}
