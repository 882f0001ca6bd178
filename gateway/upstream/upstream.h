/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One upstream of the configuration, shared by all workers: what it is called, where its endpoints
 * are now, how fast new streams may go there. Shared by reference count; the resolved addresses are
 * an immutable set that the directory replaces.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "core/net/addr.h"
#include "gateway/upstream/pacer.h"
#include "gateway/upstream/retire.h"
#include "gateway/upstream/upstream_opts.h"

struct root_set;

/** Do its endpoints take connections, as far as we know? */
enum upstream_health { UPSTREAM_UNKNOWN, UPSTREAM_USABLE, UPSTREAM_UNUSABLE };

/** Resolved addresses; immutable, shared by reference count. */
struct address_set {
    uint32_t refs; /**< atomic */
    size_t n;
    char **pods; /**< owned strings: whose each address is, NULL where nobody knows */
    struct addr addrs[];
};

struct upstream {
    uint32_t magic;
    uint32_t refs;             /**< atomic */
    struct upstream_opts opts; /**< owned; immutable */
    struct root_set *roots;    /**< shared (ref); NULL without tls */
    struct pacer pacer;
    struct pacer csr_pacer;      /**< of CSRs, with auto */
    struct pacer stranger_pacer; /**< what strangers get in any case */
    uint32_t n_known_waiting;    /**< tickets that are not strangers', relaxed atomic */
    struct retirement retirement;
    pthread_mutex_t lock;          /**< guards addresses */
    struct address_set *addresses; /**< shared (ref); never NULL */
    uint32_t n_blocked;            /**< streams on lists of pool_blocked(), relaxed atomic */
    uint32_t health;               /**< enum upstream_health, relaxed atomic */
    uint32_t resolve_soon; /**< a connect failed: ask the directory to look again; relaxed atomic */
    bool has_names;        /**< some endpoint is a host name */
    char *unsafe_why;      /**< owned, by lock; NULL: it is not unsafe */
    uint32_t unsafe;       /**< the same as a flag, relaxed atomic */
};

/** Take over opts (emptied) and a reference to roots. out: owned reference. RC_NO_MEMORY. */
enum rc upstream_new(struct upstream_opts *opts, struct root_set *roots,
                     struct upstream **out) MUST_USE;

/** Another reference to u. */
struct upstream *upstream_ref(struct upstream *u);
/** Drop a reference and null the pointer; NULL is allowed. */
void upstream_unref(struct upstream **u);

/** Would these options and roots make the same upstream, so that a reload may keep the old one and
 * its connections? */
bool upstream_same(const struct upstream *u, const struct upstream_opts *opts,
                   const struct root_set *roots);

/** Do both follow the same service, or none? */
bool upstream_same_discovery(const struct upstream_discovery *a,
                             const struct upstream_discovery *b);

/** The addresses now: an owned reference. */
struct address_set *upstream_addresses(struct upstream *u);
/** Drop a reference and null the pointer; NULL is allowed. */
void address_set_unref(struct address_set **s);

/** The place of an address in the set; s->n: it is not there. */
size_t address_set_find(const struct address_set *s, const struct addr *a);

/** Are these the addresses of the set, in any order? addrs has each once. */
bool address_set_has_all(const struct address_set *s, const struct addr *addrs, size_t n);

/** Are these the pods of the addresses of the set? pods: as of upstream_set_addresses(). */
bool address_set_has_pods(const struct address_set *s, const struct addr *addrs,
                          const char *const *pods, size_t n);

/** Whose this address is; "" when nobody knows. Borrowed from the set. */
const char *address_set_pod(const struct address_set *s, const struct addr *a);

/** Publish n addresses, copied. pods: names of the pods whose they are, each NULL where nobody
 * knows; NULL: nobody knows any. RC_NO_MEMORY (the old ones stay). */
enum rc upstream_set_addresses(struct upstream *u, const struct addr *addrs,
                               const char *const *pods, size_t n) MUST_USE;

/** The configured source for connections to peer; ADDR_NONE: the kernel chooses. */
struct addr upstream_source(const struct upstream *u, const struct addr *peer);

/**
 * May a connection to peer be made at all? With sources_must_hold: a source of its family is given.
 * For a passthrough route then also: it is not on loopback, which istiod always trusts (wire facts,
 * XFCC).
 */
bool upstream_may_connect(const struct upstream *u, const struct addr *peer, bool passthrough);

/** Free what upstream_opts owns and zero it. */
void upstream_opts_fini(struct upstream_opts *o);

/** Do its endpoints take connections, as far as anybody knows? */
enum upstream_health upstream_get_health(const struct upstream *u);
/** Somebody learned it. Any thread. */
void upstream_set_health(struct upstream *u, enum upstream_health h);

/** What VMs write must not be passed on to it, for this reason (copied), or may be again (NULL).
 * Any thread. */
void upstream_set_unsafe(struct upstream *u, const char *why);
/** Is it so? */
bool upstream_is_unsafe(const struct upstream *u);
/** The reason, owned by the caller; NULL: it is not, or out of memory. */
char *upstream_unsafe_why(struct upstream *u);
