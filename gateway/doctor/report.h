/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a doctor has found: causes out of causes.def with their places filled in, what was looked
 * at, and what could not be. No part of a token or of a key ever comes here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/rc.h"

enum doctor_level {
    DOCTOR_WARN, /**< works now, or works for most */
    DOCTOR_BAD,  /**< does not work, or is dangerous */
};

enum doctor_cause {
#define CAUSE(name, id, level, text, cure) DOCTOR_##name,
#include "gateway/doctor/causes.def"
#undef CAUSE
    DOCTOR_CAUSES
};

/** More are counted, and not kept. */
#define DOCTOR_FINDINGS_MAX 200
#define DOCTOR_NOTES_MAX 100

/** Places of a cause: {1} to {6}. */
#define DOCTOR_PLACES_MAX 6

/** Of what is put into one place of a command, which is worth nothing when it is cut. */
#define DOCTOR_CURE_PLACE_MAX_BYTES 8000

struct doctor_finding {
    enum doctor_cause cause;
    enum doctor_level level;
    char *text; /**< owned; one sentence without a full stop */
    char *cure; /**< owned; a command, or an edit */
};

/** Embedded or allocated; one thread. */
struct doctor_report {
    uint32_t magic;
    char *cluster;      /**< owned; {cluster}: " --kubeconfig FILE --context NAME"; NULL: "" */
    char *istio_option; /**< owned; {istio}: " -i NAMESPACE"; NULL: "" */
    char *system;       /**< owned; {system}: istiod's namespace; NULL: istio-system */
    char *istiod;       /**< owned; {istiod}: its Deployment; NULL: istiod */
    struct doctor_finding findings[DOCTOR_FINDINGS_MAX];
    size_t n;
    char *looked[DOCTOR_NOTES_MAX]; /**< owned */
    size_t n_looked;
    char *skipped[DOCTOR_NOTES_MAX]; /**< owned; what, and why */
    size_t n_skipped;
    bool unreachable; /**< the cluster could not be asked */
    bool short_of_memory;
    size_t lost; /**< findings that had no room */
};

/** "port-in-use". Static. */
const char *doctor_id(enum doctor_cause cause);

/** What stands in the table, with its places. Static. */
const char *doctor_cause_text(enum doctor_cause cause);
const char *doctor_cause_cure(enum doctor_cause cause);

/** An empty report. */
void doctor_report_init(struct doctor_report *r);

/** Free what it holds. */
void doctor_report_fini(struct doctor_report *r);

/**
 * Whom the commands of later findings are for. All borrowed during the call; NULL: what kubectl
 * takes by itself, istio-system, the default revision.
 */
void doctor_report_aim(struct doctor_report *r, const char *kubeconfig, const char *context,
                       const char *istio_namespace, const char *revision);

/** " --kubeconfig FILE --context NAME" for a shell, without what is NULL. Owned; NULL: out of
 * memory. */
char *doctor_kubectl_flags(const char *kubeconfig, const char *context);

/** "istiod", or of a revision that is not the default one "istiod-REVISION". Owned; NULL: out of
 * memory. */
char *doctor_of_revision(const char *name, const char *revision);

/** A word for a shell, in quotes where it needs some. Owned; NULL: out of memory. */
char *doctor_quote(const char *word);

/**
 * Add a finding; one that is there already is not added again. What is put into the places is made
 * printable, and cut when it is long.
 *
 * ...  up to DOCTOR_PLACES_MAX strings for {1}, {2} ..., then NULL; borrowed during the call.
 */
void doctor_find(struct doctor_report *r, enum doctor_cause cause, ...) __attribute__((sentinel));

/** The same with another level than the table's. */
void doctor_find_at(struct doctor_report *r, enum doctor_level level, enum doctor_cause cause, ...)
    __attribute__((sentinel));

/** Was this found? */
bool doctor_has(const struct doctor_report *r, enum doctor_cause cause);

/** Say what was looked at. */
void doctor_looked(struct doctor_report *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/** Say what was not looked at, and why; once. */
void doctor_skipped(struct doctor_report *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/** "3 h" for people; seconds below zero count as zero. Returns buf. */
const char *doctor_duration(int64_t seconds, char buf[32]);

/** So many are named in a sentence; the others are counted. */
#define DOCTOR_NAMES_MAX 3

/** Whom a finding is about, as two places of a cause. All zero is empty. */
struct doctor_names {
    char text[DOCTOR_NAMES_MAX * 140]; /**< "web-1 (v1), web-2 (v2), web-3 (v1)" */
    char more[40];                     /**< " and 4 more", or "" */
    size_t len;                        /**< of text */
    size_t n;                          /**< all of them */
};

/** One more. name, says: borrowed during the call; cut when they are long. */
void doctor_names_add(struct doctor_names *t, const char *name, const char *says);

/** For people: a line for each finding, its cure below it, then what was looked at. */
void doctor_write_text(FILE *out, const struct doctor_report *r);

/** For scripts; docs/doctor.md describes it. RC_NO_MEMORY. */
enum rc doctor_write_json(FILE *out, const struct doctor_report *r) MUST_USE;
