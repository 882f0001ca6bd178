/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/vms: what is known of VMs, and what an operator does to one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "gateway/daemon/api_internal.h"
#include "gateway/registry/config_json.h"
#include "gateway/registry/vm_id.h"
#include "gateway/registry/vm_json.h"

#define HOLD_DEFAULT_S 30.0
#define HOLD_MAX_S 3600.0

/* ---- reading ---- */

/* The number behind ?since=; false: there is none. */
static bool read_since(const char *text, uint64_t *out)
{
    char *end = NULL;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0';
}

/* body: taken. */
static unsigned answer_body(FILE *out, enum rc rc, char *body, size_t n, const char *name)
{
    switch (rc) {
    case RC_OK:
        (void)fwrite(body, 1, n, out);
        free(body);
        return 200;
    case RC_NOT_FOUND:
        return api_error(out, 404, "no VM is called %.200s here", name);
    default:
        return API_NO_MEMORY;
    }
}

static unsigned list_vms(struct registry *r, const struct admin_call *call, FILE *out)
{
    const char *argument = call->argument(call, "since");
    uint64_t since = 0;
    char *body = NULL;
    size_t n = 0;

    if (argument != NULL && !read_since(argument, &since)) {
        return api_error(out, 400, "since is the `next` of an answer before");
    }
    enum rc rc = vm_json_list(r, since, clock_wall_ms(), &body, &n);
    return answer_body(out, rc, body, n, "");
}

static unsigned find_vm(struct registry *r, const char *name, FILE *out)
{
    char *body = NULL;
    size_t n = 0;
    enum rc rc = vm_json_find(r, name, clock_wall_ms(), &body, &n);

    return answer_body(out, rc, body, n, name);
}

/* What the VM has of istiod's configuration, or what was last changed of it. */
static unsigned show_config(struct registry *r, const char *name, bool changes, FILE *out)
{
    struct registry_config c;
    char why[REGISTRY_WHY_BYTES] = "";
    char *body = NULL;
    size_t n = 0;
    enum rc rc = registry_config(r, name, &c, why);

    if (rc == RC_NOT_FOUND || rc == RC_BUSY) {
        return api_error(out, rc == RC_BUSY ? 409 : 404, "%s", why);
    }
    if (rc != RC_OK) {
        return API_NO_MEMORY;
    }
    if (!c.is_on) {
        registry_config_fini(&c);
        return api_error(out, 409,
                         "the configuration of VMs is not kept; `registry: {keep_config: 64MiB}` "
                         "in xdsgate's configuration keeps it");
    }
    rc = changes ? config_json_changes(&c, &body, &n) : config_json_dump(&c, &body, &n);
    registry_config_fini(&c);
    if (rc == RC_FULL) {
        return api_error(out, 500, "the configuration of %.200s has more than %u MiB as JSON", name,
                         CONFIG_JSON_MAX_BYTES >> 20);
    }
    return answer_body(out, rc, body, n, name);
}

/* ---- orders ---- */

static unsigned answer_order(FILE *out, enum rc rc, const char *why)
{
    switch (rc) {
    case RC_OK:
        return api_write(out, 200, json_pack("{s:b}", "done", 1));
    case RC_NOT_FOUND:
        return api_error(out, 404, "%s", why);
    case RC_NO_MEMORY:
        return API_NO_MEMORY;
    case RC_SYSTEM:
        return api_error(out, 500, "%s", why);
    default:
        return api_error(out, 409, "%s", why);
    }
}

static bool read_hold(const struct admin_call *call, double *out)
{
    const char *text = call->argument(call, "hold");
    char *end = NULL;

    *out = HOLD_DEFAULT_S;
    if (text == NULL) {
        return true;
    }
    *out = strtod(text, &end);
    return *text >= '0' && *text <= '9' && *end == '\0' && *out >= 1 && *out <= HOLD_MAX_S;
}

/* name and identity of the call: the VM is refused also when it has not come here. */
static enum rc revoke_vm(struct registry *r, const struct admin_call *call, const char *asked,
                         const char *by, char *why)
{
    struct registry_absent vm = {.name = call->argument(call, "name"),
                                 .identity = call->argument(call, "identity")};
    enum rc rc = registry_revoke(r, asked, by, clock_wall_ms(), why);

    if (rc == RC_NOT_FOUND && vm.name != NULL && vm.identity != NULL &&
        vm_id_parse(asked, &vm.id)) {
        rc = registry_revoke_absent(r, &vm, by, clock_wall_ms(), why);
    }
    return rc;
}

static unsigned obey(struct registry *r, const struct admin_call *call, const char *name,
                     const char *order, FILE *out)
{
    char why[REGISTRY_WHY_BYTES] = "";
    char who[API_CALLER_BYTES];
    const char *by = api_caller(call, who);
    double hold = 0;

    if (strcmp(order, "revoke") == 0) {
        return answer_order(out, revoke_vm(r, call, name, by, why), why);
    }
    if (strcmp(order, "unrevoke") == 0) {
        return answer_order(out, registry_unrevoke(r, name, by, clock_wall_ms(), why), why);
    }
    if (strcmp(order, "reregister") != 0) {
        return api_error(out, 404, "there is no order %.100s", order);
    }
    if (!read_hold(call, &hold)) {
        return api_error(out, 400, "hold is a number of seconds from 1 to %g", HOLD_MAX_S);
    }
    return answer_order(out, registry_reregister(r, name, hold, by, clock_wall_ms(), why), why);
}

/* ---- the path ---- */

unsigned api_vms(struct status *s, const struct admin_call *call, const char *rest, FILE *out)
{
    struct registry *r = s->vms->registry;
    char name[VM_NAME_BYTES + 64];

    if (rest[0] == '\0' || rest[1] == '\0') {
        return call->change ? api_error(out, 405, "this is only to be read")
                            : list_vms(r, call, out);
    }
    size_t n = strcspn(rest + 1, "/");
    const char *order = rest[1 + n] == '/' ? rest + 2 + n : "";
    if (n >= sizeof(name)) {
        return api_error(out, 404, "no VM has so long a name");
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)n, rest + 1);
    if (*order == '\0' && !call->change) {
        return find_vm(r, name, out);
    }
    if (call->change) {
        return obey(r, call, name, order, out);
    }
    if (strcmp(order, "config") == 0 || strcmp(order, "config/changes") == 0) {
        return show_config(r, name, order[strlen("config")] != '\0', out);
    }
    return api_error(out, 404, "there is no %.100s of a VM", order);
}
