/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/curl_table.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define LIBRARY "libcurl.so.4"

/** CURLOPT_QUICK_EXIT; Debian 12 has 7.88.1. */
#define MIN_VERSION 0x075700
#define MIN_VERSION_TEXT "7.87.0"

/* Written once, before anybody reads it. */
static struct {
    pthread_once_t once;
    struct curl_table table;
    enum rc rc;
    struct kube_error err; /* with rc */
} curl_once = {.once = PTHREAD_ONCE_INIT};

static bool find_functions(void *library)
{
    bool all = true;
    void *symbol;

#define CURL_FIND(name)                     \
    symbol = dlsym(library, "curl_" #name); \
    all = all && symbol != NULL;            \
    memcpy(&curl_once.table.name, &symbol, sizeof(symbol));
    CURL_FUNCTIONS(CURL_FIND)
#undef CURL_FIND
    return all;
}

static enum rc load(void)
{
    struct kube_error *err = &curl_once.err;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (library == NULL) {
        return kube_fail(err, RC_NOT_FOUND,
                         "libcurl is not installed (%s): apt-get install libcurl4", LIBRARY);
    }
    if (!find_functions(library)) {
        return kube_fail(err, RC_INVALID, "%s is too old: at least " MIN_VERSION_TEXT " is needed",
                         LIBRARY);
    }
    const curl_version_info_data *info = curl_once.table.version_info(CURLVERSION_NOW);
    if (info->version_num < MIN_VERSION) {
        return kube_fail(err, RC_INVALID, "%s is %s: at least " MIN_VERSION_TEXT " is needed",
                         LIBRARY, info->version);
    }
    if ((info->features & CURL_VERSION_SSL) == 0) {
        return kube_fail(err, RC_INVALID, "%s was built without TLS: apt-get install libcurl4",
                         LIBRARY);
    }
    if (curl_once.table.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return kube_fail(err, RC_NO_MEMORY, "%s could not be set up", LIBRARY);
    }
    return RC_OK;
}

static void load_once(void)
{
    curl_once.rc = load();
}

enum rc curl_table_load(struct kube_error *err, const struct curl_table **out)
{
    (void)pthread_once(&curl_once.once, load_once);
    if (curl_once.rc != RC_OK) {
        *err = curl_once.err;
        return curl_once.rc;
    }
    *out = &curl_once.table;
    return RC_OK;
}
