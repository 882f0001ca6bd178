/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate vm revoke`, `vm unrevoke` and `vm reregister`: what an operator does to one VM. */
#include <stdlib.h>

#include "gateway/cli/commands.h"
#include "gateway/cli/fleet.h"
#include "gateway/cli/vm_pick.h"

struct vm_order_opts {
    struct fleet_opts fleet;
    struct vm_pick pick;
    double hold;
};

static int post(const struct command_line *line, const json_t *vm, const char *address,
                const char *suffix, const char *done)
{
    char *path = vm_pick_path(vm, suffix);

    if (path == NULL) {
        return fleet_complain(line, EXIT_CODE_NO, "%s", rc_text(RC_NO_MEMORY));
    }
    int code = fleet_post(line, address, path, NULL);
    free(path);
    if (code == EXIT_CODE_OK) {
        (void)fprintf(line->out, "%s %s\n", doc_text(vm, "name", NULL), done);
    }
    return code;
}

static int order(const struct command_line *line, const char *suffix, const char *done)
{
    const struct vm_order_opts *o = line->opts;
    const char *address = NULL;
    json_t *vm = NULL;

    int code = vm_pick_one(line, &o->fleet, &o->pick, line->args[0], &vm, &address);
    if (vm == NULL) {
        return code;
    }
    code = post(line, vm, address, suffix, done);
    json_decref(vm);
    return code;
}

static int revoke(const struct command_line *line)
{
    return order(line, "/revoke", "revoked: its streams are ended, and it is refused from now on");
}

static int unrevoke(const struct command_line *line)
{
    return order(line, "/unrevoke", "may come back");
}

static int reregister(const struct command_line *line)
{
    const struct vm_order_opts *o = line->opts;
    char suffix[64];

    (void)snprintf(suffix, sizeof(suffix), "/reregister?hold=%.3f", o->hold);
    return order(line, suffix, "is sent away, to be registered anew when it comes back");
}

static void set_defaults(void *opts)
{
    ((struct vm_order_opts *)opts)->hold = 30;
}

#define ORDER_ROWS \
    FLEET_ADMIN_ROW(struct vm_order_opts, fleet), VM_PICK_ROW(struct vm_order_opts, pick)

static const struct option_row rows[] = {ORDER_ROWS};
static const struct option_row reregister_rows[] = {
    ORDER_ROWS,
    {.name = "hold",
     .value = "TIME",
     .kind = OPTION_SECONDS,
     .offset = offsetof(struct vm_order_opts, hold),
     .help = "how long it is refused, so that istiod deletes its WorkloadEntry: 30s",
     .min = 1,
     .max = 3600},
};

#define ORDER(words, table, text, function, rest)                                            \
    {                                                                                        \
        .name = (words), .usage = "NAME", .summary = (text), .min_args = 1, .max_args = 1,   \
        .args_name = "NAME", .rows = (table), .n_rows = sizeof(table) / sizeof(*(table)),    \
        .opts_bytes = sizeof(struct vm_order_opts), .init = set_defaults, .run = (function), \
        .more = (rest)                                                                       \
    }

const struct command command_vm_revoke = ORDER(
    "vm revoke", rows, "end a VM's streams and refuse it from now on", revoke,
    "\nThe daemon keeps the list of revoked VMs in `registry.deny_list`. A VM is known by its\n"
    "name and identity and by the keys that it has shown. Works on the unix socket only, and\n"
    "is logged with the caller's user. To keep the VM's identity out of the mesh for good,\n"
    "delete its service account, too.\n");

const struct command command_vm_unrevoke =
    ORDER("vm unrevoke", rows, "let a revoked VM come back", unrevoke, "");

const struct command command_vm_reregister = ORDER(
    "vm reregister", reregister_rows, "have a VM registered anew, with its labels of today",
    reregister,
    "\nistiod does not change a WorkloadEntry that is there. So the VM's stream is ended and\n"
    "refused for a while; istiod deletes the entry after PILOT_WORKLOAD_ENTRY_GRACE_PERIOD\n"
    "(10 s by default), and makes a new one when the VM comes back. Until then it gets no\n"
    "requests.\n");
