/* SPDX-License-Identifier: Apache-2.0 */
/* One command's options: read by its rows, and its --help. */
#include "gateway/cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/cli/options_internal.h"

#define MAX_ROWS 48

/* What getopt_long() returns for --help and for rows, where no letter could be meant. */
enum { OPT_HELP = 256, OPT_FIRST_ROW = 257 };

/* Two columns: where the text of an option begins. */
#define HELP_COLUMN 24

/* ---- values ---- */

static void *field(const struct command_line *line, const struct option_row *row)
{
    return (char *)line->opts + row->offset;
}

static bool complain(const struct command_line *line, const struct option_row *row,
                     const char *value, const char *what)
{
    (void)fprintf(line->err, "xdsgate %s: --%s: '%s' %s\n", line->command->name, row->name, value,
                  what);
    return false;
}

static bool take_flag(const struct command_line *line, const struct option_row *row,
                      const char *value)
{
    bool on = value == NULL || strcmp(value, "true") == 0;

    if (!on && strcmp(value, "false") != 0) {
        return complain(line, row, value, "is neither true nor false");
    }
    *(bool *)field(line, row) = on;
    return true;
}

static bool take_text(const struct command_line *line, const struct option_row *row,
                      const char *value)
{
    if (*value == '\0') {
        return complain(line, row, value, "is empty");
    }
    *(const char **)field(line, row) = value;
    return true;
}

static bool take_texts(const struct command_line *line, const struct option_row *row, char *value)
{
    struct option_texts *list = field(line, row);

    for (char *item = value; item != NULL;) {
        char *comma = strchr(item, ',');
        if (comma != NULL) {
            *comma++ = '\0';
        }
        if (*item == '\0') {
            return complain(line, row, item, "is empty: write values with one comma between them");
        }
        if (list->n == OPTION_TEXTS_MAX) {
            return complain(line, row, item, "is one too many");
        }
        list->items[list->n++] = item;
        item = comma;
    }
    return true;
}

static bool take_word(const struct command_line *line, const struct option_row *row,
                      const char *value)
{
    for (const struct option_word *w = row->words; w->word != NULL; w++) {
        if (strcmp(w->word, value) == 0) {
            *(int *)field(line, row) = w->value;
            return true;
        }
    }
    (void)fprintf(line->err, "xdsgate %s: --%s: '%s' is not known; it may be", line->command->name,
                  row->name, value);
    for (const struct option_word *w = row->words; w->word != NULL; w++) {
        (void)fprintf(line->err, "%s %s", w == row->words ? "" : ",", w->word);
    }
    (void)fputc('\n', line->err);
    return false;
}

/* A number of digits, and where it ends; false: none, or too large. */
static bool digits(const char *text, double *out, const char **end)
{
    char *rest = NULL;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    unsigned long long v = strtoull(text, &rest, 10);
    *end = rest;
    *out = (double)v;
    return errno == 0 && v <= 1ULL << 53;
}

static bool in_range(const struct command_line *line, const struct option_row *row,
                     const char *value, double v)
{
    char what[96];

    if (v >= row->min && v <= row->max) {
        return true;
    }
    (void)snprintf(what, sizeof(what), "is out of range: %.0f to %.0f%s", row->min, row->max,
                   row->kind == OPTION_SECONDS ? " seconds" : "");
    return complain(line, row, value, what);
}

static bool take_count(const struct command_line *line, const struct option_row *row,
                       const char *value)
{
    double v = 0;
    const char *end = value;

    if (!digits(value, &v, &end) || *end != '\0') {
        return complain(line, row, value, "is no whole number");
    }
    if (!in_range(line, row, value, v)) {
        return false;
    }
    *(uint32_t *)field(line, row) = (uint32_t)v;
    return true;
}

static bool take_seconds(const struct command_line *line, const struct option_row *row,
                         const char *value)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    double v = 0;
    const char *end = value;
    bool number = digits(value, &v, &end);

    for (size_t i = 0; number && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) == 0) {
            *(double *)field(line, row) = v * units[i].seconds;
            return in_range(line, row, value, v * units[i].seconds);
        }
    }
    return complain(line, row, value, "is no duration: write 30s, 5m, 24h or 90d");
}

static bool take(const struct command_line *line, const struct option_row *row, char *value)
{
    switch (row->kind) {
    case OPTION_FLAG:
        return take_flag(line, row, value);
    case OPTION_TEXT:
        return take_text(line, row, value);
    case OPTION_TEXTS:
        return take_texts(line, row, value);
    case OPTION_WORD:
        return take_word(line, row, value);
    case OPTION_COUNT:
        return take_count(line, row, value);
    case OPTION_SECONDS:
        return take_seconds(line, row, value);
    }
    return false;
}

/* ---- the line ---- */

static void complain_of_option(const struct command_line *line, int opt, char *const *argv)
{
    const char *name = line->command->name;

    if (opt == ':') {
        (void)fprintf(line->err, "xdsgate %s: option '%s' needs a value\n", name, argv[optind - 1]);
    } else if (optopt > 0 && optopt < OPT_HELP) {
        (void)fprintf(line->err, "xdsgate %s: unknown option '-%c'\n", name, optopt);
    } else {
        (void)fprintf(line->err, "xdsgate %s: unknown or ambiguous option '%s'\n", name,
                      argv[optind - 1]);
    }
}

/* The row of what getopt_long() returned, by number or by letter. */
static size_t row_of(const struct command *c, int opt)
{
    if (opt >= OPT_FIRST_ROW) {
        return (size_t)(opt - OPT_FIRST_ROW);
    }
    for (size_t i = 0; i < c->n_rows; i++) {
        if (c->rows[i].letter == opt) {
            return i;
        }
    }
    return SIZE_MAX;
}

static void make_tables(const struct command *c, struct option *longs, char *letters)
{
    *letters++ = ':';
    longs[0] = (struct option){"help", no_argument, NULL, OPT_HELP};
    for (size_t i = 0; i < c->n_rows; i++) {
        const struct option_row *row = &c->rows[i];
        bool flag = row->kind == OPTION_FLAG;
        longs[i + 1] = (struct option){row->name, flag ? optional_argument : required_argument,
                                       NULL, OPT_FIRST_ROW + (int)i};
        if (row->letter != 0) {
            *letters++ = row->letter;
            if (!flag) {
                *letters++ = ':';
            }
        }
    }
    longs[c->n_rows + 1] = (struct option){0};
    *letters = '\0';
}

static bool check_arguments(const struct command_line *line)
{
    const struct command *c = line->command;

    if (line->n_args > c->max_args) {
        (void)fprintf(line->err, "xdsgate %s: unexpected argument '%s'\n", c->name,
                      line->args[c->max_args]);
        return false;
    }
    if (line->n_args < c->min_args) {
        (void)fprintf(line->err, "xdsgate %s: %s is missing\n", c->name, c->args_name);
        return false;
    }
    return true;
}

static bool check_required(const struct command_line *line, const bool *given)
{
    for (size_t i = 0; i < line->command->n_rows; i++) {
        const struct option_row *row = &line->command->rows[i];
        if (row->required && !given[i]) {
            (void)fprintf(line->err, "xdsgate %s: --%s %s is missing\n", line->command->name,
                          row->name, row->value);
            return false;
        }
    }
    return true;
}

enum options_outcome options_read(int argc, char **argv, struct command_line *line)
{
    const struct command *c = line->command;
    struct option longs[MAX_ROWS + 2];
    char letters[2 * MAX_ROWS + 2];
    bool given[MAX_ROWS] = {false};
    int opt;

    CHECK(c->n_rows <= MAX_ROWS);
    make_tables(c, longs, letters);
    opterr = 0;
    optind = 0; /* start anew, also in a second call (glibc) */
    while ((opt = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        if (opt == OPT_HELP) {
            return OPTIONS_HELP;
        }
        size_t i = opt == ':' || opt == '?' ? SIZE_MAX : row_of(c, opt);
        if (i == SIZE_MAX) {
            complain_of_option(line, opt, argv);
            return OPTIONS_WRONG;
        }
        given[i] = true;
        if (!take(line, &c->rows[i], optarg)) {
            return OPTIONS_WRONG;
        }
    }
    line->args = argv + optind;
    line->n_args = (size_t)(argc - optind);
    return check_arguments(line) && check_required(line, given) ? OPTIONS_RUN : OPTIONS_WRONG;
}

/* ---- help ---- */

static void write_row(FILE *out, const struct option_row *row)
{
    char left[64];
    char letter[8] = "    ";
    const char *value = row->value != NULL ? row->value : "";

    if (row->letter != 0) {
        (void)snprintf(letter, sizeof(letter), "-%c, ", row->letter);
    }
    (void)snprintf(left, sizeof(left), "  %s--%s%s%s", letter, row->name, *value != '\0' ? " " : "",
                   value);
    if (strlen(left) > HELP_COLUMN - 2) {
        (void)fprintf(out, "%s\n%*s%s\n", left, HELP_COLUMN, "", row->help);
    } else {
        (void)fprintf(out, "%-*s%s\n", HELP_COLUMN, left, row->help);
    }
}

void options_write_help(FILE *out, const struct command *c)
{
    static const struct option_row help = {.name = "help", .help = "this text"};

    (void)fprintf(out, "Usage: xdsgate %s%s%s\n\n%c%s.\n\n", c->name, *c->usage != '\0' ? " " : "",
                  c->usage, c->summary[0] - 'a' + 'A', c->summary + 1);
    for (size_t i = 0; i < c->n_rows; i++) {
        write_row(out, &c->rows[i]);
    }
    write_row(out, &help);
    (void)fputs(c->more, out);
}
