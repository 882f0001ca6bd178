/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Result codes: what every function that can fail returns.
 *
 * A code is a row of rc.def: a name, a category and a text. Foreign codes (errno, nghttp2, OpenSSL)
 * are translated at the file that meets them and never travel further. Results come through
 * trailing pointers, which are untouched on failure.
 */
#pragma once

#define MUST_USE __attribute__((warn_unused_result))

enum rc {
#define RC(name, category, text) RC_##name,
#include "core/base/rc.def"
#undef RC
};

/** What a caller can do about a result. */
enum rc_category {
    RC_CAT_OK,     /**< nothing to do */
    RC_CAT_RETRY,  /**< the same call may work later */
    RC_CAT_CLOSED, /**< the other side is gone */
    RC_CAT_PEER,   /**< the other side did something wrong */
    RC_CAT_LOCAL,  /**< our own resources or configuration */
};

/** The category of rc. Never fails. */
enum rc_category rc_category(enum rc rc);

/** A short text for people, without a newline; static storage. */
const char *rc_text(enum rc rc);

/** Translate an errno value of a socket or file call. Never RC_OK. */
enum rc rc_from_errno(int err);

/** Leave the function with the error of x, if it has one. Cold code only. */
#define TRY(x)                  \
    do {                        \
        enum rc try_rc_ = (x);  \
        if (try_rc_ != RC_OK) { \
            return try_rc_;     \
        }                       \
    } while (0)
