/* SPDX-License-Identifier: Apache-2.0 */
/* The control commands of the sandbox control plane and its status as JSON. */
#include "integration/sandbox/istiod/commands.h"

#include <stdlib.h>
#include <string.h>

#include "integration/sandbox/common/control.h"
#include "integration/sandbox/common/json.h"
#include "integration/sandbox/common/os.h"
#include "integration/sandbox/istiod/ads.h"

static void put_watch(struct text *t, enum xds_type type, const struct watch *w)
{
    json_open(t, xds_type_name(type), '{');
    json_str(t, "state", watch_state(w));
    json_str(t, "version", w->version_sent);
    json_str(t, "nonce", w->nonce_sent);
    json_str(t, "nonce_acked", w->nonce_acked);
    json_int(t, "resources", (int64_t)w->n_resources);
    json_int(t, "sent", (int64_t)w->sent);
    json_int(t, "acks", (int64_t)w->acks);
    json_int(t, "nacks", (int64_t)w->nacks);
    json_int(t, "stale", (int64_t)w->stale);
    json_str(t, "error", w->error);
    json_close(t, '}');
}

static bool is_synced(const struct ads_stream *a)
{
    bool any = false;

    for (int type = 0; type < XDS_TYPES; type++) {
        const char *state = watch_state(&a->watch[type]);

        if (strcmp(state, "IGNORED") == 0) {
            continue;
        }
        if (strcmp(state, "SYNCED") != 0) {
            return false;
        }
        any = true;
    }
    return any && a->watch[XDS_CDS].subscribed && a->watch[XDS_LDS].subscribed;
}

static void put_vm(struct text *t, const struct ads_stream *a)
{
    json_open(t, NULL, '{');
    json_str(t, "name", a->node.name);
    json_str(t, "node_id", a->node.id);
    json_str(t, "namespace", a->node.name_space);
    json_str(t, "service_account", a->node.service_account);
    json_open(t, "identities", '[');
    for (size_t i = 0; i < a->identities.n; i++) {
        json_str(t, NULL, a->identities.v[i]);
    }
    json_close(t, ']');
    json_str(t, "authenticated_by", auth_method_name(a->auth));
    json_str(t, "stream", a->delta ? "delta" : "sotw");
    json_str(t, "peer", a->call->peer);
    json_int(t, "connected_ms", os_now_ms() - a->since_ms);
    json_int(t, "node_bytes", (int64_t)a->node_bytes);
    json_int(t, "requests", (int64_t)a->requests);
    json_int(t, "held_at_start", (int64_t)a->held);
    json_int(t, "health_reports", (int64_t)a->health_reports);
    json_str(t, "entry", a->entry == NULL ? NULL : a->entry->name);
    json_str(t, "health", a->entry == NULL ? "Unknown" : entry_health_name(a->entry));
    json_bool(t, "synced", is_synced(a));
    json_open(t, "types", '{');
    for (int type = 0; type < XDS_TYPES; type++) {
        put_watch(t, (enum xds_type)type, &a->watch[type]);
    }
    json_close(t, '}');
    json_close(t, '}');
}

static void put_entry(struct text *t, const struct entry *e)
{
    json_open(t, NULL, '{');
    json_str(t, "namespace", e->name_space);
    json_str(t, "name", e->name);
    json_str(t, "group", e->group);
    json_str(t, "address", e->address);
    json_str(t, "network", e->network);
    json_str(t, "health", entry_health_name(e));
    json_str(t, "health_message", e->health_message);
    json_bool(t, "automatic", e->automatic);
    json_bool(t, "connected", e->streams > 0);
    json_close(t, '}');
}

static void put_counters(struct text *t, const struct server *s)
{
    const struct server_counters *c = &s->counters;

    json_open(t, "counters", '{');
    json_int(t, "streams", (int64_t)c->streams);
    json_int(t, "admitted", (int64_t)c->admitted);
    json_int(t, "not_ready", (int64_t)c->not_ready);
    json_int(t, "rate_limited", (int64_t)c->rate_limited);
    json_int(t, "refused", (int64_t)c->refused);
    json_int(t, "unauthenticated", (int64_t)c->unauthenticated);
    json_int(t, "permission_denied", (int64_t)c->permission_denied);
    json_int(t, "registration_failed", (int64_t)c->registration_failed);
    json_int(t, "csr_ok", (int64_t)c->csr_ok);
    json_int(t, "csr_failed", (int64_t)c->csr_failed);
    json_int(t, "unimplemented", (int64_t)c->unimplemented);
    json_int(t, "early_health", (int64_t)c->early_health);
    json_int(t, "entries_created", (int64_t)s->registry.created);
    json_int(t, "entries_deleted", (int64_t)s->registry.deleted);
    json_int(t, "reconnects_in_grace", (int64_t)s->registry.kept);
    json_close(t, '}');
}

static void put_status(struct text *t, const struct server *s)
{
    json_open(t, NULL, '{');
    json_bool(t, "ok", true);
    json_bool(t, "sandbox", true);
    json_str(t, "program", "xdsgate-sandbox-istiod");
    json_int(t, "port", s->port);
    json_bool(t, "ready", !s->not_ready);
    json_int(t, "rate", s->limiter.per_second);
    json_int(t, "grace_ms", s->registry.grace_ms);
    json_str(t, "version", s->resources.version);
    json_open(t, "vms", '[');
    for (const struct ads_stream *a = s->streams; a != NULL; a = a->next) {
        if (a->node.id != NULL) {
            put_vm(t, a);
        }
    }
    json_close(t, ']');
    json_open(t, "entries", '[');
    for (const struct entry *e = s->registry.entries; e != NULL; e = e->next) {
        put_entry(t, e);
    }
    json_close(t, ']');
    put_counters(t, s);
    json_close(t, '}');
}

static bool on_off(const char *word, bool *out)
{
    *out = strcmp(word, "on") == 0;
    return *out || strcmp(word, "off") == 0;
}

static bool fault(struct server *s, size_t argc, char *const *argv)
{
    int64_t n = 0;
    int64_t code = 0;

    if (argc == 3 && strcmp(argv[1], "not-ready") == 0) {
        return on_off(argv[2], &s->not_ready);
    }
    if (argc == 3 && strcmp(argv[1], "csr-hang") == 0) {
        return on_off(argv[2], &s->csr_hang);
    }
    if (argc == 3 && strcmp(argv[1], "rate") == 0 && sbx_parse_number(argv[2], 0, 1000000, &n)) {
        s->limiter.per_second = n;
        s->limiter.next_us = 0;
        return true;
    }
    if (argc == 4 && strcmp(argv[1], "refuse-next") == 0 &&
        sbx_parse_number(argv[2], 0, 1000000, &n) && sbx_parse_number(argv[3], 1, 16, &code)) {
        s->refuse_left = n;
        s->refuse_code = (int)code;
        return true;
    }
    return false;
}

static void mint(const struct server *s, size_t argc, char *const *argv, struct text *reply)
{
    int64_t ttl_s = 3600;
    char *token;

    if (argc > 2 && !sbx_parse_number(argv[2], -1000000, 100000000, &ttl_s)) {
        control_error(reply, "usage: mint NAMESPACE/SERVICE_ACCOUNT [SECONDS [AUDIENCE]]");
        return;
    }
    token = ca_mint(s->ca, argv[1], argc > 3 ? argv[3] : s->opts->audience, ttl_s);
    if (token == NULL) {
        control_error(reply, "the identity is NAMESPACE/SERVICE_ACCOUNT");
        return;
    }
    json_open(reply, NULL, '{');
    json_bool(reply, "ok", true);
    json_str(reply, "token", token);
    json_close(reply, '}');
    free(token);
}

static void drop_all(struct server *s, size_t argc, char *const *argv, struct text *reply)
{
    int64_t code = GRPC_STATUS_UNAVAILABLE;

    if (argc > 1 && !sbx_parse_number(argv[1], 0, 16, &code)) {
        control_error(reply, "usage: drop-all [CODE]");
        return;
    }
    ads_drop_all(s, (int)code, "dropped by the sandbox");
    control_ok(reply);
}

static const char help[] =
    "{\"ok\":true,\"commands\":[\"status\",\"push [BYTES]\",\"fault not-ready on|off\","
    "\"fault rate N (0: no limit)\",\"fault refuse-next N CODE\",\"fault csr-hang on|off\","
    "\"drop-all [CODE]\",\"mint NAMESPACE/SERVICE_ACCOUNT [SECONDS [AUDIENCE]]\","
    "\"group NAMESPACE/NAME\",\"entry NAMESPACE/NAME\",\"grace MILLISECONDS\",\"quit\"]}";

static void push(struct server *s, size_t argc, char *const *argv, struct text *reply)
{
    int64_t bytes = 0;

    if (argc > 1 && !sbx_parse_number(argv[1], 0, 64 * 1024 * 1024, &bytes)) {
        control_error(reply, "usage: push [BYTES]");
        return;
    }
    server_push(s, argc > 1 ? (size_t)bytes : s->opts->push_bytes);
    json_open(reply, NULL, '{');
    json_bool(reply, "ok", true);
    json_str(reply, "version", s->resources.version);
    json_close(reply, '}');
}

static void change(struct server *s, size_t argc, char *const *argv, struct text *reply)
{
    int64_t ms = 0;
    bool ok = false;

    if (strcmp(argv[0], "fault") == 0) {
        ok = fault(s, argc, argv);
    } else if (argc == 2 && strcmp(argv[0], "group") == 0) {
        ok = registry_add_group(&s->registry, argv[1]);
    } else if (argc == 2 && strcmp(argv[0], "entry") == 0) {
        ok = registry_add_entry(&s->registry, argv[1]);
    } else if (argc == 2 && strcmp(argv[0], "grace") == 0) {
        ok = sbx_parse_number(argv[1], 0, 86400000, &ms);
        s->registry.grace_ms = ok ? ms : s->registry.grace_ms;
    } else if (strcmp(argv[0], "quit") == 0) {
        loop_stop(s->loop);
        ok = true;
    }
    if (ok) {
        control_ok(reply);
    } else {
        control_error(reply, "unknown command or wrong arguments; try help");
    }
}

void istiod_command(void *user, size_t argc, char *const *argv, struct text *reply)
{
    struct server *s = user;

    if (strcmp(argv[0], "status") == 0) {
        put_status(reply, s);
    } else if (strcmp(argv[0], "push") == 0) {
        push(s, argc, argv, reply);
    } else if (strcmp(argv[0], "mint") == 0 && argc > 1) {
        mint(s, argc, argv, reply);
    } else if (strcmp(argv[0], "drop-all") == 0) {
        drop_all(s, argc, argv, reply);
    } else if (strcmp(argv[0], "help") == 0) {
        text_add(reply, help);
    } else {
        change(s, argc, argv, reply);
    }
}
