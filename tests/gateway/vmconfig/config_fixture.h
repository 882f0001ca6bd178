/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM and its istiod, in words: resources are written "a=1 b=2", a value after each name; "-c" is
 * one that is removed, or unsubscribed from; "?c" one that a new stream says it has. What is kept
 * is read back in the same words.
 */
#pragma once

#include "gateway/vmconfig/config_intake.h"
#include "gateway/vmconfig/vm_config.h"
#include "tests/xds/pb_out.h"

#define CONFIG_BUDGET (UINT64_C(1) << 20)

struct config_fixture {
    struct config_store *s;
    struct vm_config *c; /* NULL is fine */
    enum xds_variant variant;
    int64_t now_ms;
    char text[8192]; /* of config_shown() and config_changed() */
};

/** A store of this budget and a VM whose stream begins. */
void config_start(struct config_fixture *f, enum xds_variant variant, uint64_t budget);

/** All is given back, and then nothing is in use: that is looked at. */
void config_stop(struct config_fixture *f);

/** The message of a response, without its frame. */
void config_response(struct pb_out *o, enum xds_variant variant, enum xds_type type,
                     const char *version, const char *nonce, const char *words);

/** The same message taken in, in pieces of so many bytes. */
enum config_taken config_take_in(struct config_store *s, enum xds_variant variant,
                                 const struct pb_out *message, size_t piece,
                                 struct config_push **push, enum config_loss *why);

/** istiod sends a response; its version is "v" and the nonce. */
void config_push(struct config_fixture *f, enum xds_type type, const char *nonce,
                 const char *words);

/** The VM asks for these: "a b -c ?d" (?d@7: with a version). nonce: of an ACK; "". version: of the
 * state of the world; "". */
void config_ask(struct config_fixture *f, enum xds_type type, const char *nonce,
                const char *version, const char *words);

/** It acknowledges, and with state of the world asks for these names; or it rejects. */
void config_ack(struct config_fixture *f, enum xds_type type, const char *nonce, const char *words);
void config_nack(struct config_fixture *f, enum xds_type type, const char *nonce);

/** A new stream of the VM. */
void config_reconnect(struct config_fixture *f);

/** "a=1 b=2" when it is kept, else why not: "none", "full". */
const char *config_shown(struct config_fixture *f, enum xds_type type);

/** "+a=1 ~b=1>2 -c=3": the last change; "": there was none. */
const char *config_changed(struct config_fixture *f, enum xds_type type);

/** One type as a reader sees it: vm_config_view_fini(). */
const struct vm_config_type_view *config_view(struct config_fixture *f, struct vm_config_view *v,
                                              enum xds_type type);
