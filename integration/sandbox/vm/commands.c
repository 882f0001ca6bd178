/* SPDX-License-Identifier: Apache-2.0 */
/* The control commands of the simulated VMs and their status as JSON. */
#include "integration/sandbox/vm/commands.h"

#include <stdlib.h>
#include <string.h>

#include "integration/sandbox/common/control.h"
#include "integration/sandbox/common/json.h"
#include "integration/sandbox/common/os.h"
#include "integration/sandbox/common/pki.h"

static void put_type(struct text *t, enum xds_type type, const struct vm_type *ty)
{
    json_open(t, xds_type_name(type), '{');
    json_bool(t, "subscribed", ty->subscribed);
    json_str(t, "version", ty->version);
    json_str(t, "nonce", ty->nonce);
    json_str(t, "nonce_acked", ty->nonce_acked);
    json_int(t, "resources", (int64_t)ty->n_resources);
    json_int(t, "names", (int64_t)ty->names.n);
    json_int(t, "received", (int64_t)ty->received);
    json_int(t, "bytes", (int64_t)ty->bytes);
    json_int(t, "acks", (int64_t)ty->acks);
    json_int(t, "nacks", (int64_t)ty->nacks);
    json_int(t, "malformed", (int64_t)ty->malformed);
    json_close(t, '}');
}

static void put_outcome(struct text *t, const char *key, const struct outcome *o)
{
    if (o->code < 0) {
        json_str(t, key, NULL);
        return;
    }
    json_open(t, key, '{');
    json_int(t, "code", o->code);
    json_str(t, "text", o->text);
    json_int(t, "ms_ago", os_now_ms() - o->at_ms);
    json_close(t, '}');
}

static void put_certificate(struct text *t, const struct vm *v)
{
    struct names sans = {0};

    if (v->cert == NULL || !pki_cert_sans(v->cert, &sans, NULL)) {
        json_str(t, "certificate", NULL);
        return;
    }
    json_open(t, "certificate", '{');
    json_open(t, "identities", '[');
    for (size_t i = 0; i < sans.n; i++) {
        json_str(t, NULL, sans.v[i]);
    }
    json_close(t, ']');
    json_int(t, "not_after", v->cert_not_after_s);
    json_close(t, '}');
    names_fini(&sans);
}

static void put_vm(struct text *t, const struct vm *v)
{
    static const char *const health[] = {"none", "unhealthy", "healthy"};
    int64_t now_ms = os_now_ms();

    json_open(t, NULL, '{');
    json_int(t, "n", v->n);
    json_str(t, "name", v->name);
    json_str(t, "address", v->address);
    json_bool(t, "running", v->running);
    json_bool(t, "connected", v->established);
    json_int(t, "connected_ms", v->established ? now_ms - v->established_ms : 0);
    json_bool(t, "synced", vm_synced(v));
    json_str(t, "stream", v->swarm->opts->delta ? "delta" : "sotw");
    json_str(t, "health", health[v->health_stored + 1]);
    json_int(t, "health_sent", (int64_t)v->health_sent);
    put_certificate(t, v);
    json_int(t, "csr_ok", (int64_t)v->csr_ok);
    json_int(t, "csr_failed", (int64_t)v->csr_failed);
    put_outcome(t, "last_csr", &v->csr_outcome);
    json_int(t, "streams_opened", (int64_t)v->ads_opened);
    json_int(t, "streams_established", (int64_t)v->ads_established);
    put_outcome(t, "last_end", &v->ads_outcome);
    json_int(t, "certificate_after_ms", v->cert_after_ms);
    json_int(t, "synced_after_ms", v->synced_after_ms);
    json_open(t, "types", '{');
    for (int type = 0; type < XDS_TYPES; type++) {
        put_type(t, (enum xds_type)type, &v->types[type]);
    }
    json_close(t, '}');
    json_close(t, '}');
}

static void put_summary(struct text *t, const struct swarm *s)
{
    int64_t running = 0;
    int64_t connected = 0;
    int64_t synced = 0;
    int64_t certified = 0;

    for (int64_t i = 0; i < s->opts->count; i++) {
        running += s->vms[i].running;
        connected += s->vms[i].established;
        synced += vm_synced(&s->vms[i]);
        certified += s->vms[i].cert != NULL;
    }
    json_open(t, "summary", '{');
    json_int(t, "count", s->opts->count);
    json_int(t, "running", running);
    json_int(t, "connected", connected);
    json_int(t, "synced", synced);
    json_int(t, "certified", certified);
    json_close(t, '}');
}

static void put_status(struct text *t, const struct swarm *s, bool all)
{
    json_open(t, NULL, '{');
    json_bool(t, "ok", true);
    json_bool(t, "sandbox", true);
    json_str(t, "program", "xdsgate-sandbox-vm");
    put_summary(t, s);
    if (all) {
        json_open(t, "vms", '[');
        for (int64_t i = 0; i < s->opts->count; i++) {
            put_vm(t, &s->vms[i]);
        }
        json_close(t, ']');
    }
    json_close(t, '}');
}

/** What to do with one VM; false when the arguments do not fit. */
typedef bool (*vm_fn)(struct vm *v, size_t argc, char *const *argv);

static bool do_health(struct vm *v, size_t argc, char *const *argv)
{
    if (argc != 3 || (strcmp(argv[2], "on") != 0 && strcmp(argv[2], "off") != 0)) {
        return false;
    }
    vm_set_health(v, strcmp(argv[2], "on") == 0);
    return true;
}

static bool do_nack(struct vm *v, size_t argc, char *const *argv)
{
    enum xds_type type = argc == 3 ? xds_type_find(argv[2]) : XDS_TYPES;

    if (type == XDS_TYPES) {
        return false;
    }
    vm_set_nack(v, type, strcmp(argv[0], "nack") == 0);
    return true;
}

static bool do_stop(struct vm *v, size_t argc, char *const *argv)
{
    (void)argv;
    vm_stop(v);
    return argc == 2;
}

static bool do_start(struct vm *v, size_t argc, char *const *argv)
{
    (void)argv;
    vm_start(v);
    return argc == 2;
}

static bool do_restart(struct vm *v, size_t argc, char *const *argv)
{
    return do_stop(v, argc, argv) && do_start(v, argc, argv);
}

static bool do_pause(struct vm *v, size_t argc, char *const *argv)
{
    vm_set_paused(v, strcmp(argv[0], "pause") == 0);
    return argc == 2;
}

static bool do_renew(struct vm *v, size_t argc, char *const *argv)
{
    (void)argv;
    if (v->running) {
        timer_stop(&v->csr_timer);
        vm_csr_begin(v);
    }
    return argc == 2;
}

static const struct {
    const char *name;
    vm_fn fn;
} actions[] = {
    {"health", do_health},   {"nack", do_nack},   {"ack", do_nack},
    {"stop", do_stop},       {"start", do_start}, {"renew", do_renew},
    {"restart", do_restart}, {"pause", do_pause}, {"resume", do_pause},
};

static const char help[] =
    "{\"ok\":true,\"commands\":[\"status\",\"summary\",\"health N|all on|off\","
    "\"nack N|all CDS|EDS|LDS|RDS\",\"ack N|all CDS|EDS|LDS|RDS\",\"restart N|all\","
    "\"stop N|all\",\"start N|all\",\"renew N|all\",\"pause N|all\",\"resume N|all\",\"quit\"]}";

static bool on_vms(struct swarm *s, vm_fn fn, size_t argc, char *const *argv)
{
    int64_t n = 0;
    bool ok = argc >= 2;

    if (ok && strcmp(argv[1], "all") == 0) {
        for (int64_t i = 0; ok && i < s->opts->count; i++) {
            ok = fn(&s->vms[i], argc, argv);
        }
        return ok;
    }
    return ok && sbx_parse_number(argv[1], 1, s->opts->count, &n) && fn(&s->vms[n - 1], argc, argv);
}

void swarm_command(void *user, size_t argc, char *const *argv, struct text *reply)
{
    struct swarm *s = user;

    if (strcmp(argv[0], "status") == 0 || strcmp(argv[0], "summary") == 0) {
        put_status(reply, s, argv[0][1] == 't');
        return;
    }
    if (strcmp(argv[0], "help") == 0) {
        text_add(reply, help);
        return;
    }
    if (strcmp(argv[0], "quit") == 0) {
        loop_stop(s->loop);
        control_ok(reply);
        return;
    }
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(argv[0], actions[i].name) == 0 && on_vms(s, actions[i].fn, argc, argv)) {
            control_ok(reply);
            return;
        }
    }
    control_error(reply, "unknown command or wrong arguments; try help");
}
