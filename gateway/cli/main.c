/* SPDX-License-Identifier: Apache-2.0 */
/* The program. */
#include "gateway/cli/commands.h"

int main(int argc, char **argv)
{
    return command_main(commands_all, argc, argv, stdout, stderr);
}
