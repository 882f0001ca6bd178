/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do the VMs' agents go with istiod? Agents say which Istio they are of; istiod does not say it on
 * any stream of a VM (Istio: ControlPlane() in pilot/pkg/xds/xdsgen.go), so what is deployed
 * counts: the tag of its image, or the label that its chart writes. Both are free text: a version
 * that cannot be read is no finding.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/doctor/cluster_internal.h"

/** Minor versions that istiod may be ahead of its agents; they may never be ahead of it
 * (istio.io/latest/docs/releases/supported-releases). */
#define BEHIND_MAX 1

struct version {
    int major;
    int minor;
};

/* ---- versions ---- */

/* A number of up to three digits. *at: behind it. -1: there is none. */
static int read_number(const char **at)
{
    int n = 0;
    size_t digits = 0;

    for (; isdigit((unsigned char)**at) && digits < 4; (*at)++, digits++) {
        n = n * 10 + (**at - '0');
    }
    return digits > 0 && digits < 4 ? n : -1;
}

/* "1.31.0", "1.31-alpha.0123", "1.31": of what follows nothing is compared. */
static bool read_version(const char *text, struct version *out)
{
    const char *at = text;

    out->major = read_number(&at);
    if (out->major < 0 || *at++ != '.') {
        return false;
    }
    out->minor = read_number(&at);
    return out->minor >= 0 && (*at == '\0' || strchr(".-_+", *at) != NULL);
}

static bool go_together(const struct version *istiod, const struct version *agent)
{
    int behind = istiod->minor - agent->minor;

    return istiod->major == agent->major && behind >= 0 && behind <= BEHIND_MAX;
}

/* ---- istiod's ---- */

/** Room for a tag: docs.docker.com says 128 at most. */
#define TAG_BYTES 132

/* "docker.io/istio/pilot:1.31.0-distroless@sha256:..."; false: it has no tag. */
static bool read_tag(const char *image, char out[TAG_BYTES])
{
    const char *slash = strrchr(image, '/');
    const char *colon = strchr(slash != NULL ? slash : image, ':');
    size_t n = colon != NULL ? strcspn(colon + 1, "@") : 0;
    const char *digest = strchr(image, '@');

    if (colon == NULL || n >= TAG_BYTES || (digest != NULL && digest < colon)) {
        return false;
    }
    (void)snprintf(out, TAG_BYTES, "%.*s", (int)n, colon + 1);
    return true;
}

/* Of istiod's container, else of the first. */
static const char *image_of(const json_t *deployment)
{
    const json_t *list = doc_at(deployment, "spec", "template", "spec", "containers", NULL);
    const char *first = doc_text(json_array_get(list, 0), "image", NULL);

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i);
        const char *name = doc_text(c, "name", NULL);
        if (name != NULL && strcmp(name, "discovery") == 0) {
            return doc_text(c, "image", NULL);
        }
    }
    return first;
}

static bool find_istiods(const json_t *deployment, char text[TAG_BYTES], struct version *out)
{
    const char *image = image_of(deployment);
    const char *label =
        doc_text(deployment, "metadata", "labels", "app.kubernetes.io/version", NULL);

    if (image != NULL && read_tag(image, text) && read_version(text, out)) {
        return true;
    }
    (void)snprintf(text, TAG_BYTES, "%s", label != NULL ? label : "");
    return read_version(text, out);
}

/* ---- agents' ---- */

/* The pod of a Deployment is DEPLOYMENT-HASH-NAME. */
static bool is_pod_of(const char *pod, const char *deployment)
{
    size_t n = strlen(deployment);
    const char *rest = pod + n;

    if (strncmp(pod, deployment, n) != 0 || *rest++ != '-') {
        return false;
    }
    const char *dash = strchr(rest, '-');
    return dash != NULL && strchr(dash + 1, '-') == NULL;
}

/* What stands behind a label of a host name; NULL: another one is there. */
static const char *behind_label(const char *at, const char *label)
{
    size_t n = strlen(label);
    bool is_it = at != NULL && strncmp(at, label, n) == 0 && (at[n] == '.' || at[n] == '\0');

    return !is_it ? NULL : at[n] == '.' ? at + n + 1 : at + n;
}

enum served {
    SERVED_BY_IT,
    SERVED_BY_ANOTHER,
    SERVED_BY_NOBODY_KNOWS,
};

/* A Service of istiod's is called as its Deployment: "istiod-canary.istio-system.svc". */
static enum served served_by_name(const char *host, const struct versions_whose *who)
{
    bool is_istiods = strncmp(host, "istiod.", 7) == 0 || strncmp(host, "istiod-", 7) == 0;
    const char *dot = is_istiods ? strchr(host, '.') : NULL;
    const char *second = dot != NULL ? strchr(dot + 1, '.') : NULL;

    if (second == NULL || behind_label(second + 1, "svc") == NULL) {
        return SERVED_BY_NOBODY_KNOWS;
    }
    return behind_label(behind_label(host, who->deployment), who->ns) != NULL ? SERVED_BY_IT
                                                                              : SERVED_BY_ANOTHER;
}

/* By the name of its pod, where that is known; else by the revision that the VM says, which few
 * do; else by whom its upstream has to be. */
static enum served served_by(const json_t *vm, const struct versions_whose *who)
{
    const struct upstream_opts *u = members_upstream_of(vm, who->config);
    const char *pod = members_text(vm, "istiod", NULL);
    const char *says = members_text(vm, "revision", NULL);
    bool is_it;

    if (u != NULL && u->discovery.on && who->gate_is_elsewhere) {
        return SERVED_BY_NOBODY_KNOWS;
    }
    if (u != NULL && u->discovery.on && strcmp(u->discovery.ns, who->ns) != 0) {
        return SERVED_BY_ANOTHER;
    }
    if (*pod == '\0' && *says == '\0') {
        return served_by_name(u != NULL && u->server_name != NULL ? u->server_name : "", who);
    }
    if (*pod != '\0') {
        is_it = is_pod_of(pod, who->deployment);
    } else {
        is_it = strcmp(says, who->revision != NULL ? who->revision : "default") == 0;
    }
    return is_it ? SERVED_BY_IT : SERVED_BY_ANOTHER;
}

/* What it says, if it does not go with that istiod; NULL: it does, or nobody knows. */
static const char *other_version(const json_t *vm, const struct version *istiod)
{
    const char *says = members_text(vm, "version", NULL);
    struct version agent;

    return read_version(says, &agent) && !go_together(istiod, &agent) ? says : NULL;
}

/* ---- both ---- */

/* What was seen of the VMs. */
struct seen {
    struct doctor_names others; /* whose version does not go with istiod's */
    size_t unknown;             /* of which is not known whether that istiod serves them */
    size_t compared;
};

static void look_at_vm(const json_t *vm, const struct versions_whose *who,
                       const struct version *istiod, struct seen *seen)
{
    if (strcmp(members_text(vm, "state", NULL), "connected") != 0) {
        return;
    }
    enum served by = served_by(vm, who);
    const char *says = by == SERVED_BY_IT ? other_version(vm, istiod) : NULL;
    seen->unknown += by == SERVED_BY_NOBODY_KNOWS;
    seen->compared += by == SERVED_BY_IT;
    if (says != NULL) {
        doctor_names_add(&seen->others, members_text(vm, "name", NULL), says);
    }
}

static void say_what_was_seen(const struct seen *seen, const char *text,
                              const struct versions_whose *who, struct doctor_report *r)
{
    if (seen->others.n > 0) {
        doctor_find(r, DOCTOR_VERSION_SKEW, text, who->deployment, who->ns, seen->others.text,
                    seen->others.more, NULL);
    }
    if (seen->unknown > 0) {
        doctor_skipped(
            r,
            "versions of VMs (%zu) beside that of Deployment %s: it is not known whether it "
            "serves them: neither a pod of this cluster nor `server_name` of their "
            "upstream says it",
            seen->unknown, who->deployment);
    }
    if (seen->compared > 0 || seen->unknown == 0) {
        doctor_looked(r,
                      "the Istio versions of the VMs that the daemon knows, beside %s of "
                      "Deployment %s",
                      text, who->deployment);
    }
}

void versions_check(const json_t *deployment, const struct versions_whose *who, const json_t *vms,
                    struct doctor_report *r)
{
    const json_t *list = doc_at(vms, "vms", NULL);
    char text[TAG_BYTES];
    struct version istiod;
    struct seen seen = {.unknown = 0};

    if (!find_istiods(deployment, text, &istiod)) {
        doctor_skipped(r,
                       "versions of VMs beside that of Deployment %s: neither its image nor its "
                       "label app.kubernetes.io/version says which it is",
                       who->deployment);
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        look_at_vm(json_array_get(list, i), who, &istiod, &seen);
    }
    say_what_was_seen(&seen, text, who, r);
}
