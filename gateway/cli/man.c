/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate man`: the manual pages, from the same tables as --help. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file_put.h"
#include "gateway/cli/commands.h"
#include "gateway/daemon/version.h"

struct man_opts {
    const char *folder; /* NULL: to standard output */
};

/* Text for roff: backslashes, and what begins a request at the start of a line. */
static void write_roff(FILE *out, const char *text)
{
    bool at_start = true;

    for (; *text != '\0'; text++) {
        if (at_start && (*text == '.' || *text == '\'')) {
            (void)fputs("\\&", out);
        }
        if (*text == '\\') {
            (void)fputs("\\e", out);
        } else if (*text == '-') {
            (void)fputs("\\-", out);
        } else {
            (void)fputc(*text, out);
        }
        at_start = *text == '\n';
    }
}

/* "xdsgate-vm-list", or in capitals. */
static void write_page_name(FILE *out, const struct command *c, bool capitals)
{
    (void)fputs(capitals ? "XDSGATE" : "xdsgate", out);
    for (const char *p = c != NULL ? c->name : ""; *p != '\0'; p++) {
        if (p == c->name) {
            (void)fputs("\\-", out);
        }
        (void)fprintf(out, *p == ' ' || *p == '-' ? "\\-" : "%c", capitals ? toupper(*p) : *p);
    }
}

static void write_option(FILE *out, const struct option_row *row)
{
    (void)fputs(".TP\n", out);
    if (row->letter != 0) {
        (void)fprintf(out, "\\fB\\-%c\\fR, ", row->letter);
    }
    (void)fputs("\\fB\\-\\-", out);
    write_roff(out, row->name);
    (void)fprintf(out, "\\fR%s%s%s\n", row->value != NULL ? " \\fI" : "",
                  row->value != NULL ? row->value : "", row->value != NULL ? "\\fR" : "");
    write_roff(out, row->help);
    (void)fputc('\n', out);
}

static void write_head(FILE *out, const struct command *c, const char *summary)
{
    (void)fputs(".TH ", out);
    write_page_name(out, c, true);
    (void)fprintf(out, " 8 \"\" \"xdsgate %s\"\n.SH NAME\n", XDSGATE_VERSION);
    write_page_name(out, c, false);
    (void)fputs(" \\- ", out);
    write_roff(out, summary);
    (void)fputs("\n.SH SYNOPSIS\n", out);
}

static void write_command(FILE *out, const struct command *c)
{
    write_head(out, c, c->summary);
    (void)fprintf(out, "\\fBxdsgate %s\\fR ", c->name);
    write_roff(out, c->usage);
    (void)fputs("\n.SH OPTIONS\n", out);
    for (size_t i = 0; i < c->n_rows; i++) {
        write_option(out, &c->rows[i]);
    }
    (void)fputs(".TP\n\\fB\\-\\-help\\fR\na summary of this page\n", out);
    if (*c->more != '\0') {
        (void)fputs(".SH DESCRIPTION\n.nf\n", out);
        write_roff(out, c->more + (*c->more == '\n'));
        (void)fputs(".fi\n", out);
    }
    (void)fputs(
        ".SH EXIT STATUS\n0 done; 1 the answer is no, or it could not be done; 2 wrong usage "
        "or configuration; 3 the daemon or the cluster cannot be reached.\n"
        ".SH SEE ALSO\n\\fBxdsgate\\fR(8)\n",
        out);
}

static void write_overview(FILE *out)
{
    write_head(out, NULL, "a control-plane gateway for VMs of an Istio mesh");
    (void)fputs("\\fBxdsgate\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n.SH COMMANDS\n", out);
    for (const struct command *const *c = commands_all; *c != NULL; c++) {
        (void)fputs(".TP\n\\fB", out);
        write_page_name(out, *c, false);
        (void)fputs("\\fR(8)\n", out);
        write_roff(out, (*c)->summary);
        (void)fputc('\n', out);
    }
}

static void write_page(FILE *out, const struct command *c)
{
    if (c == NULL) {
        write_overview(out);
    } else {
        write_command(out, c);
    }
}

static const struct command *find(const char *name)
{
    for (const struct command *const *c = commands_all; *c != NULL; c++) {
        if (strcmp((*c)->name, name) == 0) {
            return *c;
        }
    }
    return NULL;
}

/* One page as a file of a folder. NULL: the overview. */
static int write_file(const struct command_line *line, const char *folder, const struct command *c)
{
    char path[PATH_MAX];
    size_t failed = 0;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    if (out == NULL) {
        (void)fprintf(line->err, "xdsgate man: %s\n", rc_text(RC_NO_MEMORY));
        return EXIT_CODE_NO;
    }
    int n_path = snprintf(path, sizeof(path), "%s/xdsgate%s%s.8", folder, c != NULL ? "-" : "",
                          c != NULL ? c->name : "");
    for (char *p = path + strlen(folder); *p != '\0'; p++) {
        *p = *p == ' ' ? '-' : *p;
    }
    write_page(out, c);
    bool written = ferror(out) == 0;
    written = fclose(out) == 0 && written && n_path < (int)sizeof(path);
    const struct file_put page = {.path = path, .data = text, .n = n, .mode = 0644};
    enum rc rc = written ? file_put_all(&page, 1, &failed) : RC_NO_MEMORY;
    if (rc != RC_OK) {
        (void)fprintf(line->err, "xdsgate man: %s: %s\n", path,
                      rc == RC_SYSTEM ? strerror(errno) : rc_text(rc));
    }
    free(text);
    return rc == RC_OK ? EXIT_CODE_OK : EXIT_CODE_NO;
}

static int write_files(const struct command_line *line, const char *folder)
{
    int code = write_file(line, folder, NULL);

    for (const struct command *const *c = commands_all; *c != NULL && code == EXIT_CODE_OK; c++) {
        code = write_file(line, folder, *c);
    }
    return code;
}

static int man(const struct command_line *line)
{
    const struct man_opts *o = line->opts;
    char name[64] = "";
    size_t n = 0;

    for (size_t i = 0; i < line->n_args && n < sizeof(name); i++) {
        n += (size_t)snprintf(name + n, sizeof(name) - n, "%s%s", i > 0 ? " " : "", line->args[i]);
    }
    const struct command *c = find(name);
    if (line->n_args > 0 && c == NULL) {
        (void)fprintf(line->err, "xdsgate man: there is no command %s\n", name);
        return EXIT_CODE_USAGE;
    }
    if (o->folder == NULL) {
        write_page(line->out, c);
        return EXIT_CODE_OK;
    }
    if (c != NULL) {
        (void)fputs("xdsgate man: --output is for all pages; name no command\n", line->err);
        return EXIT_CODE_USAGE;
    }
    return write_files(line, o->folder);
}

static const struct option_row rows[] = {
    {.name = "output",
     .letter = 'o',
     .value = "FOLDER",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct man_opts, folder),
     .help = "write all pages there, as files"},
};

const struct command command_man = {
    .name = "man",
    .usage = "[COMMAND]",
    .summary = "the manual page of a command, for man(1)",
    .max_args = 2,
    .args_name = "COMMAND",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .opts_bytes = sizeof(struct man_opts),
    .run = man,
    .more = "\nSuch as: xdsgate man vm list | man -l -\n"
            "     or: xdsgate man --output /usr/local/share/man/man8\n",
};
