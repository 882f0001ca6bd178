/* SPDX-License-Identifier: Apache-2.0 */
/* Dates of certificates as people read them. */
#pragma once

#include <stdint.h>

/** Room for cert_format_time(). */
#define CERT_TIME_BYTES 32

/** Seconds since 1970 as "2026-02-19T20:48:00Z". */
void cert_format_time(int64_t at, char buf[CERT_TIME_BYTES]);
