/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/upstreams: where istiod is, how it stands, and how many VMs it has of us. */
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "gateway/daemon/api_internal.h"

/* The VMs of one endpoint. */
struct load {
    const char *upstream;
    struct addr address;
    json_int_t vms;
    char pod[256]; /* "": nobody told */
};

struct loads {
    struct load *rows;
    size_t n;
};

static bool count_vm(void *arg, const struct vm_view *v)
{
    struct loads *l = arg;

    for (size_t i = 0; v->state == VM_IS_CONNECTED && i < l->n; i++) {
        struct load *row = &l->rows[i];
        if (strcmp(row->upstream, vm_claim_text(v->claim, VM_UPSTREAM)) == 0 &&
            addr_same_ip(&row->address, &v->endpoint) && row->address.port == v->endpoint.port) {
            row->vms++;
            if (v->pod != NULL) {
                (void)snprintf(row->pod, sizeof(row->pod), "%s", v->pod->text);
            }
            break;
        }
    }
    return true;
}

static const char *identity_of(const struct upstream *u)
{
    static const char *const words[] = {
        [UPSTREAM_FORWARD] = "forward", [UPSTREAM_XFCC] = "xfcc", [UPSTREAM_TOKEN] = "token"};
    return words[u->opts.identity];
}

static json_t *describe_endpoint(const struct load *l)
{
    char text[ADDR_TEXT_BYTES];

    return json_pack("{s:s,s:s?,s:I}", "address", addr_format(&l->address, text), "istiod",
                     l->pod[0] != '\0' ? l->pod : NULL, "vms", l->vms);
}

static json_t *describe(struct upstream *u, const struct loads *l)
{
    json_t *endpoints = json_array();
    char *unsafe = upstream_unsafe_why(u);

    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->rows[i].upstream, u->opts.name) == 0) {
            (void)json_array_append_new(endpoints, describe_endpoint(&l->rows[i]));
        }
    }
    json_t *v = json_pack("{s:s,s:b,s:s,s:f,s:s?,s:o}", "name", u->opts.name, "usable",
                          upstream_get_health(u) == UPSTREAM_USABLE, "identity", identity_of(u),
                          "new_streams_per_second", pacer_rate(&u->pacer), "unsafe", unsafe,
                          "endpoints", endpoints);
    free(unsafe);
    return v;
}

/* The endpoints of all upstreams. False: out of memory. */
static bool list_endpoints(struct generation *g, struct loads *l)
{
    for (size_t i = 0; i < g->config->n_upstreams; i++) {
        struct address_set *set = upstream_addresses(g->upstreams[i]);
        struct load *rows = realloc(l->rows, (l->n + set->n + 1) * sizeof(*rows));
        if (rows == NULL) {
            address_set_unref(&set);
            return false;
        }
        l->rows = rows;
        for (size_t k = 0; k < set->n; k++) {
            rows[l->n++] =
                (struct load){.upstream = g->upstreams[i]->opts.name, .address = set->addrs[k]};
        }
        address_set_unref(&set);
    }
    return true;
}

unsigned api_upstreams(struct status *s, FILE *out)
{
    struct generation *g = status_take_generation(s);
    struct loads l = {.n = 0};
    json_t *list = json_array();
    bool ok = g == NULL || list_endpoints(g, &l);

    (void)registry_collect(s->vms->registry, 0, clock_wall_ms(), count_vm, &l);
    for (size_t i = 0; ok && g != NULL && i < g->config->n_upstreams; i++) {
        ok = json_array_append_new(list, describe(g->upstreams[i], &l)) == 0;
    }
    free(l.rows);
    generation_unref(&g);
    if (!ok) {
        json_decref(list);
        return API_NO_MEMORY;
    }
    return api_write(out, 200, json_pack("{s:o}", "upstreams", list));
}
