/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate upstream list`: the istiods and how they stand. */
#include "gateway/cli/commands.h"
#include "gateway/cli/fleet.h"
#include "gateway/cli/table.h"

struct upstream_list_opts {
    struct fleet_opts fleet;
};

static const char *state_of(const json_t *upstream)
{
    if (doc_text(upstream, "unsafe", NULL) != NULL) {
        return "unsafe";
    }
    return json_is_true(doc_at(upstream, "usable", NULL)) ? "usable" : "unusable";
}

static void add_number(struct table *t, const json_t *v)
{
    char buf[32];

    (void)snprintf(buf, sizeof(buf), "%.6g", json_number_value(v));
    table_add(t, v != NULL ? buf : NULL);
}

static void add_row(struct table *t, const json_t *upstream, const json_t *endpoint, bool gateway)
{
    table_add(t, doc_text(upstream, "name", NULL));
    table_add(t, state_of(upstream));
    table_add(t, doc_text(upstream, "identity", NULL));
    table_add(t, doc_text(endpoint, "address", NULL));
    table_add(t, doc_text(endpoint, "istiod", NULL));
    add_number(t, doc_at(endpoint, "vms", NULL));
    add_number(t, doc_at(upstream, "new_streams_per_second", NULL));
    if (gateway) {
        table_add_whole(t, doc_text(upstream, "gateway", NULL));
    }
}

static int write_table(const struct command_line *line, const struct fleet_opts *o,
                       const json_t *answer)
{
    static const char *const head[] = {"NAME",   "STATE", "IDENTITY", "ENDPOINT",
                                       "ISTIOD", "VMS",   "PACE/S",   "GATEWAY"};
    bool gateway = fleet_size(o) > 1;
    struct table t;
    size_t i;
    size_t k;
    json_t *upstream;
    json_t *endpoint;

    table_init(&t, gateway ? 8 : 7);
    for (i = 0; i < t.n_columns; i++) {
        table_add(&t, head[i]);
    }
    json_array_foreach(doc_at(answer, "upstreams", NULL), i, upstream)
    {
        const json_t *endpoints = doc_at(upstream, "endpoints", NULL);
        if (json_array_size(endpoints) == 0) {
            add_row(&t, upstream, NULL, gateway);
        }
        json_array_foreach(endpoints, k, endpoint)
        {
            add_row(&t, upstream, endpoint, gateway);
        }
    }
    enum rc rc = table_write(&t, line->out);
    table_fini(&t);
    return rc == RC_OK ? EXIT_CODE_OK : fleet_complain(line, EXIT_CODE_NO, "%s", rc_text(rc));
}

static int list(const struct command_line *line)
{
    const struct upstream_list_opts *o = line->opts;
    json_t *answer = NULL;
    int code = fleet_get(line, &o->fleet, "upstreams", "upstreams", &answer);

    if (answer == NULL) {
        return code;
    }
    int written = o->fleet.output == FLEET_JSON || o->fleet.output == FLEET_YAML
                      ? fleet_write(line, &o->fleet, answer)
                      : write_table(line, &o->fleet, answer);
    json_decref(answer);
    return code > written ? code : written;
}

static const struct option_row rows[] = {FLEET_ROWS(struct upstream_list_opts, fleet)};

const struct command command_upstream_list = {
    .name = "upstream list",
    .usage = "",
    .summary = "where istiod is, and how it stands",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .opts_bytes = sizeof(struct upstream_list_opts),
    .run = list,
    .more = "\nPACE/S is how many new streams a second an upstream gets now, of all workers\n"
            "together; VMS how many VMs of this gateway an endpoint has.\n",
};
