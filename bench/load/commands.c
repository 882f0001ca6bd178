/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/commands.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/answer.h"
#include "core/base/check.h"

/* Cut a line into words in place. false: too many. */
static bool split(char *line, const char **name, struct words *words)
{
    char *rest = NULL;

    *name = strtok_r(line, " \t\r", &rest);
    words->n = 0;
    for (char *w = strtok_r(NULL, " \t\r", &rest); w != NULL; w = strtok_r(NULL, " \t\r", &rest)) {
        if (words->n == COMMAND_WORDS_MAX) {
            return false;
        }
        words->at[words->n++] = w;
    }
    return true;
}

static void run_line(struct commands *c, char *line)
{
    const struct command *row = c->table;
    struct words words;
    const char *name;
    char text[128];
    bool fits = split(line, &name, &words);

    if (c->skipping) {
        c->skipping = false;
        answer_error("the line is too long");
        return;
    }
    if (name == NULL) {
        return;
    }
    while (row->name != NULL && strcmp(row->name, name) != 0) {
        row++;
    }
    if (row->name == NULL) {
        answer_error("no such command");
        return;
    }
    if (!fits || words.n < row->min_words || words.n > row->max_words ||
        !row->run(c->arg, &words)) {
        (void)snprintf(text, sizeof(text), "usage: %s %s", row->name, row->usage);
        answer_error(text);
    }
}

static void run_waiting(struct commands *c)
{
    char *end;

    while (!c->held && (end = memchr(c->line, '\n', c->n)) != NULL) {
        char line[COMMAND_LINE_BYTES];
        size_t length = (size_t)(end - c->line);
        memcpy(line, c->line, length);
        line[length] = '\0';
        c->n -= length + 1;
        memmove(c->line, end + 1, c->n);
        run_line(c, line);
    }
    if (c->n == sizeof(c->line) && !c->held) {
        c->skipping = true;
        c->n = 0;
    }
    if (c->ended && !c->held) {
        ev_break(c->loop, EVBREAK_ALL);
    } else if (!c->ended && c->n < sizeof(c->line)) {
        ev_io_start(c->loop, &c->input);
    }
}

static void on_input(struct ev_loop *loop, ev_io *w, int revents)
{
    struct commands *c = w->data;
    ssize_t n = read(STDIN_FILENO, c->line + c->n, sizeof(c->line) - c->n);

    (void)revents;
    CHECK_MAGIC(c, COMMANDS_MAGIC);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    if (n > 0) {
        c->n += (size_t)n;
    }
    c->ended = n <= 0;
    if (c->ended || c->n == sizeof(c->line)) {
        ev_io_stop(loop, w);
    }
    run_waiting(c);
}

static void on_next(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct commands *c = w->data;

    (void)loop;
    (void)revents;
    CHECK_MAGIC(c, COMMANDS_MAGIC);
    run_waiting(c);
}

void commands_start(struct commands *c, struct ev_loop *loop, const struct command *table,
                    void *arg)
{
    *c = (struct commands){.magic = COMMANDS_MAGIC, .loop = loop, .table = table, .arg = arg};
    ev_init(&c->next, on_next);
    c->next.data = c;
    ev_io_init(&c->input, on_input, STDIN_FILENO, EV_READ);
    c->input.data = c;
    ev_io_start(loop, &c->input);
}

void commands_hold(struct commands *c)
{
    CHECK_MAGIC(c, COMMANDS_MAGIC);
    c->held = true;
}

void commands_release(struct commands *c)
{
    CHECK_MAGIC(c, COMMANDS_MAGIC);
    CHECK(c->held);
    c->held = false;
    ev_feed_event(c->loop, &c->next, EV_CUSTOM);
}

bool word_int(const char *word, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(word, &end, 10);
    if (errno != 0 || end == word || *end != '\0' || *word == '-' || value < min || value > max) {
        return false;
    }
    *out = value;
    return true;
}

bool word_num(const char *word, double min, double max, double *out)
{
    char *end;
    double value = strtod(word, &end);

    if (end == word || *end != '\0' || !isfinite(value) || value < min || value > max) {
        return false;
    }
    *out = value;
    return true;
}
