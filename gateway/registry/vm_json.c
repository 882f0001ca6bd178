/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/vm_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/hex.h"
#include "gateway/registry/json_value.h"
#include "gateway/registry/vm_id.h"

/* ---- values; NULL: out of memory ---- */

/* A text of a VM; null when it has said nothing. */
static json_t *text(const char *s)
{
    return s != NULL ? json_value_text(s, strlen(s)) : json_null();
}

static json_t *claimed(const struct vm_view *v, enum vm_text which)
{
    return text(vm_claim_text(v->claim, which));
}

static json_t *shared(const struct shared_text *t)
{
    return text(shared_text_get(t));
}

static json_t *time_s(int64_t s)
{
    return json_value_time(s > 0 && s <= INT64_MAX / 1000 ? s * 1000 : 0);
}

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)(n <= INT64_MAX ? n : INT64_MAX));
}

static json_t *address(const struct addr *a, bool with_port)
{
    char buf[ADDR_TEXT_BYTES];

    if (a->family == ADDR_NONE) {
        return json_null();
    }
    return json_string(with_port ? addr_format(a, buf) : addr_format_ip(a, buf));
}

/* ---- parts ---- */

static json_t *id_of(uint64_t id)
{
    char buf[VM_ID_BYTES];

    return json_string(vm_id_text(id, buf));
}

/* The value when all of it is there, else NULL. */
static json_t *only_whole(json_t *v, bool ok)
{
    if (!ok) {
        json_decref(v);
        return NULL;
    }
    return v;
}

static json_t *types_of(const struct vm_view *v)
{
    json_t *out = json_object();
    bool ok = out != NULL;

    for (uint8_t i = 0; ok && i < v->n_sync; i++) {
        ok = doc_set(out, xds_type_name((enum xds_type)v->sync[i].type),
                     json_string(xds_sync_state_name((enum xds_sync_state)v->sync[i].state)));
    }
    return only_whole(out, ok);
}

static json_t *last_nack(const struct vm_view *v)
{
    if (v->last_nack == XDS_TYPES) {
        return json_null();
    }
    json_t *o = json_object();
    bool ok = doc_set(o, "type", json_string(xds_type_name(v->last_nack))) &&
              doc_set(o, "text", shared(v->nacks[v->last_nack].text)) &&
              doc_set(o, "at", json_value_time(v->nacks[v->last_nack].at_ms));
    return only_whole(o, ok);
}

static json_t *refused(const struct vm_view *v)
{
    if (v->refused_rule == RULES) {
        return json_null();
    }
    json_t *o = json_object();
    bool ok = doc_set(o, "rule", json_string(rule_label(v->refused_rule))) &&
              doc_set(o, "detail", shared(v->refused_detail)) &&
              doc_set(o, "at", json_value_time(v->refused_ms)) &&
              doc_set(o, "times", number(v->refused_times)) &&
              doc_set(o, "passed", json_boolean(v->refused_passed));
    return only_whole(o, ok);
}

static const char *variant_of(const struct vm_view *v)
{
    return v->claim->variant == XDS_DELTA ? "delta" : "sotw";
}

static json_t *last_end(const struct vm_view *v)
{
    return v->last_end == END_NONE ? json_null() : json_string(end_label(v->last_end));
}

/* ---- SUMMARY ---- */

static bool set_who(json_t *o, const struct vm_view *v)
{
    return doc_set(o, "id", id_of(v->id)) && doc_set(o, "name", text(v->name)) &&
           doc_set(o, "namespace", claimed(v, VM_NAMESPACE)) &&
           doc_set(o, "identity", claimed(v, VM_IDENTITY)) &&
           doc_set(o, "verified", json_boolean(v->claim->verified)) &&
           doc_set(o, "state", json_string(vm_state_name(v->state))) &&
           doc_set(o, "health", json_string(vm_health_name(v->health)));
}

static bool set_what(json_t *o, const struct vm_view *v)
{
    return doc_set(o, "group", claimed(v, VM_GROUP)) &&
           doc_set(o, "network", claimed(v, VM_NETWORK)) &&
           doc_set(o, "cluster", claimed(v, VM_CLUSTER)) &&
           doc_set(o, "revision", text(vm_claim_label(v->claim, "istio.io/rev"))) &&
           doc_set(o, "version", claimed(v, VM_VERSION));
}

static bool set_where(json_t *o, const struct vm_view *v)
{
    return doc_set(o, "address", address(&v->claim->address, false)) &&
           doc_set(o, "peer", address(&v->claim->peer, true)) &&
           doc_set(o, "listener", claimed(v, VM_LISTENER)) &&
           doc_set(o, "upstream", claimed(v, VM_UPSTREAM)) &&
           doc_set(o, "endpoint", address(&v->endpoint, true)) &&
           doc_set(o, "istiod", shared(v->pod)) &&
           doc_set(o, "variant", json_string(variant_of(v)));
}

static bool set_when(json_t *o, const struct vm_view *v)
{
    return doc_set(o, "connected_since", json_value_time(v->connected_since_ms)) &&
           doc_set(o, "last_seen", json_value_time(v->last_seen_ms)) &&
           doc_set(o, "reconnects", number(v->reconnects)) && doc_set(o, "last_end", last_end(v)) &&
           doc_set(o, "types", types_of(v)) && doc_set(o, "nacks", number(v->n_nacks)) &&
           doc_set(o, "last_nack", last_nack(v)) &&
           doc_set(o, "certificate_expires", time_s(v->certificate.expiry_s)) &&
           doc_set(o, "token_expires", time_s(v->claim->token_expiry_s)) &&
           doc_set(o, "bytes_up", number(v->bytes_up)) &&
           doc_set(o, "bytes_down", number(v->bytes_down)) && doc_set(o, "refused", refused(v));
}

/* Give it to the caller if all of it is there. */
static enum rc finish(bool ok, json_t *o, json_t **out)
{
    if (only_whole(o, ok) == NULL) {
        return RC_NO_MEMORY;
    }
    *out = o;
    return RC_OK;
}

enum rc vm_json_summary(const struct vm_view *v, json_t **out)
{
    json_t *o = json_object();
    bool ok = set_who(o, v) && set_what(o, v) && set_where(o, v) && set_when(o, v);

    return finish(ok, o, out);
}

/* ---- DETAIL ---- */

/* "KEY=VALUE"; of two with one key the first is the one that counts. */
static bool set_label(json_t *out, const char *label)
{
    size_t n = strcspn(label, "=");
    const char *value = label + n + (label[n] == '=');
    json_t *key = json_value_kept(label, n);
    bool ok = key != NULL;

    if (ok && json_object_get(out, json_string_value(key)) == NULL) {
        ok = doc_set(out, json_string_value(key), json_value_kept(value, strlen(value)));
    }
    json_decref(key);
    return ok;
}

static json_t *labels_of(const struct vm_view *v)
{
    const char *label = v->claim->bytes + v->claim->labels;
    json_t *out = json_object();
    bool ok = out != NULL;

    for (size_t i = 0; ok && i < v->claim->n_labels; i++) {
        ok = set_label(out, label);
        label += strlen(label) + 1;
    }
    return only_whole(out, ok);
}

static json_t *addresses_of(const struct vm_view *v)
{
    const char *at = vm_claim_text(v->claim, VM_ADDRESSES);
    json_t *out = json_array();
    bool ok = out != NULL;

    while (ok && *at != '\0') {
        size_t n = strcspn(at, ",");
        if (n > 0) {
            ok = doc_append(out, json_value_text(at, n));
        }
        at += n + (at[n] == ',');
    }
    return only_whole(out, ok);
}

static json_t *certificate_of(const struct vm_view *v)
{
    char hex[HEX_BYTES(REGISTRY_KEY_BYTES)];

    if (!v->certificate.known) {
        return json_null();
    }
    json_t *o = json_object();
    bool ok =
        doc_set(o, "serial", text(v->certificate.serial)) &&
        doc_set(o, "expires", time_s(v->certificate.expiry_s)) &&
        doc_set(o, "key", json_string(hex_write(hex, v->certificate.key, REGISTRY_KEY_BYTES)));
    return only_whole(o, ok);
}

/* The text of the last NACK, as long as it counts. */
static json_t *error_of(const struct vm_view *v, const struct xds_sync *s)
{
    return s->state == XDS_ERROR ? shared(v->nacks[s->type].text) : json_null();
}

static json_t *sync_row(const struct vm_view *v, const struct xds_sync *s)
{
    enum xds_type type = (enum xds_type)s->type;
    json_t *o = json_object();
    bool ok =
        o != NULL && doc_set(o, "type", json_string(xds_type_name(type))) &&
        doc_set(o, "url", json_string(xds_type_url(type))) &&
        doc_set(o, "state", json_string(xds_sync_state_name((enum xds_sync_state)s->state))) &&
        doc_set(o, "nonce", text(s->nonce)) && doc_set(o, "sent", json_value_time(s->sent_ms)) &&
        doc_set(o, "acked", json_value_time(xds_sync_acked_ms(s))) &&
        doc_set(o, "bytes", number(s->bytes)) && doc_set(o, "all_bytes", number(s->all_bytes)) &&
        doc_set(o, "resources", number(s->n_resources)) &&
        doc_set(o, "removed", number(s->n_removed)) &&
        doc_set(o, "responses", number(s->n_responses)) &&
        doc_set(o, "nacks", number(s->n_nacks)) && doc_set(o, "error", error_of(v, s));

    return only_whole(o, ok);
}

static json_t *sync_of(const struct vm_view *v)
{
    json_t *out = json_array();
    bool ok = out != NULL;

    for (uint8_t i = 0; ok && i < v->n_sync; i++) {
        ok = doc_append(out, sync_row(v, &v->sync[i]));
    }
    return only_whole(out, ok);
}

static json_t *reasons_of(const struct vm_view *v)
{
    json_t *out = json_object();
    bool ok = out != NULL;

    for (size_t i = 0; ok && i < END_COUNT; i++) {
        if (v->ends[i] > 0) {
            ok = doc_set(out, end_label((enum end_reason)i), number(v->ends[i]));
        }
    }
    return only_whole(out, ok);
}

static json_t *event_row(const struct vm_event *e)
{
    json_t *o = json_object();
    bool ok = doc_set(o, "at", json_value_time(e->at_ms)) &&
              doc_set(o, "what", json_string(vm_what_name(e->what))) &&
              doc_set(o, "detail", text(vm_event_detail(e)));

    return only_whole(o, ok);
}

static json_t *events_of(const struct vm_view *v)
{
    json_t *out = json_array();
    bool ok = out != NULL;

    for (uint8_t i = 0; ok && i < v->events.n; i++) {
        struct vm_event e = vm_events_get(&v->events, i);
        ok = doc_append(out, event_row(&e));
    }
    return only_whole(out, ok);
}

static bool set_detail(json_t *o, const struct vm_view *v)
{
    return doc_set(o, "node_id", claimed(v, VM_NODE_ID)) && doc_set(o, "labels", labels_of(v)) &&
           doc_set(o, "addresses", addresses_of(v)) &&
           doc_set(o, "workload", claimed(v, VM_WORKLOAD)) &&
           doc_set(o, "locality", claimed(v, VM_LOCALITY)) &&
           doc_set(o, "cut", json_boolean(v->claim->cut)) &&
           doc_set(o, "certificate", certificate_of(v)) &&
           doc_set(o, "health_since", json_value_time(v->health_since_ms)) &&
           doc_set(o, "health_message", shared(v->health_message)) &&
           doc_set(o, "sync", sync_of(v)) && doc_set(o, "messages_up", number(v->messages_up)) &&
           doc_set(o, "messages_down", number(v->messages_down)) &&
           doc_set(o, "unread", number(v->unread)) &&
           doc_set(o, "reconnect_reasons", reasons_of(v)) && doc_set(o, "events", events_of(v));
}

enum rc vm_json_detail(const struct vm_view *v, json_t **out)
{
    json_t *o = NULL;

    TRY(vm_json_summary(v, &o));
    return finish(set_detail(o, v), o, out);
}

/* ---- bodies ---- */

/* A body while VMs are written into it, one by one: all as values would be much memory. */
struct body {
    FILE *out;
    const char *name; /* only those that are meant by it, in detail; NULL: all, summaries */
    size_t n;
    enum rc rc;
};

static bool write_vm(void *arg, const struct vm_view *v)
{
    struct body *b = arg;
    json_t *value = NULL;
    char *line = NULL;
    size_t n = 0;

    if (b->name != NULL && !vm_name_means(b->name, v->name, v->id)) {
        return true;
    }
    b->rc = b->name != NULL ? vm_json_detail(v, &value) : vm_json_summary(v, &value);
    if (b->rc == RC_OK) {
        b->rc = doc_write_json_as_set(value, &line, &n);
        json_decref(value);
    }
    if (b->rc != RC_OK) {
        return false;
    }
    (void)fprintf(b->out, "%s%s", b->n > 0 ? "," : "", line);
    free(line);
    b->n++;
    return true;
}

/* Closes the stream of a body. What could not be written is known then. */
static enum rc close_body(struct body *b, char **text_out)
{
    bool lost = ferror(b->out) != 0;

    lost = fclose(b->out) != 0 || lost;
    if (lost || b->rc != RC_OK) {
        free(*text_out);
        *text_out = NULL;
        return b->rc != RC_OK ? b->rc : RC_NO_MEMORY;
    }
    return RC_OK;
}

static void write_gone(FILE *out, const uint64_t *ids, size_t n)
{
    char id[VM_ID_BYTES];

    (void)fprintf(out, ",\"gone\":[");
    for (size_t i = 0; i < n; i++) {
        (void)fprintf(out, "%s\"%s\"", i > 0 ? "," : "", vm_id_text(ids[i], id));
    }
    (void)fprintf(out, "]");
}

/* *is_whole: what was to be told of VMs that are gone is told. */
static enum rc write_list(struct registry *r, uint64_t since, int64_t now_ms, char **out, size_t *n,
                          bool *is_whole)
{
    uint64_t ids[REGISTRY_GONE_MAX];
    size_t n_ids = 0;
    char now[CLOCK_TEXT_BYTES];
    struct body b = {.out = open_memstream(out, n), .rc = RC_OK};

    if (b.out == NULL) {
        return RC_NO_MEMORY;
    }
    (void)clock_text_ms(now_ms, now);
    (void)fprintf(b.out, "{\"now\":\"%s\",\"vms\":[", now);
    uint64_t next = registry_collect(r, since, now_ms, write_vm, &b);
    (void)fprintf(b.out, "],\"next\":%" PRIu64, next);
    /* Asked afterwards: who was shown and is gone by now is told to be gone the next time, too. */
    *is_whole = since == 0 || registry_gone(r, since, ids, &n_ids);
    if (since > 0 && *is_whole) {
        write_gone(b.out, ids, n_ids);
    }
    (void)fprintf(b.out, "}");
    return close_body(&b, out);
}

enum rc vm_json_list(struct registry *r, uint64_t since, int64_t now_ms, char **out, size_t *n)
{
    uint64_t ids[REGISTRY_GONE_MAX];
    size_t n_ids = 0;
    bool is_whole = true;

    if (since > 0 && !registry_gone(r, since, ids, &n_ids)) {
        since = 0;
    }
    enum rc rc = write_list(r, since, now_ms, out, n, &is_whole);
    if (rc == RC_OK && !is_whole) { /* more are gone since than are remembered */
        free(*out);
        rc = write_list(r, 0, now_ms, out, n, &is_whole);
    }
    return rc;
}

enum rc vm_json_find(struct registry *r, const char *name, int64_t now_ms, char **out, size_t *n)
{
    struct body b = {.out = open_memstream(out, n), .name = name, .rc = RC_OK};

    if (b.out == NULL) {
        return RC_NO_MEMORY;
    }
    (void)fprintf(b.out, "{\"vms\":[");
    (void)registry_collect(r, 0, now_ms, write_vm, &b);
    (void)fprintf(b.out, "]}");
    if (b.rc == RC_OK && b.n == 0) {
        b.rc = RC_NOT_FOUND;
    }
    return close_body(&b, out);
}
