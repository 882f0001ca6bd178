/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/vm_pick.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/cli/admin_client.h"

/* "web-1" names "web-1.vms", too. */
static bool is_short_name(const json_t *vm, const char *name)
{
    const char *whole = doc_text(vm, "name", NULL);
    const char *ns = doc_text(vm, "namespace", NULL);
    size_t n = strlen(name);

    return whole != NULL && ns != NULL && strncmp(whole, name, n) == 0 && whole[n] == '.' &&
           strcmp(whole + n + 1, ns) == 0;
}

static bool is_meant(const struct vm_pick *p, const char *name, const json_t *vm)
{
    if (p->name_space != NULL && !doc_is_text(vm, "namespace", p->name_space)) {
        return false;
    }
    return name == NULL || doc_is_text(vm, "name", name) || doc_is_text(vm, "id", name) ||
           is_short_name(vm, name);
}

void vm_pick_filter(const struct vm_pick *p, const char *name, json_t *vms)
{
    for (size_t i = json_array_size(vms); i > 0; i--) {
        if (!is_meant(p, name, json_array_get(vms, i - 1))) {
            (void)json_array_remove(vms, i - 1);
        }
    }
}

static const char *gateway_of(const struct fleet_opts *o, const json_t *vm)
{
    for (size_t i = 0; i < fleet_size(o); i++) {
        if (doc_is_text(vm, "gateway", fleet_address(o, i))) {
            return fleet_address(o, i);
        }
    }
    return fleet_address(o, 0);
}

static void say_ambiguous(const struct command_line *line, const char *name, const json_t *vms)
{
    size_t i;
    json_t *vm;

    (void)fleet_complain(line, EXIT_CODE_NO,
                         "%s is not the name of one VM; use one of these ids:", name);
    json_array_foreach(vms, i, vm)
    {
        const char *gateway = doc_text(vm, "gateway", NULL);
        (void)fleet_complain(line, EXIT_CODE_NO, "  %s  %s, %s, %s%s%s", doc_text(vm, "id", NULL),
                             doc_text(vm, "name", NULL), doc_text(vm, "address", NULL),
                             doc_text(vm, "identity", NULL), gateway != NULL ? ", at " : "",
                             gateway != NULL ? gateway : "");
    }
}

int vm_pick_find(const struct command_line *line, const struct fleet_opts *o,
                 const struct vm_pick *p, const char *name, json_t **out)
{
    json_t *all = NULL;
    char *path = vm_pick_name_path(name, "");

    *out = NULL;
    if (path == NULL) {
        return fleet_complain(line, EXIT_CODE_NO, "%s", rc_text(RC_NO_MEMORY));
    }
    int code = fleet_get(line, o, path, "vms", &all);
    free(path);
    if (all != NULL) {
        *out = json_incref(json_object_get(all, "vms"));
        vm_pick_filter(p, name, *out);
        json_decref(all);
    }
    return code;
}

json_t *vm_pick_only(const struct command_line *line, const struct vm_pick *p, const char *name,
                     const json_t *vms)
{
    if (json_array_size(vms) == 1) {
        return json_array_get(vms, 0);
    }
    if (json_array_size(vms) > 1) {
        say_ambiguous(line, name, vms);
    } else {
        (void)fleet_complain(line, EXIT_CODE_NO,
                             "no VM is called %s%s%s here; `xdsgate vm list` has all", name,
                             p->name_space != NULL ? " in namespace " : "",
                             p->name_space != NULL ? p->name_space : "");
    }
    return NULL;
}

int vm_pick_one(const struct command_line *line, const struct fleet_opts *o,
                const struct vm_pick *p, const char *name, json_t **out, const char **address)
{
    json_t *vms = NULL;
    int code = vm_pick_find(line, o, p, name, &vms);

    if (vms == NULL) {
        return code;
    }
    json_t *vm = vm_pick_only(line, p, name, vms);
    *out = json_incref(vm);
    if (vm != NULL && address != NULL) {
        *address = gateway_of(o, vm);
    }
    json_decref(vms);
    return vm == NULL && code < EXIT_CODE_NO ? EXIT_CODE_NO : code;
}

char *vm_pick_name_path(const char *name, const char *suffix)
{
    char *encoded = admin_client_encode(name);
    char *path = NULL;
    int n = encoded == NULL ? -1 : asprintf(&path, "vms/%s%s", encoded, suffix);

    free(encoded);
    return n > 0 ? path : NULL;
}

char *vm_pick_path(const json_t *vm, const char *suffix)
{
    const char *id = doc_text(vm, "id", NULL);
    return id != NULL ? vm_pick_name_path(id, suffix) : NULL;
}
