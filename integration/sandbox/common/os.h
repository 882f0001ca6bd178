/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** Milliseconds that only go forward; for timers and backoff. */
int64_t os_now_ms(void);

/** Seconds since 1970; for certificates and tokens. */
int64_t os_wall_s(void);

/** A number in [0, bound), from the kernel's generator; 0 when bound is 0. */
uint64_t os_random_below(uint64_t bound);

/**
 * Name the program in every log line and print the line that says what it is not.
 *
 * program  borrowed for the life of the process.
 * verbose  also print log_debug lines.
 */
void log_open(const char *program, const char *what_it_is_not, bool verbose);

/** One line to stderr with the time. Never give it a token or a key. */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** As log_info, only with --verbose. */
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * Read a whole file as text.
 *
 * Returns  owned by the caller; NULL when it cannot be read (errno says why) or is above 16 MiB.
 */
char *file_read(const char *path);

/**
 * Write a whole file, under another name first, so that a reader never sees half of it.
 *
 * Returns  false when it cannot be written; errno says why.
 */
bool file_write(const char *path, const char *text, mode_t mode);
