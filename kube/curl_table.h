/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl, loaded when it is first needed: linking it would cost every daemon 1.5 MB of memory,
 * also those that never talk to Kubernetes. Any thread.
 */
#pragma once

#include <curl/curl.h>

#include "core/base/rc.h"
#include "kube/text.h"

/** The functions of libcurl that are used here. */
#define CURL_FUNCTIONS(X)  \
    X(global_init)         \
    X(version_info)        \
    X(slist_append)        \
    X(slist_free_all)      \
    X(easy_init)           \
    X(easy_cleanup)        \
    X(easy_getinfo)        \
    X(easy_perform)        \
    X(easy_setopt)         \
    X(easy_strerror)       \
    X(multi_init)          \
    X(multi_cleanup)       \
    X(multi_add_handle)    \
    X(multi_remove_handle) \
    X(multi_info_read)     \
    X(multi_perform)       \
    X(multi_poll)          \
    X(multi_wakeup)

struct curl_table {
#define CURL_FIELD(name) __typeof__(curl_##name) *name;
    CURL_FUNCTIONS(CURL_FIELD)
#undef CURL_FIELD
};

/**
 * The functions, ready for use, after loading the library on the first call. They stay for the life
 * of the process.
 *
 * Returns RC_OK; RC_NOT_FOUND when the library is not installed, RC_INVALID when it is too old or
 * has no TLS, with what to do in err.
 */
enum rc curl_table_load(struct kube_error *err, const struct curl_table **out) MUST_USE;
