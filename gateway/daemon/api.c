/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/api.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "gateway/daemon/api_internal.h"

unsigned api_write(FILE *out, unsigned status, json_t *v)
{
    char *text = NULL;
    size_t n = 0;
    enum rc rc = v != NULL ? doc_write_json_as_set(v, &text, &n) : RC_NO_MEMORY;

    json_decref(v);
    if (rc != RC_OK) {
        return API_NO_MEMORY;
    }
    (void)fwrite(text, 1, n, out);
    (void)fputc('\n', out);
    free(text);
    return status;
}

unsigned api_error(FILE *out, unsigned status, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    doc_make_utf8(text);
    return api_write(out, status, json_pack("{s:s}", "error", text));
}

const char *api_caller(const struct admin_call *call, char *buf)
{
    (void)snprintf(buf, API_CALLER_BYTES, "uid %u", (unsigned)call->uid);
    return buf;
}

/* ---- log level ---- */

static unsigned tell_levels(FILE *out)
{
    json_t *levels = json_array();

    for (int i = 0; i < LOG_SCOPES; i++) {
        enum log_scope scope = (enum log_scope)i;
        (void)json_array_append_new(levels,
                                    json_pack("{s:s,s:s}", "scope", log_scope_name(scope), "level",
                                              log_level_name(log_level_of(scope))));
    }
    return api_write(out, 200, json_pack("{s:o}", "levels", levels));
}

static unsigned log_levels(const struct admin_call *call, FILE *out)
{
    const char *set = call->argument(call, "set");
    enum log_scope scope = LOG_SCOPES;
    enum log_level level = LOG_INFO;
    char who[API_CALLER_BYTES];

    if (!call->change) {
        return tell_levels(out);
    }
    if (set == NULL || log_parse_level(set, &scope, &level) != RC_OK) {
        return api_error(out, 400,
                         "write [SCOPE=]LEVEL; levels are debug, info, warning and error, and "
                         "`xdsgate log-level` lists the scopes");
    }
    log_audit(LOG_WARNING, "log level changed", "log-level", LOG_S("by", api_caller(call, who)),
              LOG_S("scope", scope == LOG_SCOPES ? "all" : log_scope_name(scope)),
              LOG_S("level", log_level_name(level)));
    log_set_level(scope, level);
    return tell_levels(out);
}

/* ---- calls ---- */

/* What follows a first word of the path, "" or from its slash on; NULL: another word. */
static const char *behind(const char *path, const char *word)
{
    size_t n = strlen(word);

    return strncmp(path, word, n) == 0 && (path[n] == '\0' || path[n] == '/') ? path + n : NULL;
}

unsigned api_answer(void *arg, const struct admin_call *call, FILE *out)
{
    struct status *s = arg;
    const char *rest = behind(call->path, "vms");

    if (rest != NULL) {
        return api_vms(s, call, rest, out);
    }
    if (strcmp(call->path, "log-level") == 0) {
        return log_levels(call, out);
    }
    if (strcmp(call->path, "upstreams") == 0) {
        return call->change ? api_error(out, 405, "this is only to be read")
                            : api_upstreams(s, out);
    }
    return api_error(out, 404, "there is no %.200s in this API", call->path);
}
