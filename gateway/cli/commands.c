/* SPDX-License-Identifier: Apache-2.0 */
/* The list of the commands, in the order of the help. */
#include "gateway/cli/commands.h"

#include <stddef.h>

/* clang-format off */
const struct command *const commands_all[] = {
    &command_run,
    &command_check,
    &command_vm_list,
    &command_vm_describe,
    &command_vm_config,
    &command_vm_revoke,
    &command_vm_unrevoke,
    &command_vm_reregister,
    &command_upstream_list,
    &command_log_level,
    &command_bundle_create,
    &command_bundle_renew,
    &command_bundle_verify,
    &command_cert_issue,
    &command_cert_show,
    &command_doctor,
    &command_completion,
    &command_man,
    &command_version,
    NULL,
};
/* clang-format on */
