/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmocka wants these before its own header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
