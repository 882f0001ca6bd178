/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands and their options as tables: `xdsgate COMMAND [OPTIONS]`. A row says an option's name,
 * kind, place and text; reading a command line and --help both come from the rows. GNU long
 * options; a flag may be written --flag=true and --flag=false, too, as istioctl's are.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/exit_code.h"

enum option_kind {
    OPTION_FLAG,    /**< bool */
    OPTION_TEXT,    /**< const char *, borrowed from argv; not empty; the last one counts */
    OPTION_TEXTS,   /**< struct option_texts: each time it is given, and each part between commas */
    OPTION_WORD,    /**< int: the value of one of `words` */
    OPTION_COUNT,   /**< uint32_t from min to max */
    OPTION_SECONDS, /**< double: "90d", "24h", "5m", "30s", or a number of seconds; min to max */
};

/** A word and what it means; a list of them ends with a NULL word. */
struct option_word {
    const char *word;
    int value;
};

#define OPTION_TEXTS_MAX 64

struct option_texts {
    char *items[OPTION_TEXTS_MAX]; /**< borrowed from argv */
    size_t n;
};

struct option_row {
    const char *name;                /**< "config" */
    const char *value;               /**< what help calls its value: "FILE"; NULL: it takes none */
    const char *help;                /**< one line, lower case */
    const struct option_word *words; /**< of OPTION_WORD */
    double min;                      /**< of numbers, with max */
    double max;                      /**< of numbers */
    size_t offset;                   /**< of the field in the command's options */
    enum option_kind kind;
    char letter; /**< 'c', or 0 */
    bool required;
};

struct command;

/** A command line that was understood. */
struct command_line {
    const struct command *command;
    void *opts;        /**< the command's options, filled by its rows; borrowed */
    char **args;       /**< what is no option; borrowed from argv */
    size_t n_args;     /**< within the command's min_args and max_args */
    char *const *argv; /**< the whole line as it was given, for a handover */
    FILE *out;         /**< for the answer */
    FILE *err;         /**< for complaints */
};

struct command {
    const char *name;    /**< "check", or two words: "bundle create" */
    const char *usage;   /**< what follows the name: "--config FILE" */
    const char *summary; /**< one line, lower case, no full stop */
    size_t min_args;
    size_t max_args;
    const char *args_name; /**< what a missing argument is called: "FILE" */
    const char
        *args_words; /**< what arguments may be, for completion: "bash zsh"; NULL: anything */
    const struct option_row *rows;
    size_t n_rows;
    size_t opts_bytes;        /**< of the struct that the rows fill; zeroed */
    void (*init)(void *opts); /**< sets defaults that are not zero, or NULL */
    /** Does it. Returns an enum exit_code. */
    int (*run)(const struct command_line *line);
    const char *more; /**< the rest of --help: whole lines, or "" */
};

/**
 * Find the command that a line means, read its options and run it. --help, --version and wrong
 * usage are answered here. Changes the order of argv (getopt_long); one thread.
 *
 * commands  NULL-terminated, in the order of the help.
 * out, err  where answers and complaints go; out is flushed, and what could not be written is an
 *           error.
 * Returns an enum exit_code.
 */
int command_main(const struct command *const *commands, int argc, char **argv, FILE *out,
                 FILE *err);
