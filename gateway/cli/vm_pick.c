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

static int say_ambiguous(const struct command_line *line, const char *name, const json_t *vms)
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
    return EXIT_CODE_NO;
}

int vm_pick_one(const struct command_line *line, const struct fleet_opts *o,
                const struct vm_pick *p, const char *name, json_t **out, const char **address)
{
    json_t *all = NULL;
    char *encoded = admin_client_encode(name);
    char *path = NULL;

    if (encoded == NULL || asprintf(&path, "vms/%s", encoded) < 0) {
        free(encoded);
        return fleet_complain(line, EXIT_CODE_NO, "%s", rc_text(RC_NO_MEMORY));
    }
    int code = fleet_get(line, o, path, "vms", &all);
    free(encoded);
    free(path);
    if (all == NULL) {
        return code;
    }
    json_t *vms = json_object_get(all, "vms");
    vm_pick_filter(p, name, vms);
    if (json_array_size(vms) != 1) {
        int no = json_array_size(vms) > 1
                     ? say_ambiguous(line, name, vms)
                     : fleet_complain(line, EXIT_CODE_NO,
                                      "no VM is called %s%s%s here; `xdsgate vm list` has all",
                                      name, p->name_space != NULL ? " in namespace " : "",
                                      p->name_space != NULL ? p->name_space : "");
        json_decref(all);
        return code > no ? code : no;
    }
    json_t *vm = json_array_get(vms, 0);
    *out = json_incref(vm);
    if (address != NULL) {
        *address = gateway_of(o, vm);
    }
    json_decref(all);
    return code;
}

char *vm_pick_path(const json_t *vm, const char *suffix)
{
    const char *id = doc_text(vm, "id", NULL);
    char *path = NULL;

    return id != NULL && asprintf(&path, "vms/%s%s", id, suffix) > 0 ? path : NULL;
}
