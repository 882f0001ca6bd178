/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several daemons asked as one: the same question to each, their lists put together. What all the
 * commands about VMs and upstreams share.
 */
#pragma once

#include <stdarg.h>
#include <stdint.h>

#include "core/base/show.h"
#include "core/doc/doc.h"
#include "gateway/cli/admin_client.h"
#include "gateway/cli/options.h"

/** A longer text is cut. */
#define FLEET_TEXT_BYTES 2048
#define FLEET_CLEAN_BYTES SHOW_CLEAN_BYTES(FLEET_TEXT_BYTES)

enum fleet_output { FLEET_TABLE, FLEET_WIDE, FLEET_JSON, FLEET_YAML };

/** Filled by FLEET_ROWS. */
struct fleet_opts {
    struct option_texts admin; /**< none: ADMIN_CLIENT_DEFAULT */
    int output;                /**< enum fleet_output */
};

/** The words of -o: all, or without table and wide. */
extern const struct option_word fleet_outputs[];

/** The rows of a command whose options `type` have a struct fleet_opts `field`. */
#define FLEET_ROWS(type, field)                         \
    {.name = "output",                                  \
     .letter = 'o',                                     \
     .value = "FORMAT",                                 \
     .kind = OPTION_WORD,                               \
     .offset = offsetof(type, field.output),            \
     .help = "table (the default), wide, json or yaml", \
     .words = fleet_outputs},                           \
        FLEET_ADMIN_ROW(type, field)

#define FLEET_ADMIN_ROW(type, field)                                \
    {                                                               \
        .name = "admin", .value = "ADDRESS", .kind = OPTION_TEXTS,  \
        .offset = offsetof(type, field.admin),                      \
        .help = "socket (by default " ADMIN_CLIENT_DEFAULT          \
                ") or HOST:PORT of a daemon; several are one fleet" \
    }

/**
 * GET path from every daemon and put the items of their lists `key` together. With more than one
 * daemon each item says which one has it ("gateway"), and a VM that several know is there once:
 * fleet_keep_one_of_each().
 *
 * path  behind "/api/v1/".
 * out   owned: an object with the list, and with "now" of the first daemon; filled unless nobody
 *       answered.
 * Returns EXIT_CODE_OK; EXIT_CODE_UNREACHABLE: at least one does not answer (said; *out NULL when
 *         none did), or is no daemon; EXIT_CODE_NO: something else went wrong, and was said. That
 *         a daemon knows no VM of a name is an empty list.
 */
int fleet_get(const struct command_line *line, const struct fleet_opts *o, const char *path,
              const char *key, json_t **out);

/**
 * GET path from one daemon: an answer that stands for itself.
 *
 * address  as vm_pick_one() gives it.
 * body, n  owned: as it was answered; a zero follows.
 * out      owned: the same as a value; NULL: it is too deep or too large for one.
 * Returns EXIT_CODE_OK; EXIT_CODE_NO, EXIT_CODE_UNREACHABLE: said.
 */
int fleet_get_body(const struct command_line *line, const char *address, const char *path,
                   char **body, size_t *n, json_t **out);

/** Of the rows of VMs that have one id keep that of the daemon where its stream is, else where it
 * was seen last. False: out of memory. */
bool fleet_keep_one_of_each(json_t *vms);

/** What a daemon says to an order. */
struct fleet_reply {
    int status;                 /**< of HTTP; 200: it is done */
    char why[FLEET_TEXT_BYTES]; /**< else: why not, in the daemon's words */
};

/** POST path to one daemon. EXIT_CODE_OK: it has answered, and *out is filled; EXIT_CODE_NO,
 * EXIT_CODE_UNREACHABLE: said. */
int fleet_post(const struct command_line *line, const char *address, const char *path,
               struct fleet_reply *out);

/** Write v in the format that was asked for, JSON or YAML. */
int fleet_write(const struct command_line *line, const struct fleet_opts *o, const json_t *v);

/** The text of a printf() with what strangers said in it made harmless (core/base/show.h). */
void fleet_clean(char out[FLEET_CLEAN_BYTES], const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/** "xdsgate vm list: TEXT" on the error stream; returns code. */
int fleet_complain(const struct command_line *line, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** The address to use when exactly one daemon is to be asked. */
const char *fleet_address(const struct fleet_opts *o, size_t i);
size_t fleet_size(const struct fleet_opts *o);

/** Milliseconds since 1970 of an RFC 3339 time in UTC, as the API writes it; 0: none. */
int64_t fleet_time(const json_t *v);

/** A span in words as kubectl's: "3d4h", "12m", "5s", into buf of FLEET_SPAN_BYTES; returns buf. */
#define FLEET_SPAN_BYTES 32
const char *fleet_span(int64_t ms, char *buf);
