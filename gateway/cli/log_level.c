/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate log-level`: what a running daemon logs. */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "gateway/cli/admin_client.h"
#include "gateway/cli/commands.h"
#include "gateway/cli/fleet.h"

struct log_level_opts {
    struct fleet_opts fleet;
};

/* "log-level" and the arguments of [SCOPE=]LEVEL. Owned; NULL: out of memory. */
static char *path_of(const char *word)
{
    char *encoded = admin_client_encode(word);
    char *path = NULL;
    int n = encoded == NULL ? -1 : asprintf(&path, "log-level?set=%s", encoded);

    free(encoded);
    return n > 0 ? path : NULL;
}

/* Of one daemon. */
static int set_at(const struct command_line *line, const char *address, const char *path)
{
    struct fleet_reply reply;
    int code = fleet_post(line, address, path, &reply);

    if (code == EXIT_CODE_OK && reply.status != 200) {
        code = fleet_complain(line, EXIT_CODE_NO, "%s", reply.why);
    }
    return code;
}

static int set(const struct command_line *line, const struct fleet_opts *o, const char *word)
{
    char *path = path_of(word);
    int worst = EXIT_CODE_OK;

    if (path == NULL) {
        return fleet_complain(line, EXIT_CODE_NO, "%s", rc_text(RC_NO_MEMORY));
    }
    for (size_t i = 0; i < fleet_size(o); i++) {
        int code = set_at(line, fleet_address(o, i), path);
        worst = code > worst ? code : worst;
    }
    free(path);
    return worst;
}

static int show(const struct command_line *line, const struct fleet_opts *o)
{
    json_t *answer = NULL;
    size_t i;
    json_t *row;
    int code = fleet_get(line, o, "log-level", "levels", &answer);

    json_array_foreach(doc_at(answer, "levels", NULL), i, row)
    {
        const char *gateway = doc_text(row, "gateway", NULL);
        (void)fprintf(line->out, "%s%s%s=%s\n", gateway != NULL ? gateway : "",
                      gateway != NULL ? " " : "", doc_text(row, "scope", NULL),
                      doc_text(row, "level", NULL));
    }
    json_decref(answer);
    return code;
}

/* All of them, before the first is in force. */
static int check(const struct command_line *line)
{
    enum log_scope scope = LOG_SCOPES;
    enum log_level level = LOG_INFO;

    for (size_t i = 0; i < line->n_args; i++) {
        if (log_parse_level(line->args[i], &scope, &level) != RC_OK) {
            return fleet_complain(line, EXIT_CODE_USAGE,
                                  "'%s': there is no such scope or level; write [SCOPE=]LEVEL: "
                                  "levels are debug, info, warning and error, and `xdsgate "
                                  "log-level` lists the scopes",
                                  line->args[i]);
        }
    }
    return EXIT_CODE_OK;
}

static int log_level(const struct command_line *line)
{
    const struct log_level_opts *o = line->opts;
    int code = check(line);

    if (line->n_args == 0) {
        return show(line, &o->fleet);
    }
    for (size_t i = 0; i < line->n_args && code == EXIT_CODE_OK; i++) {
        code = set(line, &o->fleet, line->args[i]);
    }
    return code;
}

static const struct option_row rows[] = {FLEET_ADMIN_ROW(struct log_level_opts, fleet)};

const struct command command_log_level = {
    .name = "log-level",
    .usage = "[[SCOPE=]LEVEL]...",
    .summary = "what a running daemon logs, or is to log from now on",
    .max_args = 32,
    .args_name = "LEVEL",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .opts_bytes = sizeof(struct log_level_opts),
    .run = log_level,
    .more = "\nLEVEL is debug, info, warning or error. SCOPE is a part of the daemon, as the list\n"
            "without arguments names them; without SCOPE it is for all of them. Lasts until the\n"
            "daemon ends or its configuration is read again.\n",
};
