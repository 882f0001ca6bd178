/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/fleet.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Some hundred for each of 20,000 VMs. */
#define MAX_VALUES 4000000

const struct option_word fleet_outputs[] = {{"table", FLEET_TABLE},
                                            {"wide", FLEET_WIDE},
                                            {"json", FLEET_JSON},
                                            {"yaml", FLEET_YAML},
                                            {NULL, 0}};

void fleet_clean(char out[FLEET_CLEAN_BYTES], const char *fmt, va_list ap)
{
    char text[FLEET_TEXT_BYTES];

    (void)vsnprintf(text, sizeof(text), fmt, ap);
    (void)show_clean(text, strlen(text), out);
}

int fleet_complain(const struct command_line *line, int code, const char *fmt, ...)
{
    char clean[FLEET_CLEAN_BYTES];
    va_list ap;

    va_start(ap, fmt);
    fleet_clean(clean, fmt, ap);
    va_end(ap);
    (void)fprintf(line->err, "xdsgate %s: %s\n", line->command->name, clean);
    return code;
}

size_t fleet_size(const struct fleet_opts *o)
{
    return o->admin.n > 0 ? o->admin.n : 1;
}

const char *fleet_address(const struct fleet_opts *o, size_t i)
{
    return i < o->admin.n ? o->admin.items[i] : ADMIN_CLIENT_DEFAULT;
}

/* ---- one daemon ---- */

static int complain_of_stranger(const struct command_line *line, const char *address, int status)
{
    return fleet_complain(line, EXIT_CODE_UNREACHABLE,
                          "%s is no admin address of xdsgate: it answers with status %d; those are "
                          "`admin.socket` and `admin.bind` of its configuration, and not "
                          "`metrics.bind`",
                          address, status);
}

/* The answer as a value; says what went wrong. missing_ok: when the daemon knows no such thing,
 * *out is NULL. */
static int take_answer(const struct command_line *line, const char *address,
                       const struct admin_answer *a, bool missing_ok, json_t **out)
{
    struct doc_error err;
    json_t *v = NULL;

    enum rc rc = doc_parse_json_within(a->body, a->n, MAX_VALUES, &err, &v);
    if (a->status == 200 && rc == RC_OK) {
        *out = v;
        return EXIT_CODE_OK;
    }
    const char *why = rc == RC_OK ? doc_text(v, "error", NULL) : NULL;
    int code = EXIT_CODE_OK;
    if (a->status == 200) {
        code = fleet_complain(line, EXIT_CODE_NO, "what %s answers cannot be read: %s", address,
                              rc == RC_INVALID ? err.text : rc_text(rc));
    } else if (why == NULL) {
        code = complain_of_stranger(line, address, a->status);
    } else if (a->status == 404 && missing_ok) {
        *out = NULL;
    } else {
        code = fleet_complain(line, EXIT_CODE_NO, "%s", why);
    }
    json_decref(v);
    return code;
}

/* out: filled with EXIT_CODE_OK, whatever the status. Says what went wrong otherwise. */
static int send(const struct command_line *line, const char *address, const char *method,
                const char *path, struct admin_answer *out)
{
    char why[512];

    switch (admin_client_ask(address, method, path, out, why, sizeof(why))) {
    case RC_OK:
        return EXIT_CODE_OK;
    case RC_UNREACHABLE:
        return fleet_complain(line, EXIT_CODE_UNREACHABLE, "%s", why);
    default:
        return fleet_complain(line, EXIT_CODE_NO, "%s", why);
    }
}

/* Nothing that is there is called so: an answer, and not the absence of the daemon. */
static bool may_be_missing(const char *path)
{
    return strncmp(path, "vms/", 4) == 0;
}

static int get(const struct command_line *line, const char *address, const char *path, json_t **out)
{
    struct admin_answer a;
    int code = send(line, address, "GET", path, &a);

    if (code == EXIT_CODE_OK) {
        code = take_answer(line, address, &a, may_be_missing(path), out);
        free(a.body);
    }
    return code;
}

int fleet_get_body(const struct command_line *line, const char *address, const char *path,
                   char **body, size_t *n, json_t **out)
{
    struct admin_answer a;
    struct doc_error err;

    *out = NULL;
    int code = send(line, address, "GET", path, &a);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (a.status != 200) {
        code = take_answer(line, address, &a, false, out);
        free(a.body);
        return code;
    }
    if (doc_parse_json_within(a.body, a.n, MAX_VALUES, &err, out) != RC_OK) {
        *out = NULL;
    }
    *body = a.body;
    *n = a.n;
    return EXIT_CODE_OK;
}

int fleet_post(const struct command_line *line, const char *address, const char *path,
               struct fleet_reply *out)
{
    struct admin_answer a;
    struct doc_error err;
    json_t *v = NULL;
    int code = send(line, address, "POST", path, &a);

    if (code != EXIT_CODE_OK) {
        return code;
    }
    bool understood = doc_parse_json_within(a.body, a.n, MAX_VALUES, &err, &v) == RC_OK;
    const char *why = understood ? doc_text(v, "error", NULL) : NULL;
    if (why == NULL && (a.status != 200 || !understood)) {
        code = complain_of_stranger(line, address, a.status);
    } else {
        *out = (struct fleet_reply){.status = a.status};
        (void)snprintf(out->why, sizeof(out->why), "%s", why != NULL ? why : "");
    }
    if (understood) {
        json_decref(v);
    }
    free(a.body);
    return code;
}

/* ---- all of them ---- */

/* Move the items of one answer to the list of all. False: out of memory. */
static bool add_items(json_t *list, const json_t *answer, const char *key, const char *gateway)
{
    size_t i;
    json_t *item;

    json_array_foreach(doc_at(answer, key, NULL), i, item)
    {
        if (gateway != NULL && json_object_set_new(item, "gateway", json_string(gateway)) != 0) {
            return false;
        }
        if (json_array_append(list, item) != 0) {
            return false;
        }
    }
    return true;
}

/* Does the row of one daemon count before that of another one? */
static bool counts_before(const json_t *a, const json_t *b)
{
    bool lives = fleet_time(doc_at(a, "connected_since", NULL)) > 0;

    if (lives != (fleet_time(doc_at(b, "connected_since", NULL)) > 0)) {
        return lives;
    }
    return fleet_time(doc_at(a, "last_seen", NULL)) > fleet_time(doc_at(b, "last_seen", NULL));
}

/* The row that counts, by id. NULL: out of memory. */
static json_t *choose_rows(json_t *vms)
{
    json_t *chosen = json_object();
    size_t i;
    json_t *vm;

    json_array_foreach(vms, i, vm)
    {
        const char *id = doc_text(vm, "id", NULL);
        const json_t *other = id != NULL ? json_object_get(chosen, id) : vm;
        if ((other == NULL || counts_before(vm, other)) && json_object_set(chosen, id, vm) != 0) {
            json_decref(chosen);
            return NULL;
        }
    }
    return chosen;
}

bool fleet_keep_one_of_each(json_t *vms)
{
    json_t *chosen = choose_rows(vms);
    json_t *kept = json_array();
    bool ok = chosen != NULL && kept != NULL;
    size_t i;
    json_t *vm;

    json_array_foreach(vms, i, vm)
    {
        const char *id = doc_text(vm, "id", NULL);
        bool counts = id == NULL || json_object_get(chosen, id) == vm;
        ok = ok && (!counts || json_array_append(kept, vm) == 0);
    }
    ok = ok && json_array_clear(vms) == 0 && json_array_extend(vms, kept) == 0;
    json_decref(chosen);
    json_decref(kept);
    return ok;
}

int fleet_get(const struct command_line *line, const struct fleet_opts *o, const char *path,
              const char *key, json_t **out)
{
    json_t *all = json_pack("{s:[]}", key);
    json_t *list = json_object_get(all, key);
    size_t n_answers = 0;
    int worst = EXIT_CODE_OK;

    *out = NULL;
    for (size_t i = 0; list != NULL && i < fleet_size(o); i++) {
        json_t *answer = NULL;
        int code = get(line, fleet_address(o, i), path, &answer);
        worst = code > worst ? code : worst;
        n_answers += code == EXIT_CODE_OK;
        const char *gateway = fleet_size(o) > 1 ? fleet_address(o, i) : NULL;
        bool added = answer == NULL || add_items(list, answer, key, gateway);
        json_t *now = json_object_get(answer, "now");
        if (now != NULL && json_object_get(all, "now") == NULL) {
            (void)json_object_set(all, "now", now);
        }
        json_decref(answer);
        list = added ? list : NULL;
    }
    if (list != NULL && fleet_size(o) > 1 && strcmp(key, "vms") == 0 &&
        !fleet_keep_one_of_each(list)) {
        list = NULL;
    }
    if (list == NULL) {
        json_decref(all);
        return fleet_complain(line, EXIT_CODE_NO, "%s", rc_text(RC_NO_MEMORY));
    }
    if (n_answers == 0) {
        json_decref(all);
        return worst;
    }
    *out = all;
    return worst;
}

int fleet_write(const struct command_line *line, const struct fleet_opts *o, const json_t *v)
{
    char *text = NULL;
    size_t n = 0;
    enum rc rc = o->output == FLEET_YAML ? doc_write_yaml(v, &text, &n)
                                         : doc_write_json_as_set(v, &text, &n);

    if (rc != RC_OK) {
        return fleet_complain(line, EXIT_CODE_NO, "%s", rc_text(rc));
    }
    (void)fwrite(text, 1, n, line->out);
    if (o->output != FLEET_YAML) {
        (void)fputc('\n', line->out);
    }
    free(text);
    return EXIT_CODE_OK;
}

/* ---- times ---- */

int64_t fleet_time(const json_t *v)
{
    struct tm tm = {.tm_mday = 1};
    const char *text = json_string_value(v);
    const char *rest = text == NULL ? NULL : strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

    if (rest == NULL) {
        return 0;
    }
    int64_t ms = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;
    return (int64_t)timegm(&tm) * 1000 + ms;
}

const char *fleet_span(int64_t ms, char *buf)
{
    static const struct {
        int64_t s;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};
    int64_t s = ms < 0 ? 0 : ms / 1000;
    size_t i = 0;

    while (i < 3 && s < units[i].s) {
        i++;
    }
    int n = snprintf(buf, FLEET_SPAN_BYTES, "%" PRId64 "%s", s / units[i].s, units[i].unit);
    int64_t rest = i < 3 ? s % units[i].s / units[i + 1].s : 0;
    if (rest > 0 && s / units[i].s < 10) {
        (void)snprintf(buf + n, FLEET_SPAN_BYTES - (size_t)n, "%" PRId64 "%s", rest,
                       units[i + 1].unit);
    }
    return buf;
}
