/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Auto-registration in memory, by istiod's rules: the name comes from group, address and network,
 * never from the TCP peer; an entry outlives its last stream by the grace; one written by hand is
 * kept but loses its Healthy condition. Invariant: disconnected_ms is -1 exactly while streams > 0.
 */
#include "integration/sandbox/istiod/registry.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_CHARS 253

void registry_init(struct registry *r, int64_t grace_ms)
{
    *r = (struct registry){.grace_ms = grace_ms};
}

static void entry_free(struct entry *e)
{
    free(e->name_space);
    free(e->name);
    free(e->group);
    free(e->address);
    free(e->network);
    free(e->health_message);
    free(e);
}

void registry_fini(struct registry *r)
{
    while (r->entries != NULL) {
        struct entry *e = r->entries;

        r->entries = e->next;
        entry_free(e);
    }
    names_fini(&r->groups);
}

bool registry_add_group(struct registry *r, const char *group)
{
    if (strchr(group, '/') == NULL) {
        return false;
    }
    if (!names_has(&r->groups, group)) {
        names_add(&r->groups, group);
    }
    return true;
}

static struct entry *entry_find(struct registry *r, const char *name_space, const char *name)
{
    for (struct entry *e = r->entries; e != NULL; e = e->next) {
        if (strcmp(e->name_space, name_space) == 0 && strcmp(e->name, name) == 0) {
            return e;
        }
    }
    return NULL;
}

static struct entry *entry_new(struct registry *r, const char *name_space, const char *name)
{
    struct entry *e = sbx_alloc(sizeof(*e));

    e->name_space = sbx_strdup(name_space);
    e->name = sbx_strdup(name);
    e->group = sbx_strdup("");
    e->address = sbx_strdup("");
    e->network = sbx_strdup("");
    e->health_message = sbx_strdup("");
    e->disconnected_ms = -1;
    e->next = r->entries;
    r->entries = e;
    return e;
}

bool registry_add_entry(struct registry *r, const char *name)
{
    const char *slash = strchr(name, '/');
    char *name_space;

    if (slash == NULL || slash[1] == '\0') {
        return false;
    }
    name_space = sbx_strndup(name, (size_t)(slash - name));
    if (entry_find(r, name_space, slash + 1) == NULL) {
        (void)entry_new(r, name_space, slash + 1);
    }
    free(name_space);
    return true;
}

/* GROUP-IP[-NETWORK] with '-' for ':', cut to the last 253 characters. */
static char *auto_name(const struct node *node)
{
    struct text t = {0};
    char *name;

    text_addf(&t, "%s-%s", node->group, node->address);
    if (node->network[0] != '\0') {
        text_addf(&t, "-%s", node->network);
    }
    for (size_t i = 0; i < t.len; i++) {
        t.p[i] = t.p[i] == ':' ? '-' : t.p[i];
    }
    name = sbx_strdup(t.len > NAME_MAX_CHARS ? t.p + (t.len - NAME_MAX_CHARS) : text_str(&t));
    text_fini(&t);
    return name;
}

static void set_str(char **slot, const char *value)
{
    free(*slot);
    *slot = sbx_strdup(value);
}

static struct entry *register_auto(struct registry *r, const struct node *node)
{
    char *name = auto_name(node);
    struct entry *e = entry_find(r, node->name_space, name);

    if (e == NULL) {
        e = entry_new(r, node->name_space, name);
        e->automatic = true;
        set_str(&e->group, node->group);
        set_str(&e->address, node->address);
        set_str(&e->network, node->network);
        r->created++;
    } else if (e->streams == 0) {
        r->kept++;
    }
    free(name);
    return e;
}

enum register_code registry_connect(struct registry *r, const struct node *node,
                                    struct entry **entry, struct text *why)
{
    struct text group = {0};
    struct entry *e = NULL;
    bool known;

    if (node->group[0] != '\0') {
        text_addf(&group, "%s/%s", node->name_space, node->group);
        known = names_has(&r->groups, text_str(&group));
        if (!known) {
            text_addf(why, "auto-registration WorkloadEntry of %s cannot find WorkloadGroup %s",
                      node->name, text_str(&group));
        }
        text_fini(&group);
        if (!known) {
            return REGISTER_NO_GROUP;
        }
        e = register_auto(r, node);
    } else if (node->workload_entry[0] != '\0') {
        e = entry_find(r, node->name_space, node->workload_entry);
        if (e == NULL) {
            text_addf(why, "WorkloadEntry %s/%s of %s not found", node->name_space,
                      node->workload_entry, node->name);
            return REGISTER_UNKNOWN;
        }
    }
    if (e != NULL) {
        e->streams++;
        e->disconnected_ms = -1;
    }
    *entry = e;
    return REGISTER_OK;
}

void registry_disconnect(struct registry *r, struct entry *entry, int64_t now_ms)
{
    (void)r;
    if (entry == NULL || entry->streams == 0) {
        return;
    }
    entry->streams--;
    if (entry->streams == 0) {
        entry->disconnected_ms = now_ms;
    }
}

void registry_sweep(struct registry *r, int64_t now_ms)
{
    for (struct entry **at = &r->entries; *at != NULL;) {
        struct entry *e = *at;
        bool over = e->disconnected_ms >= 0 && now_ms - e->disconnected_ms >= r->grace_ms;

        if (over && e->automatic) {
            *at = e->next;
            entry_free(e);
            r->deleted++;
            continue;
        }
        if (over) {
            e->health = HEALTH_NONE;
            e->disconnected_ms = -1;
        }
        at = &e->next;
    }
}

void entry_set_health(struct entry *e, bool healthy, const char *message)
{
    e->health = healthy ? HEALTH_TRUE : HEALTH_FALSE;
    set_str(&e->health_message, healthy ? "" : message);
}

const char *entry_health_name(const struct entry *e)
{
    static const char *const names[] = {"Unknown", "True", "False"};

    return names[e->health];
}
