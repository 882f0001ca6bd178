/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels of WorkloadEntries that are not those of their WorkloadGroup. istiod copies them once,
 * when a VM registers first, and never again (Istio: workloadEntryFromGroup() in
 * pilot/pkg/autoregistration/controller.go): what was changed in a group reaches none of the VMs
 * that it has. A label that the group does not have any more cannot be told from a VM's own.
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
    const char *ns;
    const char *group;
    const char *key;
    const char *value; /* what is shown */
    const char *other; /* the group's other value of it; NULL: it has one */
};

/* Borrowed; "" when it is not there. */
static const char *name_of(const json_t *object)
{
    const char *name = doc_text(object, "metadata", "name", NULL);

    return name != NULL ? name : "";
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

static bool has_label(const json_t *entry, const struct wanted *w)
{
    const char *has = label_of_entry(entry, w->key);

    return has != NULL &&
           (strcmp(has, w->value) == 0 || (w->other != NULL && strcmp(has, w->other) == 0));
}

/* Those of this group, of which only is one or for which it stands; NULL: out of memory. */
static json_t *entries_of(const json_t *group, const json_t *entries, const char *only)
{
    const json_t *items = doc_at(entries, "items", NULL);
    bool whole = only == NULL || strcmp(name_of(group), only) == 0;
    json_t *out = json_array();

    for (size_t i = 0; out != NULL && i < json_array_size(items) && i < CLUSTER_ITEMS_MAX; i++) {
        json_t *entry = json_array_get(items, i);
        const char *of =
            doc_text(entry, "metadata", "annotations", "istio.io/autoRegistrationGroup", NULL);
        bool is_asked = whole || strcmp(name_of(entry), only) == 0;
        if (of != NULL && strcmp(of, name_of(group)) == 0 && is_asked &&
            json_array_append(out, entry) != 0) {
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
        doctor_find(r, DOCTOR_ENTRY_LABELS, w->ns, w->group, quoted, those->text, those->more, all,
                    NULL);
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
    FILE *out = open_memstream(&all, &size);

    for (size_t i = 0; out != NULL && i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        const char *has = label_of_entry(entry, w->key);
        if (has_label(entry, w)) {
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

static void check_group(const json_t *group, const char *ns, const json_t *entries,
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
            const struct wanted w = {.ns = ns,
                                     .group = name_of(group),
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

void members_check_labels(const json_t *groups, const json_t *entries, const char *ns,
                          const char *only, struct doctor_report *r)
{
    const json_t *items = doc_at(groups, "items", NULL);

    for (size_t i = 0; i < json_array_size(items) && i < CLUSTER_ITEMS_MAX; i++) {
        const json_t *group = json_array_get(items, i);
        json_t *own = entries_of(group, entries, only);
        if (own == NULL) {
            r->short_of_memory = true;
            return;
        }
        if (json_array_size(own) > 0) {
            check_group(group, ns, own, r);
        }
        json_decref(own);
    }
}
