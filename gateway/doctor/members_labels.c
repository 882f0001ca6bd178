/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels of WorkloadEntries that are not those of their WorkloadGroup. istiod copies them once,
 * when a VM registers first, and never again (Istio: workloadEntryFromGroup() in
 * pilot/pkg/autoregistration/controller.go): what was changed in a group reaches none of the VMs
 * that it has. But a VM's own labels win over those of its group, and nothing says which those are.
 * So another value is a finding only when all VMs that were there before the last change have the
 * same one, which the configuration does not name; a VM cannot take a label away, so one that is
 * missing always is. A label that the group does not have any more cannot be told from a VM's own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/doctor/cluster_internal.h"

/** So many are named in the command, if their names have room there. */
#define LABELLED_MAX 100

/** istiod makes the locality of it, and takes it out of the labels. */
#define LOCALITY "istio-locality"

/* One label of a group. */
struct wanted {
    const struct members_whose *who;
    const json_t *group;
    const char *key;
    const char *value; /* what is shown */
    const char *other; /* the group's other value of it; NULL: it has one */
};

static const char *name_of(const json_t *object)
{
    return members_text(object, "metadata", "name");
}

/* Two places of a group have labels. Which of them counts is not the same in a bundle
 * (istioctl/pkg/workload) and in istiod. */
static const char *label_of_group(const json_t *group, const char *place, const char *key)
{
    return doc_text(group, "spec", place, "labels", key, NULL);
}

/* The one that counts (Istio: ConvertWorkloadEntry() in pilot/pkg/serviceregistry/serviceentry);
 * NULL: none. */
static const char *label_of_entry(const json_t *entry, const char *key)
{
    const char *own = doc_text(entry, "metadata", "labels", key, NULL);

    return own != NULL ? own : doc_text(entry, "spec", "labels", key, NULL);
}

/* When this group was changed last, by whom ever, as Kubernetes notes it; NULL: nobody knows. */
static const char *changed_at(const json_t *group)
{
    const json_t *fields = doc_at(group, "metadata", "managedFields", NULL);
    const char *last = NULL;

    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *row = json_array_get(fields, i);
        const char *at = doc_text(row, "time", NULL);
        bool is_status = doc_text(row, "subresource", NULL) != NULL;
        last = at != NULL && !is_status && (last == NULL || strcmp(at, last) > 0) ? at : last;
    }
    return last;
}

/* Has this entry been made of its group as it is now? All times of Kubernetes are written in one
 * way, in UTC. */
static bool is_newer(const json_t *entry, const json_t *group)
{
    const char *made = doc_text(entry, "metadata", "creationTimestamp", NULL);
    const char *changed = changed_at(group);

    return made != NULL && changed != NULL && strcmp(made, changed) > 0;
}

/* ---- a value of a label ---- */

static void read_account(const json_t *entry, const struct wanted *w, struct spiffe_id *out)
{
    const char *own = doc_text(entry, "spec", "serviceAccount", NULL);
    const char *of_group = doc_text(w->group, "spec", "template", "serviceAccount", NULL);
    const char *name = own != NULL && *own != '\0' ? own : of_group;

    *out = (struct spiffe_id){.trust_domain = ""};
    (void)snprintf(out->ns, sizeof(out->ns), "%s", w->who->ns);
    (void)snprintf(out->sa, sizeof(out->sa), "%s",
                   name != NULL && *name != '\0' ? name : "default");
}

static bool is_among(const char *value, char *const *values)
{
    for (; *values != NULL; values++) {
        if (strcmp(*values, value) == 0) {
            return true;
        }
    }
    return false;
}

/* Does the configuration name this value for that account? */
static bool is_allowed(const struct policy_allow *allow, const char *key, const char *value)
{
    for (size_t i = 0; allow != NULL && i < allow->n_labels; i++) {
        if (strcmp(allow->labels[i].key, key) == 0 && is_among(value, allow->labels[i].values)) {
            return true;
        }
    }
    return false;
}

/* Has the entry this value because it is to have it? */
static bool is_meant(const json_t *entry, const char *value, const struct wanted *w)
{
    const struct config *c = w->who->config;
    struct spiffe_id id;

    if (strcmp(value, w->value) == 0 || (w->other != NULL && strcmp(value, w->other) == 0)) {
        return true;
    }
    read_account(entry, w, &id);
    for (size_t i = 0; c != NULL && i < c->n_listeners; i++) {
        if (is_allowed(policy_allow_of(&c->listeners[i].registration, &id), w->key, value)) {
            return true;
        }
    }
    return false;
}

/* The value that the group has left its entries with: the same one in all of two or more that are
 * older than its change and have the label. NULL: there is none. */
static const char *left_with(const json_t *entries, const struct wanted *w)
{
    const char *left = NULL;
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        const char *has = label_of_entry(entry, w->key);
        if (has == NULL || is_newer(entry, w->group)) {
            continue;
        }
        if (is_meant(entry, has, w) || (left != NULL && strcmp(has, left) != 0)) {
            return NULL;
        }
        left = has;
        n++;
    }
    return n > 1 ? left : NULL;
}

/* Does the entry want for the label, or for a change of it? */
static bool is_behind(const json_t *entry, const struct wanted *w, const char *left)
{
    const char *has = label_of_entry(entry, w->key);

    return has == NULL || (left != NULL && strcmp(has, left) == 0 && !is_newer(entry, w->group));
}

/* ---- entries ---- */

/* Is it looked at? */
static bool is_asked(const json_t *entry, const struct wanted *w)
{
    const char *only = w->who->only;

    return only == NULL || strcmp(name_of(w->group), only) == 0 ||
           strcmp(name_of(entry), only) == 0;
}

/* Those of this group; NULL: out of memory. */
static json_t *entries_of(const json_t *group, const json_t *entries)
{
    const json_t *items = doc_at(entries, "items", NULL);
    json_t *out = json_array();

    for (size_t i = 0; out != NULL && i < json_array_size(items) && i < CLUSTER_ITEMS_MAX; i++) {
        json_t *entry = json_array_get(items, i);
        const char *of =
            doc_text(entry, "metadata", "annotations", "istio.io/autoRegistrationGroup", NULL);
        if (of != NULL && strcmp(of, name_of(group)) == 0 && json_array_append(out, entry) != 0) {
            json_decref(out);
            out = NULL;
        }
    }
    return out;
}

/* ---- the finding ---- */

static void find_label(const struct wanted *w, const struct doctor_names *those, const char *all,
                       struct doctor_report *r)
{
    char *label = NULL;
    char *quoted = NULL;

    if (asprintf(&label, "%s=%s", w->key, w->value) >= 0) {
        quoted = doctor_quote(label);
        free(label);
    }
    if (quoted != NULL) {
        doctor_find(r, DOCTOR_ENTRY_LABELS, w->who->ns, name_of(w->group), quoted, those->text,
                    those->more, all, NULL);
    }
    r->short_of_memory = r->short_of_memory || quoted == NULL;
    free(quoted);
}

static void check_label(const struct wanted *w, const json_t *entries, struct doctor_report *r)
{
    struct doctor_names those = {.n = 0};
    char *all = NULL; /* " web-1 web-2": of the command */
    size_t size = 0;
    size_t named = 0; /* bytes of all names */
    const char *left = left_with(entries, w);
    FILE *out = open_memstream(&all, &size);

    for (size_t i = 0; out != NULL && i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        const char *has = label_of_entry(entry, w->key);
        if (!is_asked(entry, w) || !is_behind(entry, w, left)) {
            continue;
        }
        doctor_names_add(&those, name_of(entry), has != NULL ? has : "without it");
        named += 1 + strlen(name_of(entry));
        if (those.n <= LABELLED_MAX && named <= DOCTOR_CURE_PLACE_MAX_BYTES) {
            (void)fprintf(out, " %s", name_of(entry));
        }
    }
    bool ok = out != NULL && fclose(out) == 0;
    if (ok && those.n > 0) {
        find_label(w, &those, all, r);
    }
    r->short_of_memory = r->short_of_memory || !ok;
    free(all);
}

/* ---- all of them ---- */

static void check_group(const json_t *group, const struct members_whose *who, const json_t *entries,
                        struct doctor_report *r)
{
    static const char *const places[] = {"template", "metadata"};

    for (size_t i = 0; i < 2; i++) {
        json_t *labels =
            json_object_get(doc_at(group, "spec", places[i], NULL), "labels"); /* NULL: none */
        const char *key;
        json_t *value;
        json_object_foreach(labels, key, value)
        {
            const struct wanted w = {.who = who,
                                     .group = group,
                                     .key = key,
                                     .value = json_string_value(value),
                                     .other = label_of_group(group, places[1 - i], key)};
            bool is_said = i > 0 && w.other != NULL;
            if (w.value != NULL && !is_said && strcmp(key, LOCALITY) != 0) {
                check_label(&w, entries, r);
            }
        }
    }
}

void members_check_labels(const json_t *groups, const json_t *entries,
                          const struct members_whose *who, struct doctor_report *r)
{
    const json_t *items = doc_at(groups, "items", NULL);

    for (size_t i = 0; i < json_array_size(items) && i < CLUSTER_ITEMS_MAX; i++) {
        const json_t *group = json_array_get(items, i);
        json_t *own = entries_of(group, entries);
        if (own == NULL) {
            r->short_of_memory = true;
            return;
        }
        if (json_array_size(own) > 0) {
            check_group(group, who, own, r);
        }
        json_decref(own);
    }
}
