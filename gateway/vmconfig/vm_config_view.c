/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/vmconfig/vm_config_view.h"

#include <string.h>

#include "core/base/check.h"
#include "gateway/vmconfig/config_store.h"

const char *vm_config_state_name(enum vm_config_state state)
{
    static const char *const names[VM_CONFIG_STATES] = {
        [VM_CONFIG_NONE] = "none",
        [VM_CONFIG_KEPT] = "kept",
        [VM_CONFIG_NEVER] = "never",
        [VM_CONFIG_FULL] = "full",
        [VM_CONFIG_UNREADABLE] = "unreadable",
        [VM_CONFIG_INCOMPLETE] = "incomplete",
    };

    return names[state];
}

static void fill(const struct config_blob *resource, const struct config_blob *version,
                 struct vm_config_resource *out)
{
    out->name = config_blob_text(resource);
    out->version = config_blob_text(version);
    out->value = config_blob_value(resource, &out->n_value);
}

void vm_config_view_resource(const struct vm_config_type_view *t, size_t i,
                             struct vm_config_resource *out)
{
    size_t n;
    const struct config_pair *pairs = config_blob_pairs(t->resources, &n);

    CHECK(i < n);
    fill(pairs[i].a, pairs[i].b, out);
}

void vm_config_view_change(const struct vm_config_type_view *t, size_t i,
                           struct vm_config_change *out)
{
    size_t n;
    const struct config_pair *pairs = config_blob_pairs(t->changes, &n);

    CHECK(i < n);
    const struct config_pair *p = &pairs[i];
    memset(out, 0, sizeof(*out));
    out->what = p->a == NULL   ? VM_CONFIG_ADDED
                : p->b == NULL ? VM_CONFIG_REMOVED
                               : VM_CONFIG_CHANGED;
    out->name = config_blob_text(p->a != NULL ? p->a : p->b);
    if (p->a != NULL) {
        fill(p->a, NULL, &out->before);
    }
    if (p->b != NULL) {
        fill(p->b, NULL, &out->after);
    }
}

void vm_config_view_fini(struct vm_config_view *v)
{
    for (size_t i = 0; i < XDS_TYPES; i++) {
        struct vm_config_type_view *t = &v->types[i];
        config_blob_unref(&t->resources);
        config_blob_unref(&t->changes);
        config_blob_unref(&t->version_text);
        config_blob_unref(&t->changed_version_text);
        *t = (struct vm_config_type_view){.version = "", .changed_version = ""};
    }
}
