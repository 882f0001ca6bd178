/* SPDX-License-Identifier: Apache-2.0 */
/* Which VM is meant: NAME, NAME.NAMESPACE, an id, and -n NAMESPACE. */
#pragma once

#include "gateway/cli/fleet.h"

struct vm_pick {
    const char *name_space; /**< of -n; NULL: none was given */
};

#define VM_PICK_ROW(type, field)                                                         \
    {                                                                                    \
        .name = "namespace", .letter = 'n', .value = "NAMESPACE", .kind = OPTION_TEXT,   \
        .offset = offsetof(type, field.name_space), .help = "only VMs of this namespace" \
    }

/** Keep in the array vms those that are meant: name "NAME", "NAME.NAMESPACE", an id, or NULL for
 * all. */
void vm_pick_filter(const struct vm_pick *p, const char *name, json_t *vms);

/** All VMs that are meant, each once, with "gateway" when there are several daemons. out: owned, an
 * array; NULL: nobody answered. Returns as fleet_get(). */
int vm_pick_find(const struct command_line *line, const struct fleet_opts *o,
                 const struct vm_pick *p, const char *name, json_t **out);

/** The only one of what was found: borrowed from vms. NULL: there is none, or several, which are
 * listed; said. */
json_t *vm_pick_only(const struct command_line *line, const struct vm_pick *p, const char *name,
                     const json_t *vms);

/**
 * The one VM that is meant, with all its details.
 *
 * out  owned: it, with "gateway" when there are several daemons.
 * address  of the daemon that has it; borrowed from o; may be NULL.
 * Returns EXIT_CODE_OK; EXIT_CODE_NO: there is none, or several, which are listed; or as
 * fleet_get().
 */
int vm_pick_one(const struct command_line *line, const struct fleet_opts *o,
                const struct vm_pick *p, const char *name, json_t **out, const char **address);

/** The path "vms/" + name, encoded, + suffix. Owned; NULL: out of memory. */
char *vm_pick_name_path(const char *name, const char *suffix);

/** The path "vms/ID" + suffix of a VM that was picked. Owned; NULL: out of memory. */
char *vm_pick_path(const json_t *vm, const char *suffix);
