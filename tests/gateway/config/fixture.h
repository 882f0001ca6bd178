/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A temporary folder with certificates and configuration files, and a reading of them.
 *
 * In a file's text, @ stands for the folder. A caret marks where an error is expected: it is taken
 * out, and its place is compared with the error's line and column.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/config/config.h"

#define FIXTURE_MAX_MARKS 16

struct fixture {
    char dir[64]; /**< holds tls.crt, tls.key, root.pem, other.key, text.pem (no PEM), kubeconfig */
    char path[96];  /**< of the configuration file */
    char *errors;   /**< owned; what the last reading said */
    size_t n_marks; /**< carets of the last text */
    unsigned line[FIXTURE_MAX_MARKS];
    unsigned column[FIXTURE_MAX_MARKS];
};

/** cmocka group setup and teardown; *state is the struct fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/** The text of full.yaml or small.yaml beside the tests; owned by the caller. */
char *fixture_example(const char *name);

/** An example must be accepted. The config is the caller's. */
struct config *fixture_accept_example(struct fixture *f, const char *name);

/** Write text as the configuration file. */
void fixture_write(struct fixture *f, const char *text);

/** Write n bytes as they are. */
void fixture_write_bytes(struct fixture *f, const char *bytes, size_t n);

/** Read the configuration file; f->errors has what was said. */
enum rc fixture_load(struct fixture *f, struct config **out);

/** The text must be accepted. The config is the caller's. */
struct config *fixture_accept(struct fixture *f, const char *text);

/** The text must be refused with exactly one error at every mark, in order; the first contains
 * `what`. */
void fixture_refuse(struct fixture *f, const char *text, const char *what);

/** The NULL-terminated texts are these. */
void fixture_assert_texts(char *const *texts, const char *const *expected);

#define ASSERT_TEXTS(texts, ...) \
    fixture_assert_texts(texts, (const char *const[]){__VA_ARGS__, NULL})
