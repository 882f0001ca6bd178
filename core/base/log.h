/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines for people (text) or machines (JSON): a level, a fixed message and key=value fields.
 * Any thread. One line is one write(2). Repeats of the same call site are limited, and the number
 * left out is said on its next line. Lines of the audit log know neither level nor limit. Values
 * are escaped, so no peer can forge a line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

/** Who logs. */
enum log_scope {
#define LOG_SCOPE_ROW(name, word) LOG_SCOPE_##name,
#include "core/base/log_scope.def"
#undef LOG_SCOPE_ROW
    LOG_SCOPES,
};

/* Of the file that is compiled. */
#ifndef LOG_SCOPE
#define LOG_SCOPE LOG_SCOPE_DAEMON
#endif

struct log_opts {
    enum log_format format;
    enum log_level level;
    const char *file; /**< borrowed during log_setup(); NULL: standard error */
};

/** A field; made by the LOG_* macros below. Strings are borrowed during the call. */
struct log_field {
    const char *key;
    enum { LOG_FIELD_STR, LOG_FIELD_STRN, LOG_FIELD_INT, LOG_FIELD_END } kind;
    const char *str;
    size_t len;
    int64_t num;
};

#define LOG_S(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .str = (v)})
#define LOG_SN(k, v, n) \
    ((struct log_field){.key = (k), .kind = LOG_FIELD_STRN, .str = (const char *)(v), .len = (n)})
#define LOG_I(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_INT, .num = (int64_t)(v)})
#define LOG_END ((struct log_field){.kind = LOG_FIELD_END})

/** One per call site: the limit of repeats. */
struct log_site {
    uint64_t window_s;   /**< the second the count is for; relaxed atomic */
    uint32_t count;      /**< lines in this second; relaxed atomic */
    uint32_t suppressed; /**< lines left out since the last one; relaxed atomic */
};

/** Lines of one call site within one second before the rest is only counted. */
#define LOG_SITE_BURST 50

/**
 * Set where and how to log. Call again to change it at run time.
 * Returns RC_OK, or the error of opening opts->file, with errno set (the old setting stays).
 */
enum rc log_setup(const struct log_opts *opts) MUST_USE;

/** Open the log file again (after rotation). RC_OK also when the log is standard error. */
enum rc log_reopen(void) MUST_USE;

/** Is this level of this scope written? Cheap. */
bool log_enabled(enum log_scope scope, enum log_level level);

/** From now on, until log_setup(). LOG_SCOPES: all scopes. */
void log_set_level(enum log_scope scope, enum log_level level);

/** The level of a scope. */
enum log_level log_level_of(enum log_scope scope);

/** "relay", "warning": static. */
const char *log_scope_name(enum log_scope scope);
const char *log_level_name(enum log_level level);

/** The scope and level of "LEVEL" or "SCOPE=LEVEL"; scope LOG_SCOPES: of all. RC_OK; RC_INVALID:
 * there is no such scope or level. */
enum rc log_parse_level(const char *text, enum log_scope *scope, enum log_level *level) MUST_USE;

/** Write one line; fields end with LOG_END. site: NULL: without a limit. Called through log_event()
 * and log_audit(). */
void log_write(struct log_site *site, enum log_level level, const char *msg,
               const struct log_field *fields);

/** log_event(LOG_INFO, "connection ended", LOG_S("reason", text), LOG_I("bytes", n)) */
#define log_event(level, msg, ...)                                                       \
    do {                                                                                 \
        static struct log_site log_site_;                                                \
        if (log_enabled(LOG_SCOPE, level)) {                                             \
            const struct log_field log_fields_[] = {__VA_ARGS__ __VA_OPT__(, ) LOG_END}; \
            log_write(&log_site_, level, msg, log_fields_);                              \
        }                                                                                \
    } while (0)

/**
 * Who did what: written whatever the level is, and however many there are.
 * log_audit(LOG_WARNING, "VM revoked", "revoke", LOG_S("by", who))
 *
 * level  for who reads it.
 * kind   the value of the key `audit`.
 */
#define log_audit(level, msg, kind, ...)                                                         \
    do {                                                                                         \
        const struct log_field log_fields_[] = {LOG_S("audit", kind) __VA_OPT__(, ) __VA_ARGS__, \
                                                LOG_END};                                        \
        log_write(NULL, level, msg, log_fields_);                                                \
    } while (0)
