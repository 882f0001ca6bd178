/* SPDX-License-Identifier: Apache-2.0 */
/* Marks when the code under test runs, as opposed to the test around it. Calls nest. */
#pragma once

/** How deep we are inside the code under test; defined in fake_conn.c. */
extern int gateway_depth;

static inline void gateway_enter(void)
{
    gateway_depth++;
}

static inline void gateway_leave(void)
{
    gateway_depth--;
}
