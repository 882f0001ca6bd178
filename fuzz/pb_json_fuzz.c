/* SPDX-License-Identifier: Apache-2.0 */
/* Target: pb_json_write(), pb_json_write_any() with the types of Envoy. The first byte picks the
 * type. Whatever the message is: what is written is one JSON value in UTF-8 whose brackets match,
 * not more than may be, and the same again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/utf8.h"
#include "xds/pb_json.h"

#define MAX_BYTES (1U << 20)
#define DEPTH_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {
    "envoy.config.listener.v3.Listener",
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.route.v3.RouteConfiguration",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "envoy.config.core.v3.TypedExtensionConfig",
    "envoy.extensions.transport_sockets.tls.v3.Secret",
    "xds.type.v3.TypedStruct",
    "google.protobuf.Value",
};

/* The byte behind a string that begins at p. */
static const char *pass_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++) {
        CHECK((uint8_t)*p >= 0x20);
        p += *p == '\\';
    }
    CHECK(p < end);
    return p + 1;
}

static void check_json(const char *json, size_t n)
{
    const char *end = json + n;
    char open[DEPTH_MAX];
    size_t depth = 0;
    struct utf8_scan utf8 = {0};

    CHECK(n > 0 && utf8_feed(&utf8, (const uint8_t *)json, n) && utf8_is_whole(&utf8));
    for (const char *p = json; p < end;) {
        if (*p == '"') {
            p = pass_string(p, end);
            continue;
        }
        if (*p == '{' || *p == '[') {
            CHECK(depth < DEPTH_MAX);
            open[depth++] = *p;
        } else if (*p == '}' || *p == ']') {
            CHECK(depth > 0 && open[--depth] == (*p == '}' ? '{' : '['));
        } else if (*p == ',' || *p == ':') {
            CHECK(depth > 0 && p + 1 < end && p[1] != ',' && p[1] != '}' && p[1] != ']');
        } else {
            CHECK(strchr("0123456789+-.eulnrtfas", *p) != NULL);
        }
        p++;
    }
    CHECK(depth == 0);
}

static enum rc write_one(const struct pb_types *types, const uint8_t *data, size_t size, bool any,
                         size_t max_bytes, char **json, size_t *n)
{
    const char *name = names[data[0] % (sizeof(names) / sizeof(names[0]))];
    char url[128];
    FILE *out = open_memstream(json, n);

    CHECK(out != NULL);
    (void)snprintf(url, sizeof(url), "type.googleapis.com/%s", name);
    enum rc rc = any ? pb_json_write_any(types, url, data + 1, size - 1, max_bytes, out)
                     : pb_json_write(types, name, data + 1, size - 1, max_bytes, out);
    CHECK(fclose(out) == 0);
    CHECK(*n <= max_bytes);
    return rc;
}

/* Twice, with just enough room the second time. */
static void try_one(const struct pb_types *types, const uint8_t *data, size_t size, bool any)
{
    char *json = NULL;
    char *again = NULL;
    size_t n = 0;
    size_t n_again = 0;

    enum rc rc = write_one(types, data, size, any, MAX_BYTES, &json, &n);
    CHECK(rc == RC_OK || rc == RC_FULL || (!any && rc == RC_PEER_MALFORMED));
    if (rc == RC_OK) {
        check_json(json, n);
        CHECK(write_one(types, data, size, any, n, &again, &n_again) == RC_OK);
        CHECK(n == n_again && memcmp(json, again, n) == 0);
        free(again);
        CHECK(write_one(types, data, size, any, n - 1, &again, &n_again) == RC_FULL);
        free(again);
    }
    free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pb_types *types;

    if (types == NULL) {
        CHECK(pb_types_envoy(&types) == RC_OK);
    }
    if (size > 0) {
        try_one(types, data, size, false);
        try_one(types, data, size, true);
    }
    return 0;
}
