/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants of our own code. They stay on in release builds and end the process: a fact about our
 * code that is false cannot be repaired at run time. Never use them on anything a peer sent.
 */
#pragma once

#include <stdint.h>

/** Print where and what, then abort. Does not return. */
_Noreturn void check_failed(const char *file, int line, const char *what);

#define CHECK(x)                                  \
    do {                                          \
        if (__builtin_expect(!(x), 0)) {          \
            check_failed(__FILE__, __LINE__, #x); \
        }                                         \
    } while (0)

/** Every struct that travels through pointers starts with `uint32_t magic`, unique per type. */
#define CHECK_MAGIC(ptr, m) CHECK((ptr) != NULL && (ptr)->magic == (m))
