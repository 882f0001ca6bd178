/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate cert show`: what is in certificate files, and until when it is good. */
#include <stdlib.h>
#include <string.h>

#include "gateway/cli/cert_view.h"
#include "gateway/cli/commands.h"

#define FILES_MAX 64

struct show_opts {
    const char *config;
    int json;
};

static int complain(const struct command_line *line, enum rc rc)
{
    (void)fprintf(line->err, "xdsgate cert show: %s\n", rc_text(rc));
    return EXIT_CODE_NO;
}

/* ---- for people ---- */

/* Paths and names of a configuration may have control characters in them. */
static void write_safe(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        bool control = (unsigned char)*text < 0x20 || *text == 0x7f;
        (void)fprintf(out, control ? "\\x%02x" : "%c", *text);
    }
}

static void write_line(FILE *out, const char *label, const char *text)
{
    (void)fprintf(out, "  %-11s ", label);
    write_safe(out, text);
    (void)fputc('\n', out);
}

/* The texts of a list, or of one key of its items, with commas. */
static void write_list(FILE *out, const char *label, const json_t *list, const char *none)
{
    size_t i;
    json_t *v;

    (void)fprintf(out, "  %-11s ", label);
    json_array_foreach(list, i, v)
    {
        (void)fprintf(out, "%s%s", i > 0 ? ", " : "", json_string_value(v));
    }
    (void)fprintf(out, "%s\n", json_array_size(list) == 0 ? none : "");
}

static void write_roots(FILE *out, const json_t *list)
{
    size_t i;
    json_t *v;

    json_array_foreach(list, i, v)
    {
        (void)fprintf(out, "  %-11s %s in ", i == 0 ? "chains to" : "",
                      doc_text(v, "subject", NULL));
        write_safe(out, doc_text(v, "file", NULL));
        (void)fputc('\n', out);
    }
}

static void write_life(FILE *out, const json_t *row)
{
    json_int_t days = json_integer_value(json_object_get(row, "days_left"));

    (void)fprintf(out, "  %-11s %s to %s", "valid", doc_text(row, "not_before", NULL),
                  doc_text(row, "not_after", NULL));
    if (days >= 0) {
        (void)fprintf(out, ", %lld days left\n", (long long)days);
    } else {
        (void)fprintf(out, ", over\n");
    }
}

static void write_details(FILE *out, const json_t *row)
{
    const char *key_file = doc_text(row, "private_key", NULL);
    const json_t *names = json_object_get(row, "names");
    bool authority = json_is_true(json_object_get(row, "authority"));

    write_line(out, "subject", doc_text(row, "subject", NULL));
    write_line(out, "issuer", doc_text(row, "issuer", NULL));
    if (!authority || json_array_size(names) > 0) {
        write_list(out, "names", names, "none");
    }
    if (authority) {
        write_line(out, "use", "authority");
    } else {
        write_list(out, "use", json_object_get(row, "use"), "neither server nor client");
    }
    write_life(out, row);
    (void)fprintf(out, "  %-11s %s%s", "key", doc_text(row, "key", NULL),
                  key_file != NULL ? ", its private key is " : "");
    write_safe(out, key_file != NULL ? key_file : "");
    (void)fputc('\n', out);
    write_roots(out, json_object_get(row, "chains_to"));
    write_line(out, "serial", doc_text(row, "serial", NULL));
    write_line(out, "sha256", doc_text(row, "sha256", NULL));
}

static void write_title(FILE *out, const json_t *row)
{
    const char *role = doc_text(row, "role", NULL);
    const char *listener = doc_text(row, "listener", NULL);
    const char *upstream = doc_text(row, "upstream", NULL);
    json_int_t of = json_integer_value(json_object_get(row, "of"));

    write_safe(out, doc_text(row, "file", NULL));
    if (of > 1) {
        (void)fprintf(out, ", certificate %lld of %lld",
                      (long long)json_integer_value(json_object_get(row, "number")), (long long)of);
    }
    if (role != NULL) {
        (void)fprintf(out, " (%s of %s ", role, listener != NULL ? "listener" : "upstream");
        write_safe(out, listener != NULL ? listener : upstream);
        (void)fputc(')', out);
    }
    (void)fprintf(out, "\n");
}

static void write_text(FILE *out, const json_t *all)
{
    size_t i;
    json_t *row;

    json_array_foreach(json_object_get(all, "certificates"), i, row)
    {
        size_t k;
        json_t *problem;
        (void)fprintf(out, "%s", i > 0 ? "\n" : "");
        write_title(out, row);
        if (doc_text(row, "sha256", NULL) != NULL) {
            write_details(out, row);
        }
        json_array_foreach(json_object_get(row, "problems"), k, problem)
        {
            write_line(out, "NOT GOOD", json_string_value(problem));
        }
    }
}

/* ---- the command ---- */

static int write_answer(const struct command_line *line, const json_t *all, bool good)
{
    const struct show_opts *o = line->opts;
    char *text = NULL;

    if (o->json == 0) {
        write_text(line->out, all);
    } else if (doc_write_json(all, &text, NULL) == RC_OK) {
        (void)fprintf(line->out, "%s\n", text);
    } else {
        return complain(line, RC_NO_MEMORY);
    }
    free(text);
    return good ? EXIT_CODE_OK : EXIT_CODE_NO;
}

static int show_files(const struct command_line *line, struct cert_view_file *files, size_t n)
{
    json_t *all = NULL;
    bool good = false;
    enum rc rc = cert_view_make(files, n, &good, &all);
    int code = rc == RC_OK ? write_answer(line, all, good) : complain(line, rc);

    if (rc == RC_OK && json_array_size(json_object_get(all, "certificates")) == 0) {
        (void)fprintf(line->err, "xdsgate cert show: there is no certificate to be shown\n");
        code = EXIT_CODE_NO;
    }
    json_decref(all);
    cert_view_fini(files, n);
    return code;
}

static int show_config(const struct command_line *line, const char *config)
{
    struct cert_path *paths = NULL;
    size_t n = 0;
    enum rc rc = cert_paths_load(config, line->err, &paths, &n);

    if (rc != RC_OK) {
        return rc == RC_INVALID ? EXIT_CODE_USAGE : complain(line, rc);
    }
    struct cert_view_file *files = calloc(n + 1, sizeof(*files));
    for (size_t i = 0; files != NULL && i < n; i++) {
        files[i] = (struct cert_view_file){.path = paths[i].file, .role = &paths[i]};
    }
    int code = files != NULL ? show_files(line, files, n) : complain(line, RC_NO_MEMORY);
    free(files);
    cert_paths_free(&paths, n);
    return code;
}

static int show(const struct command_line *line)
{
    const struct show_opts *o = line->opts;
    struct cert_view_file files[FILES_MAX] = {{.path = NULL}};

    if ((o->config != NULL) == (line->n_args > 0)) {
        (void)fprintf(line->err, "xdsgate cert show: give either files or --config FILE\n");
        return EXIT_CODE_USAGE;
    }
    if (o->config != NULL) {
        return show_config(line, o->config);
    }
    for (size_t i = 0; i < line->n_args; i++) {
        files[i].path = line->args[i];
    }
    return show_files(line, files, line->n_args);
}

static const struct option_word formats[] = {{"json", 1}, {"table", 0}, {NULL, 0}};
static const struct option_row rows[] = {
    {.name = "config",
     .letter = 'c',
     .value = "FILE",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct show_opts, config),
     .help = "every certificate that this configuration names"},
    {.name = "output",
     .letter = 'o',
     .value = "FORMAT",
     .kind = OPTION_WORD,
     .offset = offsetof(struct show_opts, json),
     .help = "table (the default) or json",
     .words = formats},
};

const struct command command_cert_show = {
    .name = "cert show",
    .usage = "FILE... | --config FILE",
    .summary = "describe certificates",
    .max_args = FILES_MAX,
    .args_name = "FILE",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .opts_bytes = sizeof(struct show_opts),
    .run = show,
    .more = "\nFiles are seen together: which key belongs to which certificate, and which roots\n"
            "vouch for it. Exit code 0; 1 when one has expired or will not be accepted; 2 for\n"
            "wrong usage.\n",
};
