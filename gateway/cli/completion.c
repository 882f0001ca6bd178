/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate completion`: what a shell needs to complete command lines, from the commands' tables. */
#include <stdlib.h>
#include <string.h>

#include "gateway/cli/commands.h"

/*
 * Names of VMs come from VMs, and compgen -W expands what it is given, commands included: only
 * names of plain characters are offered.
 */
#define VM_NAMES \
    "xdsgate vm list 2>/dev/null | awk 'NR > 1 && $1 ~ /^[A-Za-z0-9._-]+$/ { print $1 }'"

/* ---- what the tables say ---- */

static size_t first_word(const struct command *c)
{
    return strcspn(c->name, " ");
}

/* Has a command before this one the same first word? */
static bool is_repeated(size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (first_word(commands_all[k]) == first_word(commands_all[i]) &&
            strncmp(commands_all[k]->name, commands_all[i]->name, first_word(commands_all[i])) ==
                0) {
            return true;
        }
    }
    return false;
}

static bool is_group(const struct command *c)
{
    return c->name[first_word(c)] == ' ';
}

/* Is it what a path is called in the help? */
static bool is_path(const char *name)
{
    static const char *const names[] = {"FILE", "DIR", "FOLDER", "PATH"};

    for (size_t i = 0; name != NULL && i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool takes_command(const struct command *c)
{
    return c == &command_man;
}

static bool takes_vm(const struct command *c)
{
    return strncmp(c->name, "vm ", 3) == 0 && c->max_args > 0;
}

/* ---- bash ---- */

static void write_first_words(FILE *out)
{
    for (size_t i = 0; commands_all[i] != NULL; i++) {
        if (!is_repeated(i)) {
            (void)fprintf(out, "%s%.*s", i > 0 ? " " : "", (int)first_word(commands_all[i]),
                          commands_all[i]->name);
        }
    }
}

static void write_second_words(FILE *out, const struct command *group)
{
    size_t n = first_word(group);
    const char *blank = "";

    for (const struct command *const *c = commands_all; *c != NULL; c++) {
        if (is_group(*c) && first_word(*c) == n && strncmp((*c)->name, group->name, n) == 0) {
            (void)fprintf(out, "%s%s", blank, (*c)->name + n + 1);
            blank = " ";
        }
    }
}

static void write_bash_value(FILE *out, const struct option_row *row)
{
    if (row->words == NULL && !is_path(row->value)) {
        return;
    }
    (void)fprintf(out, "            --%s", row->name);
    if (row->letter != 0) {
        (void)fprintf(out, " | -%c", row->letter);
    }
    if (row->words == NULL) {
        (void)fputs(") mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n", out);
        return;
    }
    (void)fputs(") words='", out);
    for (const struct option_word *w = row->words; w->word != NULL; w++) {
        (void)fprintf(out, "%s%s", w == row->words ? "" : " ", w->word);
    }
    (void)fputs("' ;;\n", out);
}

/* What to offer where no option is. */
static const char *bash_arguments(const struct command *c)
{
    if (takes_vm(c)) {
        return "words=$(" VM_NAMES ")";
    }
    if (takes_command(c)) {
        return "[ \"$COMP_CWORD\" -lt 4 ] && words=$(_xdsgate_commands "
               "\"$([ \"$COMP_CWORD\" = 3 ] && echo \"$prev\")\")";
    }
    return is_path(c->args_name) ? "mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return" : "";
}

static void write_bash_command(FILE *out, const struct command *c)
{
    (void)fprintf(out, is_group(c) ? "    '%s')\n" : "    '%s '*)\n", c->name);
    (void)fputs("        case $prev in\n", out);
    for (size_t i = 0; i < c->n_rows; i++) {
        write_bash_value(out, &c->rows[i]);
    }
    (void)fputs("            *) case $cur in -*) words='--help", out);
    for (size_t i = 0; i < c->n_rows; i++) {
        (void)fprintf(out, " --%s", c->rows[i].name);
    }
    if (c->args_words != NULL) {
        (void)fprintf(out, "' ;; *) words='%s' ;; esac ;;\n", c->args_words);
    } else {
        (void)fprintf(out, "' ;; *) %s ;; esac ;;\n", bash_arguments(c));
    }
    (void)fputs("        esac ;;\n", out);
}

/* The first words of commands, or, with one of them, the second ones. */
static void write_bash_commands(FILE *out)
{
    (void)fputs("_xdsgate_commands() {\n    case $1 in\n    '') echo '", out);
    write_first_words(out);
    (void)fputs("' ;;\n", out);
    for (size_t i = 0; commands_all[i] != NULL; i++) {
        const struct command *c = commands_all[i];
        if (is_group(c) && !is_repeated(i)) {
            (void)fprintf(out, "    '%.*s') echo '", (int)first_word(c), c->name);
            write_second_words(out, c);
            (void)fputs("' ;;\n", out);
        }
    }
    (void)fputs("    esac\n}\n", out);
}

static void write_bash(FILE *out)
{
    write_bash_commands(out);
    (void)fputs(
        "_xdsgate() {\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=''\n"
        "    COMPREPLY=()\n"
        "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
        "        words=\"$(_xdsgate_commands '') --help --version\"\n"
        "    else case \"${COMP_WORDS[1]} "
        "$([ \"$COMP_CWORD\" -gt 2 ] && echo \"${COMP_WORDS[2]}\")\" in\n",
        out);
    for (size_t i = 0; commands_all[i] != NULL; i++) {
        const struct command *c = commands_all[i];
        if (is_group(c) && !is_repeated(i)) {
            (void)fprintf(out, "    '%.*s ') words=$(_xdsgate_commands %.*s) ;;\n",
                          (int)first_word(c), c->name, (int)first_word(c), c->name);
        }
        write_bash_command(out, c);
    }
    (void)fputs("    esac; fi\n"
                "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                "}\n"
                "complete -F _xdsgate xdsgate\n",
                out);
}

/* ---- fish ---- */

/* Of the summaries, which hold no backslash. */
static void write_quoted(FILE *out, const char *text)
{
    (void)fputc('\'', out);
    for (; *text != '\0'; text++) {
        (void)fprintf(out, *text == '\'' ? "\\%c" : "%c", *text);
    }
    (void)fputc('\'', out);
}

static void write_fish_command(FILE *out, const struct command *c)
{
    size_t n = first_word(c);

    if (is_group(c)) {
        (void)fprintf(
            out,
            "complete -c xdsgate -f -n '__fish_seen_subcommand_from %.*s; and test (count "
            "(commandline -opc)) = 2' -a %s -d ",
            (int)n, c->name, c->name + n + 1);
    } else {
        (void)fprintf(out, "complete -c xdsgate -f -n __fish_use_subcommand -a %s -d ", c->name);
    }
    write_quoted(out, c->summary);
    (void)fputc('\n', out);
    for (size_t i = 0; i < c->n_rows; i++) {
        const struct option_row *row = &c->rows[i];
        (void)fprintf(
            out, "complete -c xdsgate -n 'string match -q \"xdsgate %s*\" (commandline)' -l %s",
            c->name, row->name);
        if (row->letter != 0) {
            (void)fprintf(out, " -s %c", row->letter);
        }
        if (row->kind != OPTION_FLAG) {
            (void)fputs(is_path(row->value) ? " -r -F" : " -x", out);
        }
        for (const struct option_word *w = row->words; w != NULL && w->word != NULL; w++) {
            (void)fprintf(out, "%s%s%s", w == row->words ? " -a '" : " ", w->word,
                          w[1].word == NULL ? "'" : "");
        }
        (void)fputs(" -d ", out);
        write_quoted(out, row->help);
        (void)fputc('\n', out);
    }
    if (c->args_words != NULL) {
        (void)fprintf(
            out,
            "complete -c xdsgate -f -n 'string match -q \"xdsgate %s*\" (commandline)' -a '%s'\n",
            c->name, c->args_words);
    }
    if (takes_command(c)) {
        (void)fprintf(
            out, "complete -c xdsgate -f -n 'string match -q \"xdsgate %s*\" (commandline)' -a '",
            c->name);
        write_first_words(out);
        (void)fputs("'\n", out);
    }
    if (takes_vm(c)) {
        (void)fprintf(
            out,
            "complete -c xdsgate -f -n 'string match -q \"xdsgate %s*\" (commandline)' -a "
            "\"(%s)\"\n",
            c->name, "xdsgate vm list 2>/dev/null | string match -rg '^([A-Za-z0-9._-]+) '");
    }
}

static void write_fish(FILE *out)
{
    for (size_t i = 0; commands_all[i] != NULL; i++) {
        const struct command *c = commands_all[i];
        if (is_group(c) && !is_repeated(i)) {
            (void)fprintf(out, "complete -c xdsgate -f -n __fish_use_subcommand -a %.*s\n",
                          (int)first_word(c), c->name);
        }
        write_fish_command(out, c);
    }
}

/* ---- the command ---- */

static int completion(const struct command_line *line)
{
    const char *shell = line->args[0];

    if (strcmp(shell, "bash") == 0) {
        write_bash(line->out);
    } else if (strcmp(shell, "zsh") == 0) {
        (void)fputs("#compdef xdsgate\nautoload -U +X bashcompinit && bashcompinit\n"
                    "mapfile() { local line; COMPREPLY=(); while IFS= read -r line; do "
                    "COMPREPLY+=(\"$line\"); done; }\n",
                    line->out);
        write_bash(line->out);
    } else if (strcmp(shell, "fish") == 0) {
        write_fish(line->out);
    } else {
        (void)fprintf(line->err, "xdsgate completion: write bash, zsh or fish\n");
        return EXIT_CODE_USAGE;
    }
    return EXIT_CODE_OK;
}

const struct command command_completion = {
    .name = "completion",
    .usage = "bash|zsh|fish",
    .summary = "what a shell needs to complete command lines",
    .min_args = 1,
    .max_args = 1,
    .args_name = "SHELL",
    .args_words = "bash zsh fish",
    .run = completion,
    .more = "\nbash: xdsgate completion bash >/etc/bash_completion.d/xdsgate\n"
            "zsh:  xdsgate completion zsh >/usr/local/share/zsh/site-functions/_xdsgate\n"
            "fish: xdsgate completion fish >/etc/fish/completions/xdsgate.fish\n",
};
