/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate vm revoke`, `vm unrevoke` and `vm reregister`: what an operator does to one VM. */
#include <stdlib.h>
#include <string.h>

#include "gateway/cli/admin_client.h"
#include "gateway/cli/commands.h"
#include "gateway/cli/fleet.h"
#include "gateway/cli/vm_pick.h"

struct vm_order_opts {
    struct fleet_opts fleet;
    struct vm_pick pick;
    double hold;
};

/* What is ordered, and when it is done. */
struct order {
    const char *done;   /* what is said then of the VM */
    bool may_be_absent; /* some daemon has done it, so others need not know the VM, */
    bool may_be_idle;   /* nor have its stream */
};

static bool need_not_be(const struct order *order, const struct fleet_reply *reply)
{
    return (order->may_be_absent && reply->status == 404) ||
           (order->may_be_idle && reply->status == 409);
}

static void say_done(const struct command_line *line, const struct fleet_opts *o, size_t i,
                     const char *name, const struct order *order)
{
    bool several = fleet_size(o) > 1;

    (void)fprintf(line->out, "%s %s%s%s%s\n", name, order->done, several ? " (" : "",
                  several ? fleet_address(o, i) : "", several ? ")" : "");
}

static int complain(const struct command_line *line, const struct fleet_opts *o, size_t i,
                    const char *why)
{
    bool several = fleet_size(o) > 1;

    return fleet_complain(line, EXIT_CODE_NO, "%s%s%s", several ? fleet_address(o, i) : "",
                          several ? ": " : "", why);
}

/* To every daemon, because a VM may come by any of them. name: for people. */
static int give(const struct command_line *line, const char *path, const char *name,
                const struct order *order)
{
    const struct fleet_opts *o = &((const struct vm_order_opts *)line->opts)->fleet;
    struct fleet_reply missing = {.status = 0};
    size_t missing_at = 0;
    size_t n_done = 0;
    int worst = EXIT_CODE_OK;

    for (size_t i = 0; i < fleet_size(o); i++) {
        struct fleet_reply reply;
        int code = fleet_post(line, fleet_address(o, i), path, &reply);
        if (code == EXIT_CODE_OK && reply.status == 200) {
            say_done(line, o, i, name, order);
            n_done++;
        } else if (code == EXIT_CODE_OK && need_not_be(order, &reply)) {
            missing_at = missing.status == 409 ? missing_at : i; /* which knows more of the VM */
            missing = missing.status == 409 ? missing : reply;
        } else if (code == EXIT_CODE_OK) {
            code = complain(line, o, i, reply.why);
        }
        worst = code > worst ? code : worst;
    }
    if (n_done == 0 && missing.status != 0) {
        int code = complain(line, o, missing_at, missing.why);
        worst = code > worst ? code : worst;
    }
    return worst;
}

static int give_to(const struct command_line *line, char *path, const char *name,
                   const struct order *order)
{
    if (path == NULL) {
        return fleet_complain(line, EXIT_CODE_NO, "%s", rc_text(RC_NO_MEMORY));
    }
    int code = give(line, path, name, order);
    free(path);
    return code;
}

static const char *name_of(const json_t *vm)
{
    const char *name = doc_text(vm, "name", NULL);
    return name != NULL ? name : doc_text(vm, "id", NULL);
}

/* The VM that is meant. NULL: said, and *code is what to end with. */
static json_t *pick(const struct command_line *line, int *code)
{
    const struct vm_order_opts *o = line->opts;
    json_t *vm = NULL;

    *code = vm_pick_one(line, &o->fleet, &o->pick, line->args[0], &vm, NULL);
    return vm;
}

/* ---- revoke ---- */

/* VMs of one name and identity are one to the daemon: they were revoked, too. */
static void say_others(const struct command_line *line, const json_t *vm)
{
    const struct vm_order_opts *o = line->opts;
    const char *name = name_of(vm);
    json_t *vms = NULL;
    size_t i;
    json_t *other;

    (void)vm_pick_find(line, &o->fleet, &o->pick, name, &vms);
    json_array_foreach(vms, i, other)
    {
        if (doc_is_text(other, "name", name) &&
            json_equal(doc_at(other, "identity", NULL), doc_at(vm, "identity", NULL)) &&
            !json_equal(doc_at(other, "id", NULL), doc_at(vm, "id", NULL))) {
            const char *address = doc_text(other, "address", NULL);
            (void)fprintf(line->out, "and so is id %s, at %s, of the same name and identity\n",
                          doc_text(other, "id", NULL), address != NULL ? address : "no address");
        }
    }
    json_decref(vms);
}

/* A daemon that has not seen the VM gets to know which one it is. */
static char *revoke_path(const json_t *vm)
{
    const char *identity = doc_text(vm, "identity", NULL);
    char *name = admin_client_encode(name_of(vm));
    char *id = admin_client_encode(identity != NULL ? identity : "");
    char *suffix = NULL;
    char *path = NULL;

    if (name != NULL && id != NULL &&
        asprintf(&suffix, "/revoke?name=%s&identity=%s", name, id) > 0) {
        path = vm_pick_path(vm, suffix);
        free(suffix);
    }
    free(name);
    free(id);
    return path;
}

static int revoke(const struct command_line *line)
{
    static const struct order order = {
        .done = "revoked: its streams are ended, and it is refused from now on"};
    int code = EXIT_CODE_OK;
    json_t *vm = pick(line, &code);

    if (vm == NULL) {
        return code;
    }
    int done = give_to(line, revoke_path(vm), name_of(vm), &order);
    if (done == EXIT_CODE_OK) {
        say_others(line, vm);
    }
    json_decref(vm);
    return code > done ? code : done;
}

/* ---- unrevoke ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t k = strlen(end);

    return n >= k && strcmp(text + n - k, end) == 0;
}

/* For a VM that no daemon has in its table: as the deny list may know it. */
static char *unseen_path(const struct vm_pick *p, const char *name)
{
    char *whole = NULL;
    char *dot_namespace = NULL;

    if (p->name_space == NULL) {
        return vm_pick_name_path(name, "/unrevoke");
    }
    if (asprintf(&dot_namespace, ".%s", p->name_space) < 0) {
        return NULL;
    }
    int n = asprintf(&whole, "%s%s", name, ends_with(name, dot_namespace) ? "" : dot_namespace);
    free(dot_namespace);
    char *path = n > 0 ? vm_pick_name_path(whole, "/unrevoke") : NULL;
    if (n > 0) {
        free(whole);
    }
    return path;
}

static int unrevoke(const struct command_line *line)
{
    static const struct order order = {.done = "may come back", .may_be_absent = true};
    const struct vm_order_opts *o = line->opts;
    const char *name = line->args[0];
    json_t *vms = NULL;
    int code = vm_pick_find(line, &o->fleet, &o->pick, name, &vms);
    int done = EXIT_CODE_NO;

    if (vms == NULL) {
        return code;
    }
    if (json_array_size(vms) == 0) {
        done = give_to(line, unseen_path(&o->pick, name), name, &order);
    } else {
        const json_t *vm = vm_pick_only(line, &o->pick, name, vms);
        if (vm != NULL) {
            done = give_to(line, vm_pick_path(vm, "/unrevoke"), name_of(vm), &order);
        }
    }
    json_decref(vms);
    return code > done ? code : done;
}

/* ---- reregister ---- */

static int reregister(const struct command_line *line)
{
    static const struct order order = {.done =
                                           "is sent away, to be registered anew when it comes back",
                                       .may_be_absent = true,
                                       .may_be_idle = true};
    const struct vm_order_opts *o = line->opts;
    char suffix[64];
    int code = EXIT_CODE_OK;
    json_t *vm = pick(line, &code);

    if (vm == NULL) {
        return code;
    }
    (void)snprintf(suffix, sizeof(suffix), "/reregister?hold=%.3f", o->hold);
    int done = give_to(line, vm_pick_path(vm, suffix), name_of(vm), &order);
    json_decref(vm);
    return code > done ? code : done;
}

/* ---- the commands ---- */

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
    "delete its service account, too. VMs of one name and identity, such as one VM at two\n"
    "addresses, are one to the daemon: all of them are revoked. With several daemons, each of\n"
    "them refuses it, also where it has not come yet.\n");

const struct command command_vm_unrevoke = ORDER(
    "vm unrevoke", rows, "let a revoked VM come back", unrevoke,
    "\nAlso one that is not in `xdsgate vm list`, because it has not come since the daemon's\n"
    "start: by its whole name, or by its id in the deny list.\n");

const struct command command_vm_reregister = ORDER(
    "vm reregister", reregister_rows, "have a VM registered anew, with its labels of today",
    reregister,
    "\nistiod does not change a WorkloadEntry that is there. So the VM's stream is ended and\n"
    "refused for a while; istiod deletes the entry after PILOT_WORKLOAD_ENTRY_GRACE_PERIOD\n"
    "(10 s by default), and makes a new one when the VM comes back. Until then it gets no\n"
    "requests.\n");
