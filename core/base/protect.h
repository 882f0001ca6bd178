/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/** Keep what this process holds out of core dumps and from other processes of the same user: it has
 * keys or tokens. Never fails. */
void protect_memory(void);
