/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upstream/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "certs/cert_set.h"
#include "core/base/check.h"
#include "core/base/clock.h"

#define UPSTREAM_MAGIC 0x0b57ea33u

static void free_set(struct address_set *s)
{
    for (size_t i = 0; s->pods != NULL && i < s->n; i++) {
        free(s->pods[i]);
    }
    free(s->pods);
    free(s);
}

static enum rc copy_pods(struct address_set *s, const char *const *pods)
{
    s->pods = calloc(s->n + 1, sizeof(*s->pods));
    if (s->pods == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i < s->n; i++) {
        if (pods[i] == NULL) {
            continue;
        }
        s->pods[i] = strdup(pods[i]);
        if (s->pods[i] == NULL) {
            return RC_NO_MEMORY;
        }
    }
    return RC_OK;
}

/* pods: NULL: of none a name is known. */
static enum rc new_set(const struct addr *addrs, const char *const *pods, size_t n,
                       struct address_set **out)
{
    struct address_set *s = malloc(sizeof(*s) + n * sizeof(s->addrs[0]));

    if (s == NULL) {
        return RC_NO_MEMORY;
    }
    *s = (struct address_set){.refs = 1, .n = n};
    for (size_t i = 0; i < n; i++) {
        s->addrs[i] = addrs[i];
    }
    if (pods != NULL && copy_pods(s, pods) != RC_OK) {
        free_set(s);
        return RC_NO_MEMORY;
    }
    *out = s;
    return RC_OK;
}

void address_set_unref(struct address_set **ps)
{
    struct address_set *s = *ps;

    *ps = NULL;
    if (s != NULL && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        free_set(s);
    }
}

/* The endpoints that are literal addresses; host names follow from the directory, and what is
 * discovered from Kubernetes. */
static enum rc literal_addresses(struct upstream *u)
{
    struct addr *list = calloc(u->opts.n_endpoints + 1, sizeof(*list));
    size_t n = 0;

    if (list == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i < u->opts.n_endpoints; i++) {
        if (addr_parse_ip(u->opts.endpoints[i].host, &list[n]) == RC_OK) {
            list[n++].port = u->opts.endpoints[i].port;
        } else {
            u->has_names = true;
        }
    }
    enum rc rc = new_set(list, NULL, n, &u->addresses);
    free(list);
    return rc;
}

enum rc upstream_new(struct upstream_opts *opts, struct root_set *roots, struct upstream **out)
{
    struct upstream *u = calloc(1, sizeof(*u));

    if (u == NULL) {
        return RC_NO_MEMORY;
    }
    u->magic = UPSTREAM_MAGIC;
    u->refs = 1;
    u->opts = *opts;
    if (literal_addresses(u) != RC_OK) {
        free(u);
        return RC_NO_MEMORY;
    }
    *opts = (struct upstream_opts){0};
    u->roots = roots != NULL ? root_set_ref(roots) : NULL;
    pacer_init(&u->pacer, u->opts.max_new_streams_per_second, clock_mono());
    pacer_init(&u->csr_pacer, PACER_CSRS, clock_mono());
    pacer_init(&u->stranger_pacer, PACER_STRANGERS_MIN, clock_mono());
    pthread_mutex_init(&u->lock, NULL);
    *out = u;
    return RC_OK;
}

struct upstream *upstream_ref(struct upstream *u)
{
    CHECK_MAGIC(u, UPSTREAM_MAGIC);
    __atomic_add_fetch(&u->refs, 1, __ATOMIC_RELAXED);
    return u;
}

void upstream_opts_fini(struct upstream_opts *o)
{
    free(o->name);
    for (size_t i = 0; i < o->n_endpoints; i++) {
        free(o->endpoints[i].host);
    }
    free(o->endpoints);
    free(o->discovery.service);
    free(o->discovery.ns);
    free(o->discovery.port);
    free(o->server_name);
    free(o->roots_file);
    free(o->cluster_id);
    for (char **a = o->token_audiences; a != NULL && *a != NULL; a++) {
        free(*a);
    }
    free(o->token_audiences);
    *o = (struct upstream_opts){0};
}

void upstream_unref(struct upstream **pu)
{
    struct upstream *u = *pu;

    *pu = NULL;
    if (u == NULL || __atomic_sub_fetch(&u->refs, 1, __ATOMIC_ACQ_REL) != 0) {
        return;
    }
    CHECK_MAGIC(u, UPSTREAM_MAGIC);
    address_set_unref(&u->addresses);
    root_set_unref(&u->roots);
    pacer_fini(&u->pacer);
    pacer_fini(&u->csr_pacer);
    pacer_fini(&u->stranger_pacer);
    pthread_mutex_destroy(&u->lock);
    upstream_opts_fini(&u->opts);
    free(u->unsafe_why);
    u->magic = 0;
    free(u);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_endpoints(const struct upstream_opts *a, const struct upstream_opts *b)
{
    if (a->n_endpoints != b->n_endpoints) {
        return false;
    }
    for (size_t i = 0; i < a->n_endpoints; i++) {
        if (a->endpoints[i].port != b->endpoints[i].port ||
            strcmp(a->endpoints[i].host, b->endpoints[i].host) != 0) {
            return false;
        }
    }
    return true;
}

bool upstream_same_discovery(const struct upstream_discovery *a, const struct upstream_discovery *b)
{
    if (!a->on || !b->on) {
        return a->on == b->on;
    }
    return same_text(a->service, b->service) && same_text(a->ns, b->ns) &&
           same_text(a->port, b->port) && a->addresses == b->addresses &&
           a->node_address == b->node_address;
}

static bool same_list(char *const *a, char *const *b)
{
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return *a == NULL && *b == NULL;
}

static bool same_source(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && (a->family == ADDR_NONE || addr_same_ip(a, b));
}

static bool same_roots(const struct root_set *a, const struct root_set *b)
{
    return a == NULL || b == NULL ? a == b : root_set_print(a) == root_set_print(b);
}

bool upstream_same(const struct upstream *u, const struct upstream_opts *b,
                   const struct root_set *roots)
{
    const struct upstream_opts *a = &u->opts;

    return same_text(a->name, b->name) && same_endpoints(a, b) &&
           upstream_same_discovery(&a->discovery, &b->discovery) && a->tls == b->tls &&
           same_text(a->server_name, b->server_name) && same_text(a->roots_file, b->roots_file) &&
           a->identity == b->identity && same_source(&a->source_v4, &b->source_v4) &&
           same_source(&a->source_v6, &b->source_v6) &&
           a->streams_per_connection == b->streams_per_connection &&
           a->max_new_streams_per_second == b->max_new_streams_per_second &&
           a->proxy_protocol_v2 == b->proxy_protocol_v2 &&
           a->sources_must_hold == b->sources_must_hold &&
           same_text(a->cluster_id, b->cluster_id) &&
           same_list(a->token_audiences, b->token_audiences) && same_roots(u->roots, roots);
}

size_t address_set_find(const struct address_set *s, const struct addr *a)
{
    size_t i = 0;

    while (i < s->n && !(addr_same_ip(&s->addrs[i], a) && s->addrs[i].port == a->port)) {
        i++;
    }
    return i;
}

bool address_set_has_all(const struct address_set *s, const struct addr *addrs, size_t n)
{
    bool all = s->n == n;

    for (size_t i = 0; all && i < n; i++) {
        all = address_set_find(s, &addrs[i]) < s->n;
    }
    return all;
}

const char *address_set_pod(const struct address_set *s, const struct addr *a)
{
    size_t i = s->pods != NULL ? address_set_find(s, a) : s->n;

    return i < s->n && s->pods[i] != NULL ? s->pods[i] : "";
}

bool address_set_has_pods(const struct address_set *s, const struct addr *addrs,
                          const char *const *pods, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(address_set_pod(s, &addrs[i]), pods[i] != NULL ? pods[i] : "") != 0) {
            return false;
        }
    }
    return true;
}

struct address_set *upstream_addresses(struct upstream *u)
{
    CHECK_MAGIC(u, UPSTREAM_MAGIC);
    pthread_mutex_lock(&u->lock);
    struct address_set *s = u->addresses;
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&u->lock);
    return s;
}

enum rc upstream_set_addresses(struct upstream *u, const struct addr *addrs,
                               const char *const *pods, size_t n)
{
    struct address_set *fresh;

    CHECK_MAGIC(u, UPSTREAM_MAGIC);
    TRY(new_set(addrs, pods, n, &fresh));
    pthread_mutex_lock(&u->lock);
    struct address_set *old = u->addresses;
    u->addresses = fresh;
    pthread_mutex_unlock(&u->lock);
    address_set_unref(&old);
    return RC_OK;
}

struct addr upstream_source(const struct upstream *u, const struct addr *peer)
{
    struct addr source = peer->family == ADDR_V6 ? u->opts.source_v6 : u->opts.source_v4;
    source.port = 0;
    return source;
}

bool upstream_may_connect(const struct upstream *u, const struct addr *peer, bool passthrough)
{
    if (!u->opts.sources_must_hold) {
        return true;
    }
    if (passthrough && addr_is_loopback(peer)) {
        return false;
    }
    bool needs_source = passthrough || u->opts.identity == UPSTREAM_XFCC;
    return !needs_source || upstream_source(u, peer).family != ADDR_NONE;
}

enum upstream_health upstream_get_health(const struct upstream *u)
{
    return (enum upstream_health)__atomic_load_n(&u->health, __ATOMIC_RELAXED);
}

void upstream_set_health(struct upstream *u, enum upstream_health h)
{
    __atomic_store_n(&u->health, (uint32_t)h, __ATOMIC_RELAXED);
}

void upstream_set_unsafe(struct upstream *u, const char *why)
{
    char *copy = why != NULL ? strdup(why) : NULL;

    pthread_mutex_lock(&u->lock);
    free(u->unsafe_why);
    u->unsafe_why = copy;
    pthread_mutex_unlock(&u->lock);
    __atomic_store_n(&u->unsafe, why != NULL, __ATOMIC_RELAXED);
}

bool upstream_is_unsafe(const struct upstream *u)
{
    return __atomic_load_n(&u->unsafe, __ATOMIC_RELAXED) != 0;
}

char *upstream_unsafe_why(struct upstream *u)
{
    pthread_mutex_lock(&u->lock);
    char *copy = u->unsafe_why != NULL ? strdup(u->unsafe_why) : NULL;
    pthread_mutex_unlock(&u->lock);
    return copy;
}
