/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/bundle_inputs.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/render.h"
#include "core/base/clock.h"
#include "core/base/protect.h"
#include "core/base/wipe.h"
#include "kube/source.h"

#define TOKEN_MAX_BYTES (64 * 1024)

int bundle_complain(const struct command_line *line, int code, const char *fmt, ...)
{
    va_list ap;

    (void)fprintf(line->err, "xdsgate %s: ", line->command->name);
    va_start(ap, fmt);
    (void)vfprintf(line->err, fmt, ap);
    va_end(ap);
    (void)fputc('\n', line->err);
    return code;
}

static int complain_rc(const struct command_line *line, enum rc rc)
{
    return bundle_complain(line, EXIT_CODE_NO, "%s", rc_text(rc));
}

/* ---- files ---- */

static int read_text(const struct command_line *line, const char *path, size_t max, char **out,
                     size_t *n)
{
    struct kube_error err;
    enum rc rc = kube_file_read_waiting(path, max, &err, out, n);

    if (rc == RC_OK) {
        return EXIT_CODE_OK;
    }
    return rc == RC_NO_MEMORY ? complain_rc(line, rc)
                              : bundle_complain(line, EXIT_CODE_USAGE, "%s", err.text);
}

static int parse(const struct command_line *line, const char *what, const char *text, size_t n,
                 json_t **out)
{
    struct doc_error err;
    enum rc rc = doc_parse_yaml(text, n, &err, out);

    if (rc == RC_INVALID) {
        return bundle_complain(line, EXIT_CODE_USAGE, "%s:%u:%u: %s", what, err.line, err.column,
                               err.text);
    }
    return rc == RC_OK ? EXIT_CODE_OK : complain_rc(line, rc);
}

static int read_document(const struct command_line *line, const char *path, json_t **out)
{
    char *text = NULL;
    size_t n = 0;

    if (path == NULL) {
        return EXIT_CODE_OK;
    }
    int code = read_text(line, path, DOC_MAX_BYTES, &text, &n);
    if (code == EXIT_CODE_OK) {
        code = parse(line, path, text, n, out);
    }
    free(text);
    return code;
}

/* A document, or a ConfigMap that has it as a text under key: `kubectl get configmap -o yaml` gives
 * that. */
static int read_map(const struct command_line *line, const char *path, const char *key,
                    json_t **out)
{
    json_t *v = NULL;
    int code = read_document(line, path, &v);

    if (code != EXIT_CODE_OK || v == NULL) {
        return code;
    }
    const char *kind = doc_text(v, "kind", NULL);
    if (kind == NULL || strcmp(kind, "ConfigMap") != 0) {
        *out = v;
        return EXIT_CODE_OK;
    }
    const char *text = doc_text(v, "data", key, NULL);
    char what[512];
    (void)snprintf(what, sizeof(what), "%s: data.%s", path, key);
    code = text == NULL ? bundle_complain(line, EXIT_CODE_USAGE, "%s is missing", what)
                        : parse(line, what, text, strlen(text), out);
    json_decref(v);
    return code;
}

static int read_optional_text(const struct command_line *line, const char *path, size_t max,
                              char **out)
{
    size_t n = 0;
    int code = path == NULL ? EXIT_CODE_OK : read_text(line, path, max, out, &n);

    if (code == EXIT_CODE_OK && path != NULL && strlen(*out) != n) {
        return bundle_complain(line, EXIT_CODE_USAGE,
                               "%s: has a zero byte in it: write it as UTF-8", path);
    }
    return code;
}

static int read_files(const struct command_line *line, const struct bundle_where *w,
                      struct bundle_inputs *in)
{
    int code = read_document(line, w->file, &in->group);

    if (code == EXIT_CODE_OK) {
        code = read_map(line, w->mesh, "mesh", &in->mesh);
    }
    if (code == EXIT_CODE_OK) {
        code = read_map(line, w->values, "values", &in->values);
    }
    if (code == EXIT_CODE_OK) {
        code = read_optional_text(line, w->root, DOC_MAX_BYTES, &in->root);
    }
    if (code == EXIT_CODE_OK) {
        code = read_optional_text(line, w->gateway_root, DOC_MAX_BYTES, &in->gateway_root);
    }
    if (code == EXIT_CODE_OK) {
        code = read_optional_text(line, w->token, TOKEN_MAX_BYTES, &in->token);
    }
    return code;
}

int64_t bundle_inputs_token_time(const struct bundle_where *w)
{
    return w->token != NULL ? clock_wall() : 0;
}

/* ---- both ---- */

static int check_where(const struct command_line *line, const struct bundle_where *w)
{
    if (w->file == NULL && w->group == NULL) {
        return bundle_complain(line, EXIT_CODE_USAGE,
                               "which WorkloadGroup? Name it, or give a file with -f");
    }
    if (w->token != NULL && w->no_token) {
        return bundle_complain(line, EXIT_CODE_USAGE, "--token and --no-token exclude each other");
    }
    return EXIT_CODE_OK;
}

/* What the mesh says to every VM. Without a cluster's name, that of the control plane is the VM's.
 */
static bool has_settings(const struct bundle_where *w, const struct bundle_inputs *in)
{
    return in->mesh != NULL && (in->values != NULL || w->cluster_id != NULL);
}

static bool is_complete(const struct bundle_where *w, const struct bundle_inputs *in)
{
    return in->group != NULL && (w->only_renewal || has_settings(w, in)) && in->root != NULL &&
           (in->token != NULL || w->no_token);
}

bool bundle_take_group(const struct command_line *line, struct bundle_where *w)
{
    if (line->n_args > 0 && w->group != NULL) {
        (void)bundle_complain(line, EXIT_CODE_USAGE,
                              "the WorkloadGroup is named twice: '%s' and --name", line->args[0]);
        return false;
    }
    if (line->n_args > 0) {
        w->group = line->args[0];
    }
    return true;
}

static void free_inputs(struct bundle_inputs *in)
{
    json_decref(in->group);
    json_decref(in->mesh);
    json_decref(in->values);
    free(in->name_space);
    free(in->root);
    free(in->gateway_root);
    wipe_text(&in->token);
    *in = (struct bundle_inputs){.name_space = NULL};
}

static int read_inputs(const struct command_line *line, const struct bundle_where *w,
                       struct bundle_inputs *out)
{
    struct bundle_inputs in = {.name_space = NULL};
    int code = check_where(line, w);

    if (code == EXIT_CODE_OK && w->name_space != NULL) {
        in.name_space = strdup(w->name_space);
        code = in.name_space != NULL ? EXIT_CODE_OK : complain_rc(line, RC_NO_MEMORY);
    }
    if (code == EXIT_CODE_OK) {
        code = read_files(line, w, &in);
    }
    if (code == EXIT_CODE_OK && !is_complete(w, &in)) {
        code = bundle_inputs_ask(line, w, &in);
    }
    if (code != EXIT_CODE_OK) {
        free_inputs(&in);
        return code;
    }
    in.group_name = w->group != NULL ? w->group : doc_text(in.group, "metadata", "name", NULL);
    in.group_ns =
        in.name_space != NULL ? in.name_space : doc_text(in.group, "metadata", "namespace", NULL);
    *out = in;
    return EXIT_CODE_OK;
}

int bundle_inputs_use(const struct command_line *line, const struct bundle_where *w,
                      int (*make)(const struct command_line *line, const struct bundle_inputs *in))
{
    struct bundle_inputs in;

    protect_memory();
    int code = read_inputs(line, w, &in);
    if (code == EXIT_CODE_OK) {
        code = make(line, &in);
        free_inputs(&in);
    }
    return code;
}
