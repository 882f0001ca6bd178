/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands from standard input, one a line, answered in their order. One that takes time keeps the
 * next ones waiting until it is answered. The end of the input ends the loop, after the last
 * command was answered.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMANDS_MAGIC 0xc0333a4du
#define COMMAND_WORDS_MAX 8
#define COMMAND_LINE_BYTES 1024

/** The words after the name. */
struct words {
    const char *at[COMMAND_WORDS_MAX]; /**< borrowed during the call */
    unsigned n;
};

struct command {
    const char *name;
    const char *usage; /**< the words it takes; the answer when they are not right */
    unsigned min_words;
    unsigned max_words;

    /**
     * Do it and answer it, or answer later and keep the rest waiting (commands_hold()). false: the
     * words are not right, nothing was done and nothing answered.
     */
    bool (*run)(void *arg, const struct words *words);
};

/** Embedded. */
struct commands {
    uint32_t magic; /**< COMMANDS_MAGIC */
    struct ev_loop *loop;
    const struct command *table; /**< borrowed; ends with a row without name */
    void *arg;                   /**< borrowed */
    ev_io input;
    ev_timer next; /**< never started, only fed: the next command runs outside of the caller */
    char line[COMMAND_LINE_BYTES]; /**< what was read and not yet run */
    size_t n;
    bool held;
    bool skipping; /**< the rest of a line that is too long */
    bool ended;    /**< no more input */
};

/** Start to read commands. table and arg are borrowed for the life of c. */
void commands_start(struct commands *c, struct ev_loop *loop, const struct command *table,
                    void *arg);

/** The command that runs answers later. */
void commands_hold(struct commands *c);

/** It has been answered; the next one runs soon, but not inside of this call. */
void commands_release(struct commands *c);

/** Is this word a whole number from min to max, or a number from min to max? */
bool word_int(const char *word, uint64_t min, uint64_t max, uint64_t *out);
bool word_num(const char *word, double min, double max, double *out);
