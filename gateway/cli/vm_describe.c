/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate vm describe`: one VM on one screen. */
#include <stdarg.h>
#include <string.h>

#include "core/base/clock.h"
#include "gateway/cli/commands.h"
#include "gateway/cli/fleet.h"
#include "gateway/cli/table.h"
#include "gateway/cli/vm_advice.h"
#include "gateway/cli/vm_pick.h"

struct vm_describe_opts {
    struct fleet_opts fleet;
    struct vm_pick pick;
};

struct screen {
    FILE *out;
    json_t *vm;
    int64_t now;
};

/* A line with a label; what strangers said in it is made harmless. */
static void say(const struct screen *s, const char *label, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void say(const struct screen *s, const char *label, const char *fmt, ...)
{
    char clean[FLEET_CLEAN_BYTES];
    va_list ap;

    va_start(ap, fmt);
    fleet_clean(clean, fmt, ap);
    va_end(ap);
    (void)fprintf(s->out, "%-15s %s\n", label, clean);
}

static const char *of(const struct screen *s, const char *key)
{
    const char *text = doc_text(s->vm, key, NULL);
    return text != NULL && *text != '\0' ? text : "-";
}

/* How long ago; "-" for never. */
static const char *ago(const struct screen *s, const json_t *time, char *buf)
{
    int64_t ms = fleet_time(time);
    return ms > 0 ? fleet_span(s->now - ms, buf) : "-";
}

static void write_who(const struct screen *s)
{
    char since[FLEET_SPAN_BYTES];
    const char *istiod = doc_text(s->vm, "istiod", NULL);

    say(s, "Name:", "%s (id %s)", of(s, "name"), of(s, "id"));
    say(s, "State:", "%s since %s, to %s%s%s%s (upstream %s)", of(s, "state"),
        ago(s, doc_at(s->vm, "connected_since", NULL), since), of(s, "endpoint"),
        istiod != NULL ? " [" : "", istiod != NULL ? istiod : "", istiod != NULL ? "]" : "",
        of(s, "upstream"));
    say(s, "Identity:", "%s, by its %s", of(s, "identity"),
        json_is_true(doc_at(s->vm, "verified", NULL)) ? "certificate" : "token");
    say(s, "Address:", "%s, comes from %s by listener %s", of(s, "address"), of(s, "peer"),
        of(s, "listener"));
    say(s, "WorkloadGroup:", "%s   network %s   cluster %s", of(s, "group"), of(s, "network"),
        of(s, "cluster"));
    say(s, "Version:", "%s   revision %s   xDS %s", of(s, "version"), of(s, "revision"),
        of(s, "variant"));
}

static void write_labels(const struct screen *s)
{
    char text[1024] = "";
    size_t n = 0;
    const char *key;
    json_t *value;

    json_object_foreach(json_object_get(s->vm, "labels"), key, value)
    {
        int more = snprintf(text + n, sizeof(text) - n, "%s%s=%s", n > 0 ? " " : "", key,
                            json_string_value(value));
        n += more > 0 ? (size_t)more : 0;
        if (n >= sizeof(text)) {
            break;
        }
    }
    say(s, "Labels:", "%s", n > 0 ? text : "-");
}

static void write_life(const struct screen *s)
{
    char a[FLEET_SPAN_BYTES];
    int64_t certificate = fleet_time(doc_at(s->vm, "certificate_expires", NULL));
    int64_t token = fleet_time(doc_at(s->vm, "token_expires", NULL));
    const char *serial = doc_text(s->vm, "certificate", "serial", NULL);

    say(s, "Health:", "%s for %s %s", of(s, "health"),
        ago(s, doc_at(s->vm, "health_since", NULL), a), of(s, "health_message"));
    if (certificate > 0) {
        say(s, "Certificate:", "%s %s%s, serial %s", certificate > s->now ? "good for" : "expired",
            certificate > s->now ? fleet_span(certificate - s->now, a)
                                 : fleet_span(s->now - certificate, a),
            certificate > s->now ? "" : " ago", serial != NULL ? serial : "-");
    } else {
        say(s, "Certificate:", "none shown");
    }
    if (token > 0) {
        say(s, "Token:", "%s %s%s", token > s->now ? "good for" : "expired",
            fleet_span(token > s->now ? token - s->now : s->now - token, a),
            token > s->now ? "" : " ago");
    }
}

static long long number(const json_t *v, const char *key)
{
    return (long long)json_integer_value(doc_at(v, key, NULL));
}

static void write_traffic(const struct screen *s)
{
    char text[512] = "";
    size_t n = 0;
    const char *key;
    json_t *value;

    say(s, "Traffic:", "%lld bytes in %lld messages up, %lld bytes in %lld messages down",
        number(s->vm, "bytes_up"), number(s->vm, "messages_up"), number(s->vm, "bytes_down"),
        number(s->vm, "messages_down"));
    json_object_foreach(json_object_get(s->vm, "reconnect_reasons"), key, value)
    {
        int more = snprintf(text + n, sizeof(text) - n, "%s%s %lld", n > 0 ? ", " : "", key,
                            (long long)json_integer_value(value));
        n += more > 0 ? (size_t)more : 0;
        if (n >= sizeof(text)) {
            break;
        }
    }
    say(s, "Reconnects:", "%lld%s%s%s", number(s->vm, "reconnects"), n > 0 ? " (" : "", text,
        n > 0 ? ")" : "");
}

static void add_number(struct table *t, long long v)
{
    char buf[32];

    (void)snprintf(buf, sizeof(buf), "%lld", v);
    table_add(t, buf);
}

static enum rc write_types(const struct screen *s)
{
    static const char *const head[] = {"TYPE",  "STATE",     "SENT",      "ACKED", "BYTES",
                                       "TOTAL", "RESOURCES", "RESPONSES", "NACKS"};
    char span[FLEET_SPAN_BYTES];
    struct table t;
    size_t i;
    json_t *row;

    table_init(&t, sizeof(head) / sizeof(*head));
    for (i = 0; i < t.n_columns; i++) {
        table_add(&t, head[i]);
    }
    json_array_foreach(doc_at(s->vm, "sync", NULL), i, row)
    {
        table_add(&t, doc_text(row, "type", NULL));
        table_add(&t, doc_text(row, "state", NULL));
        table_add(&t, ago(s, doc_at(row, "sent", NULL), span));
        table_add(&t, ago(s, doc_at(row, "acked", NULL), span));
        add_number(&t, number(row, "bytes"));
        add_number(&t, number(row, "all_bytes"));
        add_number(&t, number(row, "resources"));
        add_number(&t, number(row, "responses"));
        add_number(&t, number(row, "nacks"));
    }
    (void)fputc('\n', s->out);
    enum rc rc = table_write(&t, s->out);
    table_fini(&t);
    return rc;
}

static void write_events(const struct screen *s)
{
    char span[FLEET_SPAN_BYTES];
    char when[FLEET_SPAN_BYTES + 8];
    size_t i;
    json_t *e;

    (void)fputs("\nLately:\n", s->out);
    json_array_foreach(doc_at(s->vm, "events", NULL), i, e)
    {
        const char *detail = doc_text(e, "detail", NULL);
        (void)snprintf(when, sizeof(when), "  %s ago", ago(s, doc_at(e, "at", NULL), span));
        say(s, when, "%s %s", doc_text(e, "what", NULL), detail != NULL ? detail : "");
    }
}

static int write_screen(const struct command_line *line, json_t *vm)
{
    const struct screen s = {line->out, vm, clock_wall_ms()};

    write_who(&s);
    write_labels(&s);
    write_life(&s);
    write_traffic(&s);
    enum rc rc = write_types(&s);
    if (rc != RC_OK) {
        return fleet_complain(line, EXIT_CODE_NO, "%s", rc_text(rc));
    }
    write_events(&s);
    (void)fputs("\nWhat now:\n", line->out);
    vm_advice_write(vm, s.now, line->out);
    return EXIT_CODE_OK;
}

static int describe(const struct command_line *line)
{
    const struct vm_describe_opts *o = line->opts;
    json_t *vm = NULL;
    int code = vm_pick_one(line, &o->fleet, &o->pick, line->args[0], &vm, NULL);

    if (vm == NULL) {
        return code;
    }
    int written = o->fleet.output == FLEET_JSON || o->fleet.output == FLEET_YAML
                      ? fleet_write(line, &o->fleet, vm)
                      : write_screen(line, vm);
    json_decref(vm);
    return code > written ? code : written;
}

static const struct option_row rows[] = {
    FLEET_ROWS(struct vm_describe_opts, fleet),
    VM_PICK_ROW(struct vm_describe_opts, pick),
};

const struct command command_vm_describe = {
    .name = "vm describe",
    .usage = "NAME",
    .summary = "all that is known of one VM, and what to do next",
    .min_args = 1,
    .max_args = 1,
    .args_name = "NAME",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .opts_bytes = sizeof(struct vm_describe_opts),
    .run = describe,
    .more = "",
};
