/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every VM that the daemon knows: who it is, what it has of istiod's configuration, how it does. A
 * VM is an identity and a node id; it stays when its streams end, and goes when nobody has heard of
 * it for `forget_after`.
 *
 * Workers write, any thread reads (registry_read.h). A VM has a lock of its own, which only its own
 * stream and a reader ever want; the table's lock is taken when a stream begins, ends or is given a
 * certificate, and when a reader collects VMs, not for messages. A reader copies one VM at a time,
 * so no worker waits longer than for one copy.
 *
 * What a VM says of itself is a claim: bounded here, and made harmless by whoever shows it. A
 * stream without a certificate is a stranger's until istiod has answered it: it takes no place of a
 * VM that istiod has believed, and little room.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/end_reason.h"
#include "core/base/rc.h"
#include "core/net/addr.h"
#include "gateway/registry/rule.h"
#include "gateway/vmconfig/config_intake.h"
#include "xds/xds_sync.h"

/** SHA-256 of a public key (SubjectPublicKeyInfo). */
#define REGISTRY_KEY_BYTES 32

/** Serial number of a certificate in hex: at most 20 bytes (RFC 5280, 4.1.2.2). */
#define REGISTRY_SERIAL_BYTES 41

/** Room for the text of a refusal. */
#define REGISTRY_DETAIL_BYTES 512

/** Room for what is wrong with a change that an operator wants. */
#define REGISTRY_WHY_BYTES 512

struct registry;
struct vm;

struct registry_opts {
    double forget_after_s; /**< a VM without a stream, since its last one ended */
    uint32_t max_vms; /**< with those that are gone: the one that is gone for longest makes room;
                           1 .. 200000 */
    uint64_t keep_config_bytes; /**< for the configuration of all VMs; 0: none is kept */
};

/** A certificate that a VM has shown or got. */
struct registry_certificate {
    bool known;
    uint8_t key[REGISTRY_KEY_BYTES];
    char serial[REGISTRY_SERIAL_BYTES];
    int64_t expiry_s; /**< since 1970 */
};

/** An ADS stream whose first request is complete. Everything is borrowed during the call. */
struct registry_claim {
    const char *identity; /**< its SPIFFE ID: of the certificate, else of the token, which istiod
                             has not verified yet; "": none */
    bool verified;        /**< of the certificate */
    struct registry_certificate certificate;
    int64_t token_expiry_s; /**< 0: it has shown none */
    struct addr peer;
    const struct xds_node *node; /**< NULL: there is none, or the request cannot be read */
    const char *listener;
    const char *upstream;
    enum xds_variant variant;
    uint64_t stream;           /**< unique among the living, not 0: registry_end_fn names it */
    unsigned worker;           /**< where it lives */
    bool one_for_each_address; /**< rule `duplicate` is on */
    bool duplicate_passes;     /**< it only reports: nobody is refused, and nobody ended */
};

/** A rule that a claim breaks. */
struct registry_refusal {
    enum rule rule;                     /**< RULES: none */
    char detail[REGISTRY_DETAIL_BYTES]; /**< what it claimed and what to do, for people, the VM's
                                           included. Printable ASCII */
};

/** A stream of a worker has to end, because of what another one or an operator did. Called with no
 * lock held, by any thread; posts to the worker. */
typedef void registry_end_fn(void *arg, unsigned worker, uint64_t stream, enum end_reason why);

/** out: owned by the caller: registry_free(). end, arg: borrowed until then. RC_NO_MEMORY;
 * RC_SYSTEM: no random numbers. */
enum rc registry_new(const struct registry_opts *opts, registry_end_fn *end, void *arg,
                     struct registry **out) MUST_USE;

/** All streams have ended, and nobody reads. Nulls the pointer; NULL is allowed. */
void registry_free(struct registry **r);

/** A reload. Any thread. */
void registry_set_opts(struct registry *r, const struct registry_opts *opts);

/**
 * A stream begins: its first request passed the rules that need no memory of others.
 *
 * With one_for_each_address, another living stream of the same identity, network and address stands
 * in the way. When both have shown the same key, or the new key is one that the holder of the old
 * one was given, the older stream is ended (END_REPLACED); else this one is refused. A stream that
 * neither has a certificate nor was answered by istiod stands in nobody's way, and replaces nobody.
 *
 * now_ms   wall clock.
 * vm       the VM, an owned reference: registry_leave() ends the stream and gives it back.
 * refusal  filled with RC_PEER_DENIED (RULE_REVOKED, RULE_HELD, RULE_DUPLICATE), which is noted as
 *          by registry_refused(); with RC_OK it says RULES, or what duplicate_passes has let pass.
 * Returns  RC_OK; RC_PEER_DENIED; RC_FULL: max_vms are connected, or too many strangers, or too
 * many streams of this VM; RC_NO_MEMORY.
 */
enum rc registry_enter(struct registry *r, const struct registry_claim *claim, int64_t now_ms,
                       struct vm **vm, struct registry_refusal *refusal) MUST_USE;

/** A claim breaks a rule: it is shown and logged with the reason. Some hundred claims that are not
 * VMs otherwise are kept. detail: what it said and what is allowed, for people. */
void registry_refused(struct registry *r, const struct registry_claim *claim, enum rule rule,
                      const char *detail, int64_t now_ms);

/** The same, but the rule only reports: the stream goes on. */
void registry_reported(struct registry *r, const struct registry_claim *claim, enum rule rule,
                       const char *detail, int64_t now_ms);

/** A later request of the stream breaks a rule: shown with its VM, once the stream is believed.
 * Whoever looks at requests logs it. passed: the rule only reports. detail: as above. */
void vm_breaks_rule(struct vm *vm, uint64_t stream, enum rule rule, const char *detail, bool passed,
                    int64_t now_ms);

/** istiod answered the stream, from this endpoint. pod: its name, "" when nobody told it; both
 * copied. A VM without a certificate is believed from now on, or its stream is ended (END_REFUSED),
 * because another one was faster. Returns how the stream before this one has ended (END_REPLACED,
 * too, when it was still there); END_NONE: it is the VM's first, or it was not believed. */
enum end_reason vm_admitted(struct vm *vm, uint64_t stream, const struct addr *endpoint,
                            const char *pod, int64_t now_ms);

/** A message of the VM is about to be read: bring what will be known of it into the CPU's cache
 * meanwhile. row: of the last message (vm_request(), vm_response()), it may be about the same. */
void vm_expect(const struct vm *vm, const void *row);

/** What a request meant. */
struct vm_heard {
    enum xds_sync_event event; /**< for a type of the table; XDS_SUBSCRIBED for all others; XDS_LATE
                                  when a newer stream speaks for the VM */
    int64_t waited_ms; /**< with XDS_ACKED and XDS_NACKED: since the response passed, 0 or more */
    const void *row;   /**< for vm_expect(): an address, of what may be gone by now */
};

/** A request of the stream passes, the first one included. */
struct vm_heard vm_request(struct vm *vm, uint64_t stream, const struct xds_request *q,
                           uint64_t bytes, int64_t now_ms);

/** A response passes on the stream. Returns its row, for vm_expect(). */
const void *vm_response(struct vm *vm, uint64_t stream, const struct xds_response *p,
                        int64_t now_ms);

/** A message passed that could not be read. */
void vm_unread(struct vm *vm, uint64_t stream, bool compressed, uint64_t bytes);

/* ---- the configuration that a VM has (registry_config.c) ---- */

/** Where it is kept, or would be. Borrowed. */
struct config_store *registry_configs(struct registry *r);

/** A response passed on the stream, and this is what it was (config_intake_end()). Takes the push,
 * with CONFIG_TAKEN. */
void vm_keep_response(struct vm *vm, uint64_t stream, enum xds_type type, enum config_taken taken,
                      struct config_push **push, enum config_loss why);

/** A request of the stream passes: after vm_request(). message: the n bytes that q was read from.
 */
void vm_keep_request(struct vm *vm, uint64_t stream, const struct xds_request *q,
                     const uint8_t *message, size_t n, int64_t now_ms);

/** A certificate was issued to the holder of key: the VMs that show key may come with the new one,
 * too, and if it is a revoked one's, so is the new one. Table's lock. */
void registry_issued(struct registry *r, const uint8_t key[REGISTRY_KEY_BYTES],
                     const struct registry_certificate *issued, int64_t now_ms);

/** A connection of the holder of key has a certificate that expires at expiry_s, which is soon:
 * said of each VM that is connected and has no newer one, once for each certificate. False: nobody
 * that is connected has the key. */
bool registry_expires_soon(struct registry *r, const uint8_t key[REGISTRY_KEY_BYTES],
                           int64_t expiry_s);

/** The stream is over; gives the reference back and nulls the pointer. */
void registry_leave(struct registry *r, struct vm **vm, uint64_t stream, enum end_reason why,
                    int64_t now_ms);

/** Forget what is due, and hear what others have written into the deny list. Reads and writes that
 * file, so for no worker. Every second or so. */
void registry_sweep(struct registry *r, int64_t now_ms);

/* ---- what an operator wants (registry_operate.c); for no worker, because of the file ---- */

/** Keep revoked VMs in this file from now on (denylist_use()); NULL: in none. why: of
 * REGISTRY_WHY_BYTES, with RC_INVALID. RC_OK; RC_INVALID; RC_NO_MEMORY. */
enum rc registry_use_deny_list(struct registry *r, const char *path, char *why) MUST_USE;

/** Is it the key of a revoked VM? Then its connection gets no certificate. */
bool registry_key_is_revoked(struct registry *r, const uint8_t key[REGISTRY_KEY_BYTES]);

/**
 * Revoke the VM that is meant by name (vm_name_means()): its streams end (END_REVOKED), and none
 * begins any more, under its name or with a key that it is known to have.
 *
 * by   who wants it, for people.
 * why  of REGISTRY_WHY_BYTES, with every result but RC_OK and RC_NO_MEMORY.
 * Returns RC_OK; RC_SYSTEM: it is in force, but not in the file; RC_NOT_FOUND; RC_BUSY: several are
 *         meant, why lists them; RC_INVALID, RC_FULL as denylist_add(); RC_NO_MEMORY.
 */
enum rc registry_revoke(struct registry *r, const char *name, const char *by, int64_t now_ms,
                        char *why) MUST_USE;

/** A VM that another gateway has seen. Texts are borrowed. */
struct registry_absent {
    uint64_t id;          /**< (vm_id.h) */
    const char *name;     /**< "vm1.vms" */
    const char *identity; /**< SPIFFE ID; "": it has none */
};

/** Refuse a VM that has not come here, should it come. As registry_revoke(), but RC_INVALID also:
 * its name is empty, or a text is too long. */
enum rc registry_revoke_absent(struct registry *r, const struct registry_absent *vm, const char *by,
                               int64_t now_ms, char *why) MUST_USE;

/** Let it come again. As registry_revoke(); when name is the id of a VM that was revoked together
 * with another one of its name and identity, that one is meant, too. */
enum rc registry_unrevoke(struct registry *r, const char *name, const char *by, int64_t now_ms,
                          char *why) MUST_USE;

/** End its streams (END_REREGISTER) and refuse it (RULE_HELD) for hold_s, so that istiod deletes
 * its WorkloadEntry and makes a new one. RC_OK; RC_NOT_FOUND; RC_BUSY; RC_INVALID: it has no
 * stream. */
enum rc registry_reregister(struct registry *r, const char *name, double hold_s, const char *by,
                            int64_t now_ms, char *why) MUST_USE;
