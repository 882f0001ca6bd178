/* SPDX-License-Identifier: Apache-2.0 */
/* What the program ends with. A promise to scripts. */
#pragma once

enum exit_code {
    EXIT_CODE_OK = 0,          /**< done */
    EXIT_CODE_NO = 1,          /**< the answer is no, or it could not be done */
    EXIT_CODE_USAGE = 2,       /**< wrong usage or configuration */
    EXIT_CODE_UNREACHABLE = 3, /**< the daemon or the cluster cannot be reached */
};
