/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations of the code under test, counted and made to fail one at a time. Only what happens
 * between gateway_enter() and gateway_leave() counts, so that the test's own peers never fail.
 *
 * A program that links failing_malloc.c needs the linker to wrap: malloc, calloc, realloc, strdup,
 * nghttp2_option_new and nghttp2_session_callbacks_new (tests/component.cmake does it).
 * nghttp2's sessions use the allocator of core/h2/h2_mem.c, which is wrapped too.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** The n-th counted allocation from now on fails, 1 or more; 0: none does. Starts the count anew.
 */
void failing_malloc_arm(uint64_t n);

/** Every counted allocation from the n-th on fails. */
void failing_malloc_arm_from(uint64_t n);

/** Allocations counted since the last arming. */
uint64_t failing_malloc_count(void);

/** Did an armed allocation fail? */
bool failing_malloc_hit(void);
