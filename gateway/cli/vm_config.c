/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate vm config`: what a VM has of istiod's configuration, or what was last changed of it. */
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "gateway/cli/commands.h"
#include "gateway/cli/json_diff.h"
#include "gateway/cli/vm_pick.h"

#define INDENT 4

struct vm_config_opts {
    struct fleet_opts fleet;
    struct vm_pick pick;
    bool diff;
};

/* ---- what is missing ---- */

static const char *reason_of(const json_t *type)
{
    static const struct {
        const char *state;
        const char *text;
    } reasons[] = {
        {"full", "there was no room for it; `registry.keep_config` says how much there is"},
        {"unreadable", "a response of istiod could not be read"},
        {"incomplete", "it was not seen from its beginning; it will be when the VM connects again"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
        if (doc_is_text(type, "state", reasons[i].state)) {
            return reasons[i].text;
        }
    }
    return NULL;
}

/* Says which types are not whole; EXIT_CODE_NO when some are not there at all. */
static int complain_of_gaps(const struct command_line *line, const json_t *types)
{
    int code = EXIT_CODE_OK;
    size_t i;
    json_t *type;

    json_array_foreach(types, i, type)
    {
        const char *reason = reason_of(type);
        if (reason != NULL) {
            code = fleet_complain(line, EXIT_CODE_NO, "%s is not kept: %s",
                                  doc_text(type, "type", NULL), reason);
        } else if (json_is_true(doc_at(type, "partly_rejected", NULL))) {
            (void)fleet_complain(line, EXIT_CODE_OK,
                                 "the VM has rejected %s since; what was good of it, it may have "
                                 "taken all the same",
                                 doc_text(type, "type", NULL));
        }
    }
    return code;
}

/* ---- the last change ---- */

static size_t count(const json_t *resources, const char *what)
{
    size_t n = 0;
    size_t i;
    json_t *one;

    json_array_foreach(resources, i, one)
    {
        n += doc_is_text(one, "what", what);
    }
    return n;
}

static void write_resource(const struct command_line *line, const json_t *one)
{
    char clean[FLEET_CLEAN_BYTES];
    const char *name = doc_text(one, "name", NULL);
    const char *mark = doc_is_text(one, "what", "added")     ? "+"
                       : doc_is_text(one, "what", "removed") ? "-"
                                                             : "~";

    name = name != NULL ? name : "";
    size_t n = strlen(name);
    (void)show_clean(name, n < FLEET_TEXT_BYTES ? n : FLEET_TEXT_BYTES, clean);
    (void)fprintf(line->out, "%s %s\n", mark, clean);
    if (doc_is_text(one, "what", "changed")) {
        json_diff_write(doc_at(one, "before", NULL), doc_at(one, "after", NULL), INDENT, line->out);
    }
}

static void write_type(const struct command_line *line, const json_t *type, int64_t now)
{
    char span[FLEET_SPAN_BYTES];
    const json_t *resources = doc_at(type, "resources", NULL);
    size_t i;
    json_t *one;

    (void)fprintf(line->out, "%s, %s ago: ", doc_text(type, "type", NULL),
                  fleet_span(now - fleet_time(doc_at(type, "changed", NULL)), span));
    if (json_is_true(doc_at(type, "lost", NULL))) {
        (void)fputs("there was no room for what was changed; `registry.keep_config` says how much "
                    "there is\n",
                    line->out);
        return;
    }
    (void)fprintf(line->out, "%zu added, %zu changed, %zu removed\n", count(resources, "added"),
                  count(resources, "changed"), count(resources, "removed"));
    json_array_foreach(resources, i, one)
    {
        write_resource(line, one);
    }
}

static void write_changes(const struct command_line *line, const json_t *answer)
{
    const json_t *changes = doc_at(answer, "changes", NULL);
    int64_t now = clock_wall_ms();
    size_t i;
    json_t *type;

    json_array_foreach(changes, i, type)
    {
        (void)fputs(i > 0 ? "\n" : "", line->out);
        write_type(line, type, now);
    }
    if (json_array_size(changes) == 0) {
        (void)fputs("Nothing has changed since xdsgate keeps this VM's configuration.\n",
                    line->out);
    }
}

/* ---- the command ---- */

static int write_answer(const struct command_line *line, const char *body, size_t n,
                        const json_t *answer)
{
    const struct vm_config_opts *o = line->opts;
    bool wants_body = o->fleet.output == FLEET_JSON || (!o->diff && o->fleet.output != FLEET_YAML);

    if (wants_body) {
        (void)fwrite(body, 1, n, line->out);
    } else if (answer == NULL) {
        return fleet_complain(line, EXIT_CODE_NO,
                              "it is too deep or too large for this form; use "
                              "`-o json`");
    } else if (o->fleet.output == FLEET_YAML) {
        return fleet_write(line, &o->fleet, answer);
    } else {
        write_changes(line, answer);
    }
    return EXIT_CODE_OK;
}

static int show(const struct command_line *line, const char *address, const json_t *vm)
{
    const struct vm_config_opts *o = line->opts;
    char *path = vm_pick_path(vm, o->diff ? "/config/changes" : "/config");
    json_t *answer = NULL;
    char *body = NULL;
    size_t n = 0;

    if (path == NULL) {
        return fleet_complain(line, EXIT_CODE_NO, "%s", rc_text(RC_NO_MEMORY));
    }
    int code = fleet_get_body(line, address, path, &body, &n, &answer);
    free(path);
    if (code == EXIT_CODE_OK) {
        const json_t *types =
            o->diff ? doc_at(answer, "types", NULL) : doc_at(answer, "xdsgate", "types", NULL);
        int gaps = complain_of_gaps(line, types);
        code = write_answer(line, body, n, answer);
        code = gaps > code ? gaps : code;
        free(body);
    }
    json_decref(answer);
    return code;
}

static int config(const struct command_line *line)
{
    const struct vm_config_opts *o = line->opts;
    const char *address = NULL;
    json_t *vm = NULL;
    int code = vm_pick_one(line, &o->fleet, &o->pick, line->args[0], &vm, &address);

    if (vm == NULL) {
        return code;
    }
    int shown = show(line, address, vm);
    json_decref(vm);
    return code > shown ? code : shown;
}

static const struct option_word outputs[] = {{"json", FLEET_JSON}, {"yaml", FLEET_YAML}, {NULL, 0}};

static const struct option_row rows[] = {
    {.name = "diff",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct vm_config_opts, diff),
     .help = "what the last change was, resource by resource"},
    {.name = "output",
     .letter = 'o',
     .value = "FORMAT",
     .kind = OPTION_WORD,
     .offset = offsetof(struct vm_config_opts, fleet.output),
     .help = "json (the default, but with --diff) or yaml",
     .words = outputs},
    FLEET_ADMIN_ROW(struct vm_config_opts, fleet),
    VM_PICK_ROW(struct vm_config_opts, pick),
};

const struct command command_vm_config = {
    .name = "vm config",
    .usage = "NAME",
    .summary = "the configuration that a VM has now, as its Envoy would dump it",
    .min_args = 1,
    .max_args = 1,
    .args_name = "NAME",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .opts_bytes = sizeof(struct vm_config_opts),
    .run = config,
    .more = "\nxdsgate keeps it when its configuration says how much room there is\n"
            "(`registry: {keep_config: 64MiB}`); secrets are never kept. To look at it:\n"
            "    xdsgate vm config NAME | istioctl proxy-config listeners --file -\n"
            "and so for clusters, routes, eds, ecds and all. Exit code 1 when some of it is not "
            "kept.\n",
};
