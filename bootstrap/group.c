/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/proto_json.h"
#include "bootstrap/render.h"
#include "core/base/name.h"

#define CANONICAL_NAME "service.istio.io/canonical-name"
#define CANONICAL_REVISION "service.istio.io/canonical-revision"

static const char *text_or(const char *text, const char *otherwise)
{
    return text != NULL && *text != '\0' ? text : otherwise;
}

const char *bundle_service_account(const json_t *workload_group)
{
    const char *account = doc_text(workload_group, "spec", "template", "serviceAccount", NULL);

    if (account == NULL) {
        account = doc_text(workload_group, "spec", "template", "service_account", NULL);
    }
    return text_or(account, "default");
}

/* The name that the object says, the caller demands, or both. */
static enum rc agree(const struct why *w, const char *what, const char *said, const char *demanded,
                     const char **out)
{
    said = text_or(said, NULL);
    if (said == NULL && demanded == NULL) {
        return why_set(w, "WorkloadGroup: metadata.%s is missing", what);
    }
    if (said != NULL && demanded != NULL && strcmp(said, demanded) != 0) {
        return why_set(w, "WorkloadGroup: metadata.%s is %.253s, but %.253s is asked for", what,
                       said, demanded);
    }
    *out = said != NULL ? said : demanded;
    return RC_OK;
}

static enum rc check_kind(const json_t *object, const struct why *w)
{
    const char *kind = doc_text(object, "kind", NULL);
    const char *version = doc_text(object, "apiVersion", NULL);

    if (!json_is_object(object)) {
        return why_set(w, "WorkloadGroup: it must be a mapping");
    }
    if (kind != NULL && strcmp(kind, "WorkloadGroup") != 0) {
        return why_set(w, "WorkloadGroup: this is a %.60s", kind);
    }
    if (version != NULL && strncmp(version, "networking.istio.io/", 20) != 0) {
        return why_set(w, "WorkloadGroup: apiVersion must be networking.istio.io/v1, it is %.60s",
                       version);
    }
    return RC_OK;
}

static enum rc check_names(const struct group *g, const struct why *w)
{
    if (!name_is_subdomain(g->name)) {
        return why_set(w, "WorkloadGroup: metadata.name %.60s is no name of Kubernetes", g->name);
    }
    if (!name_is_label(g->name_space)) {
        return why_set(w, "WorkloadGroup: metadata.namespace %.60s is no name of Kubernetes",
                       g->name_space);
    }
    if (!name_is_subdomain(g->account)) {
        return why_set(w,
                       "WorkloadGroup: spec.template.serviceAccount %.60s is no name of "
                       "Kubernetes",
                       g->account);
    }
    return RC_OK;
}

static enum rc check_ports(const struct group *g, const struct why *w)
{
    const char *name;
    json_t *number;

    json_object_foreach((json_t *)(uintptr_t)g->ports, name, number)
    {
        json_int_t v = json_integer_value(number);
        if (v < 1 || v > 65535) {
            return why_set(w, "WorkloadGroup: spec.template.ports.%.60s must be from 1 to 65535",
                           name);
        }
    }
    return RC_OK;
}

/* ---- labels ---- */

static const char *first_of(const json_t *labels, const char *const *keys, const char *otherwise)
{
    for (; *keys != NULL; keys++) {
        const char *value = doc_text(labels, *keys, NULL);
        if (value != NULL) {
            return value;
        }
    }
    return otherwise;
}

/* The order is that of pkg/kube/labels/labels.go. */
static enum rc add_canonical(struct group *g)
{
    static const char *const names[] = {CANONICAL_NAME, "app.kubernetes.io/name", "app", NULL};
    static const char *const revisions[] = {CANONICAL_REVISION, "app.kubernetes.io/version",
                                            "version", NULL};
    const char *name = first_of(g->labels, names, g->name);
    const char *revision = first_of(g->labels, revisions, "latest");

    if (json_object_set_new(g->labels, CANONICAL_NAME, json_string(name)) != 0 ||
        json_object_set_new(g->labels, CANONICAL_REVISION, json_string(revision)) != 0) {
        return RC_NO_MEMORY;
    }
    return RC_OK;
}

/* Those of the group's metadata, and over them those of its template. */
static enum rc collect_labels(struct group *g)
{
    const json_t *lists[] = {doc_at(g->spec, "metadata", "labels", NULL),
                             doc_at(g->spec, "template", "labels", NULL)};

    g->labels = json_object();
    if (g->labels == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i < 2; i++) {
        if (lists[i] != NULL && json_object_update(g->labels, (json_t *)(uintptr_t)lists[i]) != 0) {
            return RC_NO_MEMORY;
        }
    }
    return add_canonical(g);
}

const char *group_canonical_name(const struct group *g)
{
    return doc_text(g->labels, CANONICAL_NAME, NULL);
}

const char *group_canonical_revision(const struct group *g)
{
    return doc_text(g->labels, CANONICAL_REVISION, NULL);
}

/* ---- reading ---- */

static enum rc read_spec(struct group *g, const struct why *w)
{
    const json_t *spec = json_object_get(g->object, "spec");

    if (!json_is_object(spec)) {
        return why_set(w, "WorkloadGroup: spec is missing");
    }
    TRY(proto_json_read("WorkloadGroup", spec, "WorkloadGroup: spec", w, &g->spec));
    g->account = text_or(doc_text(g->spec, "template", "serviceAccount", NULL), "default");
    g->network = text_or(doc_text(g->spec, "template", "network", NULL), "");
    g->ports = doc_at(g->spec, "template", "ports", NULL);
    TRY(check_names(g, w));
    TRY(check_ports(g, w));
    return collect_labels(g);
}

enum rc group_read(const json_t *object, const char *name, const char *name_space,
                   const struct why *w, struct group *g)
{
    *g = (struct group){.object = object};
    TRY(check_kind(object, w));
    TRY(agree(w, "name", doc_text(object, "metadata", "name", NULL), name, &g->name));
    TRY(agree(w, "namespace", doc_text(object, "metadata", "namespace", NULL), name_space,
              &g->name_space));
    enum rc rc = read_spec(g, w);
    if (rc != RC_OK) {
        group_fini(g);
    }
    return rc;
}

void group_fini(struct group *g)
{
    json_decref(g->labels);
    json_decref(g->spec);
    *g = (struct group){.name = NULL};
}

/* ---- ports ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the ports, sorted, with a NULL at the end; owned by the caller, the names are
 * borrowed. */
static const char **sort_ports(const struct group *g)
{
    const char **names = calloc(json_object_size(g->ports) + 1, sizeof(*names));
    const char *name;
    json_t *number;
    size_t n = 0;

    if (names == NULL) {
        return NULL;
    }
    json_object_foreach((json_t *)(uintptr_t)g->ports, name, number)
    {
        names[n++] = name;
    }
    qsort(names, n, sizeof(*names), compare_names);
    return names;
}

static json_int_t port_number(const struct group *g, const char *name)
{
    return json_integer_value(json_object_get(g->ports, name));
}

static char *write_numbers(const struct group *g, const char *const *names)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    if (f == NULL) {
        return NULL;
    }
    for (const char *comma = ""; *names != NULL; names++, comma = ",") {
        (void)fprintf(f, "%s%lld", comma, (long long)port_number(g, *names));
    }
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

char *group_port_numbers(const struct group *g)
{
    if (json_object_size(g->ports) == 0) {
        return strdup("*");
    }
    const char **names = sort_ports(g);
    char *text = names != NULL ? write_numbers(g, names) : NULL;
    free(names);
    return text;
}

/* In the order of Go's struct PodPort (pkg/model/proxy.go), which leaves an empty name out. */
static json_t *make_port(const struct group *g, const char *name)
{
    json_int_t number = port_number(g, name);

    if (*name == '\0') {
        return json_pack("{s:I, s:s}", "containerPort", number, "protocol", "");
    }
    return json_pack("{s:s, s:I, s:s}", "name", name, "containerPort", number, "protocol", "");
}

static enum rc fill_ports(const struct group *g, const char *const *names, json_t *list)
{
    for (; *names != NULL; names++) {
        if (json_array_append_new(list, make_port(g, *names)) != 0) {
            return RC_NO_MEMORY;
        }
    }
    return RC_OK;
}

enum rc group_ports_json(const struct group *g, char **out)
{
    *out = NULL;
    if (json_object_size(g->ports) == 0) {
        return RC_OK;
    }
    const char **names = sort_ports(g);
    json_t *list = json_array();
    enum rc rc = RC_NO_MEMORY;
    if (names != NULL && list != NULL) {
        rc = fill_ports(g, names, list);
    }
    if (rc == RC_OK) {
        rc = doc_write_json_as_set(list, out, NULL);
    }
    json_decref(list);
    free(names);
    return rc;
}
