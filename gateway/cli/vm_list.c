/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate vm list`: every VM in the words of `istioctl proxy-status`. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/cli/commands.h"
#include "gateway/cli/fleet.h"
#include "gateway/cli/table.h"
#include "gateway/cli/vm_pick.h"
#include "gateway/cli/vm_refusal.h"

#define WATCH_S 2

struct vm_list_opts {
    struct fleet_opts fleet;
    struct vm_pick pick;
    bool watch;
};

/* Always shown, as proxy-status did; the others when a VM asks for them. */
static const char *const usual_types[] = {"CDS", "LDS", "EDS", "RDS", "ECDS"};
static const char *const other_types[] = {"SDS", "NDS", "PCDS", "WDS", "WADS"};
#define N_USUAL (sizeof(usual_types) / sizeof(*usual_types))
#define N_OTHER (sizeof(other_types) / sizeof(*other_types))

struct columns {
    const char *types[N_USUAL + N_OTHER];
    size_t n_types;
    bool rule; /* some VM has a refusal to be shown */
    bool wide;
    bool gateway;
    int64_t now;
};

static bool is_asked_for(const json_t *vms, const char *type)
{
    size_t i;
    json_t *vm;

    json_array_foreach(vms, i, vm)
    {
        if (doc_text(vm, "types", type, NULL) != NULL) {
            return true;
        }
    }
    return false;
}

/* The rule of a refusal that still means something; "(...)": it does not keep this VM out. */
static const char *rule_of(const json_t *vm, char *buf, size_t size)
{
    static const char *const marks[] = {[VM_REFUSAL_OWN] = "",
                                        [VM_REFUSAL_REPORTED] = " (reported)",
                                        [VM_REFUSAL_OTHER] = " (another)"};
    enum vm_refusal refusal = vm_refusal_of(vm);

    if (refusal == VM_REFUSAL_NONE) {
        return NULL;
    }
    (void)snprintf(buf, size, "%s%s", doc_text(vm, "refused", "rule", NULL), marks[refusal]);
    return buf;
}

static bool is_refused(const json_t *vms)
{
    size_t i;
    json_t *vm;

    json_array_foreach(vms, i, vm)
    {
        if (vm_refusal_of(vm) != VM_REFUSAL_NONE) {
            return true;
        }
    }
    return false;
}

static void choose_columns(const struct fleet_opts *o, const json_t *answer, struct columns *c)
{
    const json_t *vms = doc_at(answer, "vms", NULL);

    *c = (struct columns){.rule = is_refused(vms),
                          .wide = o->output == FLEET_WIDE,
                          .gateway = fleet_size(o) > 1,
                          .now = fleet_time(doc_at(answer, "now", NULL))};
    for (size_t i = 0; i < N_USUAL; i++) {
        c->types[c->n_types++] = usual_types[i];
    }
    for (size_t i = 0; i < N_OTHER; i++) {
        if (is_asked_for(vms, other_types[i])) {
            c->types[c->n_types++] = other_types[i];
        }
    }
}

static const char *const first_columns[] = {"NAME", "CLUSTER", "ISTIOD", "VERSION"};
static const char *const last_columns[] = {"HEALTH", "GROUP", "AGE", "CERT"};
static const char *const wide_columns[] = {"ADDRESS",  "PEER",     "NETWORK",    "REVISION",
                                           "IDENTITY", "UPSTREAM", "RECONNECTS", "ID"};

#define ADD_ALL(t, names)                                              \
    for (size_t i_ = 0; i_ < sizeof(names) / sizeof(*(names)); i_++) { \
        table_add(t, (names)[i_]);                                     \
    }

static size_t add_head(struct table *t, const struct columns *c)
{
    ADD_ALL(t, first_columns)
    for (size_t i = 0; i < c->n_types; i++) {
        table_add(t, c->types[i]);
    }
    ADD_ALL(t, last_columns)
    if (c->rule) {
        table_add(t, "RULE");
    }
    if (c->wide) {
        ADD_ALL(t, wide_columns)
    }
    if (c->gateway) {
        table_add(t, "GATEWAY");
    }
    return t->n_cells;
}

/* What stands in the first column of types instead of a state, when the VM is not connected; NULL:
 * it is. */
static const char *why_not_connected(const json_t *vm, char *buf, size_t size)
{
    const char *state = doc_text(vm, "state", NULL);
    const char *rule = doc_text(vm, "refused", "rule", NULL);

    if (state == NULL || strcmp(state, "connected") == 0) {
        return NULL;
    }
    if (strcmp(state, "refused") == 0 && rule != NULL) {
        (void)snprintf(buf, size, "refused (%s)", rule);
        return buf;
    }
    return state;
}

static void add_types(struct table *t, const struct columns *c, const json_t *vm)
{
    char buf[64];
    const char *instead = why_not_connected(vm, buf, sizeof(buf));

    for (size_t i = 0; i < c->n_types; i++) {
        const char *state = doc_text(vm, "types", c->types[i], NULL);
        if (instead != NULL) {
            table_add(t, i == 0 ? instead : NULL);
        } else {
            table_add(t, state != NULL ? state : "IGNORED");
        }
    }
}

static void add_span(struct table *t, int64_t ms, const char *when_over)
{
    char buf[FLEET_SPAN_BYTES];
    table_add(t, ms > 0 ? fleet_span(ms, buf) : when_over);
}

static void add_wide(struct table *t, const json_t *vm)
{
    char buf[32];
    const json_t *n = doc_at(vm, "reconnects", NULL);

    table_add(t, doc_text(vm, "address", NULL));
    table_add(t, doc_text(vm, "peer", NULL));
    table_add(t, doc_text(vm, "network", NULL));
    table_add(t, doc_text(vm, "revision", NULL));
    table_add(t, doc_text(vm, "identity", NULL));
    table_add(t, doc_text(vm, "upstream", NULL));
    (void)snprintf(buf, sizeof(buf), "%lld", (long long)json_integer_value(n));
    table_add(t, buf);
    table_add(t, doc_text(vm, "id", NULL));
}

static void add_vm(struct table *t, const struct columns *c, const json_t *vm)
{
    char rule[64];
    const char *istiod = doc_text(vm, "istiod", NULL);
    int64_t since = fleet_time(doc_at(vm, "connected_since", NULL));
    int64_t expires = fleet_time(doc_at(vm, "certificate_expires", NULL));

    table_add(t, doc_text(vm, "name", NULL));
    table_add(t, doc_text(vm, "cluster", NULL));
    table_add(t, istiod != NULL ? istiod : doc_text(vm, "endpoint", NULL));
    table_add(t, doc_text(vm, "version", NULL));
    add_types(t, c, vm);
    table_add(t, doc_text(vm, "health", NULL));
    table_add(t, doc_text(vm, "group", NULL));
    add_span(t, since > 0 ? c->now - since : 0, since > 0 ? "0s" : NULL);
    add_span(t, expires > 0 ? expires - c->now : 0, expires > 0 ? "expired" : NULL);
    if (c->rule) {
        table_add(t, rule_of(vm, rule, sizeof(rule)));
    }
    if (c->wide) {
        add_wide(t, vm);
    }
    if (c->gateway) {
        table_add_whole(t, doc_text(vm, "gateway", NULL));
    }
}

static int by_name(const void *a, const void *b)
{
    const char *x = doc_text(*(json_t *const *)a, "name", NULL);
    const char *y = doc_text(*(json_t *const *)b, "name", NULL);
    return strcmp(x != NULL ? x : "", y != NULL ? y : "");
}

static int write_table(const struct command_line *line, const struct vm_list_opts *o,
                       const json_t *answer)
{
    const json_t *vms = doc_at(answer, "vms", NULL);
    size_t n = json_array_size(vms);
    json_t **sorted = calloc(n + 1, sizeof(json_t *));
    struct columns c;
    struct table t;

    if (sorted == NULL) {
        return fleet_complain(line, EXIT_CODE_NO, "%s", rc_text(RC_NO_MEMORY));
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = json_array_get(vms, i);
    }
    qsort(sorted, n, sizeof(json_t *), by_name);
    choose_columns(&o->fleet, answer, &c);
    table_init(&t, 0);
    t.n_columns = add_head(&t, &c);
    for (size_t i = 0; i < n; i++) {
        add_vm(&t, &c, sorted[i]);
    }
    free(sorted);
    enum rc rc = table_write(&t, line->out);
    table_fini(&t);
    return rc == RC_OK ? EXIT_CODE_OK : fleet_complain(line, EXIT_CODE_NO, "%s", rc_text(rc));
}

/* False in *any: a VM was asked for, and there is none. */
static int list_once(const struct command_line *line, const struct vm_list_opts *o)
{
    const char *name = line->n_args > 0 ? line->args[0] : NULL;
    json_t *answer = NULL;
    int code = fleet_get(line, &o->fleet, "vms", "vms", &answer);

    if (answer == NULL) {
        return code;
    }
    json_t *vms = json_object_get(answer, "vms");
    vm_pick_filter(&o->pick, name, vms);
    int written = EXIT_CODE_OK;
    if (name != NULL && json_array_size(vms) == 0) {
        written = fleet_complain(line, EXIT_CODE_NO, "no VM is called %s here", name);
    } else if (o->fleet.output == FLEET_JSON || o->fleet.output == FLEET_YAML) {
        written = fleet_write(line, &o->fleet, answer);
    } else {
        written = write_table(line, o, answer);
    }
    json_decref(answer);
    return code > written ? code : written;
}

static int list(const struct command_line *line)
{
    const struct vm_list_opts *o = line->opts;
    bool terminal = o->watch && isatty(fileno(line->out)) != 0;

    for (;;) {
        if (terminal) {
            (void)fputs("\033[H\033[J", line->out);
        }
        int code = list_once(line, o);
        if (!o->watch || fflush(line->out) != 0) {
            return code;
        }
        const struct timespec pause = {.tv_sec = WATCH_S};
        (void)nanosleep(&pause, NULL);
        if (!terminal) {
            (void)fputc('\n', line->out);
        }
    }
}

static const struct option_row rows[] = {
    FLEET_ROWS(struct vm_list_opts, fleet),
    VM_PICK_ROW(struct vm_list_opts, pick),
    {.name = "watch",
     .letter = 'w',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct vm_list_opts, watch),
     .help = "again and again, until it is interrupted"},
};

const struct command command_vm_list = {
    .name = "vm list",
    .usage = "[NAME]",
    .summary = "the VMs, and what each has of istiod's configuration",
    .max_args = 1,
    .args_name = "NAME",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .opts_bytes = sizeof(struct vm_list_opts),
    .run = list,
    .more =
        "\nSYNCED: the VM has acknowledged what istiod sent last; STALE: it has not yet;\n"
        "NOT SENT: istiod has sent nothing; ERROR: the VM rejected it, `xdsgate vm describe`\n"
        "says why; IGNORED: it never asked. AGE is of its stream, which is renewed about every\n"
        "25 minutes; CERT is what is left of the VM's certificate. RULE is there when a rule of\n"
        "registration has refused a VM; (reported): the rule only reports, and the VM came in;\n"
        "(another): the VM is connected, and what else came in its name was refused. Exit code\n"
        "0 also when a VM is STALE.\n",
};
