/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/xds_type.h"

#include <string.h>

#define PREFIX "type.googleapis.com/"
#define HEALTH_URL PREFIX "istio.v1.HealthInformation"

struct row {
    const char *url;
    size_t n_url;
    const char *name;
    unsigned flags;
};

static const struct row rows[] = {
#define XDS_TYPE(name, text, url, flags) \
    [XDS_##name] = {PREFIX url, sizeof(PREFIX url) - 1, text, flags},
#include "xds/xds_type.def"
#undef XDS_TYPE
    [XDS_HEALTH] = {HEALTH_URL, sizeof(HEALTH_URL) - 1, "HEALTH", 0},
    [XDS_OTHER] = {"", 0, "OTHER", 0},
};

enum xds_type xds_type_of(const char *url, size_t n)
{
    for (unsigned t = 0; t < XDS_OTHER; t++) {
        /* Hardly two are of the same length, so bytes are compared once. */
        if (rows[t].n_url == n && memcmp(rows[t].url, url, n) == 0) {
            return (enum xds_type)t;
        }
    }
    return XDS_OTHER;
}

const char *xds_type_name(enum xds_type t)
{
    return rows[t].name;
}

const char *xds_type_url(enum xds_type t)
{
    return rows[t].url;
}

unsigned xds_type_flags(enum xds_type t)
{
    return rows[t].flags;
}
