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

static const char *text_of(const json_t *vm, const char *key)
{
    const char *text = doc_text(vm, key, NULL);

    return text != NULL ? text : "";
}

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

/* By the name of its pod, where that is known, else by the revision that the VM says. */
static bool is_served_by(const json_t *vm, const char *deployment, const char *revision)
{
    const char *pod = text_of(vm, "istiod");
    const char *says = text_of(vm, "revision");
    const char *asked = revision != NULL ? revision : "default";

    if (*pod != '\0') {
        return is_pod_of(pod, deployment);
    }
    return strcmp(*says != '\0' ? says : "default", asked) == 0;
}

/* What it says, if it does not go with that istiod; NULL: it does, or nobody knows. */
static const char *other_version(const json_t *vm, const struct version *istiod)
{
    const char *says = text_of(vm, "version");
    struct version agent;

    return read_version(says, &agent) && !go_together(istiod, &agent) ? says : NULL;
}

void versions_check(const json_t *deployment, const struct versions_whose *who, const json_t *vms,
                    struct doctor_report *r)
{
    const json_t *list = doc_at(vms, "vms", NULL);
    char text[TAG_BYTES];
    struct version istiod;
    struct doctor_names names = {.n = 0};

    if (!find_istiods(deployment, text, &istiod)) {
        doctor_skipped(r,
                       "versions of VMs beside that of Deployment %s: neither its image nor its "
                       "label app.kubernetes.io/version says which it is",
                       who->deployment);
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *vm = json_array_get(list, i);
        bool counts = strcmp(text_of(vm, "state"), "connected") == 0 &&
                      is_served_by(vm, who->deployment, who->revision);
        const char *says = counts ? other_version(vm, &istiod) : NULL;
        if (says != NULL) {
            doctor_names_add(&names, text_of(vm, "name"), says);
        }
    }
    if (names.n > 0) {
        doctor_find(r, DOCTOR_VERSION_SKEW, text, who->deployment, who->ns, names.text, names.more,
                    NULL);
    }
    doctor_looked(r,
                  "the Istio versions of the VMs that the daemon knows, beside %s of Deployment "
                  "%s",
                  text, who->deployment);
}
