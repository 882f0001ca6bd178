/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/event.h"

#include <string.h>

#define MESSAGE_MAX_BYTES 300
#define STATUS_GONE 410

static const struct {
    const char *type;
    enum kube_change change;
} types[] = {
    {"ADDED", KUBE_ADDED},       {"MODIFIED", KUBE_MODIFIED}, {"DELETED", KUBE_DELETED},
    {"BOOKMARK", KUBE_BOOKMARK}, {"ERROR", KUBE_ERROR},
};

enum rc kube_version_read(const json_t *object, char *out)
{
    const char *version = doc_text(object, "metadata", "resourceVersion", NULL);
    size_t n = version == NULL ? 0 : strlen(version);

    if (n == 0 || n >= KUBE_VERSION_BYTES) {
        return RC_PEER_MALFORMED;
    }
    memcpy(out, version, n + 1);
    return RC_OK;
}

static enum rc read_type(const json_t *line, enum kube_change *out)
{
    const char *type = doc_text(line, "type", NULL);

    for (size_t i = 0; type != NULL && i < sizeof(types) / sizeof(*types); i++) {
        if (strcmp(type, types[i].type) == 0) {
            *out = types[i].change;
            return RC_OK;
        }
    }
    return RC_PEER_MALFORMED;
}

/* The object is a Status. Servers say 410 with reason Expired or Gone. */
static void read_error(const json_t *status, struct kube_event *out)
{
    const char *reason = doc_text(status, "reason", NULL);
    const char *message = doc_text(status, "message", NULL);

    if (json_integer_value(doc_at(status, "code", NULL)) == STATUS_GONE) {
        out->change = KUBE_GONE;
    }
    kube_text_append(out->error.text, KUBE_TEXT_BYTES, reason != NULL ? reason : "error", 60, NULL);
    if (message != NULL) {
        kube_text_append(out->error.text, KUBE_TEXT_BYTES, ": ", 2, NULL);
        kube_text_append(out->error.text, KUBE_TEXT_BYTES, message, MESSAGE_MAX_BYTES, NULL);
    }
}

static enum rc read_line(json_t *line, struct kube_event *out)
{
    json_t *object = json_object_get(line, "object");

    TRY(read_type(line, &out->change));
    if (!json_is_object(object)) {
        return RC_PEER_MALFORMED;
    }
    if (out->change == KUBE_ERROR) {
        read_error(object, out);
        return RC_OK;
    }
    TRY(kube_version_read(object, out->version));
    if (out->change != KUBE_BOOKMARK) {
        out->object = json_incref(object);
    }
    return RC_OK;
}

enum rc kube_event_read(const char *line, size_t n, struct kube_event *out)
{
    struct doc_error why;
    struct kube_event e = {0};
    json_t *v = NULL;

    enum rc rc = doc_parse_json(line, n, &why, &v);
    if (rc != RC_OK) {
        return rc == RC_INVALID ? RC_PEER_MALFORMED : rc;
    }
    rc = read_line(v, &e);
    json_decref(v);
    if (rc == RC_OK) {
        *out = e;
    }
    return rc;
}

void kube_event_fini(struct kube_event *e)
{
    json_decref(e->object);
    e->object = NULL;
}
