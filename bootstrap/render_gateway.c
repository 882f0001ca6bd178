/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gateway with a name or a root of its own. The agent takes where to call for configuration from
 * mesh.yaml, all else from its environment: where to call for certificates, and whom to believe at
 * either. Without the last two it believes root-cert.pem, which it replaces by the mesh's roots.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/render_internal.h"
#include "core/base/name.h"

/* To this port the agent speaks without TLS (Istio: pkg/istio-agent/plugins.go). */
#define PLAIN_PORT 15010

static enum rc set(json_t *map, const char *key, const char *text)
{
    return json_object_set_new(map, key, json_string(text)) == 0 ? RC_OK : RC_NO_MEMORY;
}

/* The last label of a name is no number. */
static bool is_address(const char *name)
{
    const char *dot = strrchr(name, '.');
    const char *last = dot != NULL ? dot + 1 : name;

    return strspn(last, "0123456789") == strlen(last);
}

static bool read_port(const char *text, unsigned long *out)
{
    size_t n = strspn(text, "0123456789");

    *out = strtoul(text, NULL, 10);
    return n > 0 && n <= 5 && text[n] == '\0' && *out > 0 && *out <= 65535;
}

/* NAME[:PORT] as NAME:PORT. */
static enum rc read_address(const char *said, const struct why *w, char out[BUNDLE_ADDRESS_BYTES])
{
    const char *colon = strchr(said, ':');
    size_t n = colon != NULL ? (size_t)(colon - said) : strlen(said);
    unsigned long port = 15012;
    char name[254] = "";

    if (n < sizeof(name)) {
        (void)snprintf(name, sizeof(name), "%.*s", (int)n, said);
    }
    if (!name_is_subdomain(name) || (colon != NULL && !read_port(colon + 1, &port))) {
        return why_set(w,
                       "gateway's name %.100s: write a DNS name in small letters, and its port "
                       "after a colon when it is not 15012",
                       said);
    }
    if (is_address(name)) {
        return why_set(w,
                       "gateway's name %.100s: that is an address, which VMs cannot say in TLS "
                       "(SNI): give a DNS name",
                       said);
    }
    if (port == PLAIN_PORT) {
        return why_set(w,
                       "gateway's name %.100s: to port %d agents speak without TLS: let xdsgate "
                       "listen on another one",
                       said, PLAIN_PORT);
    }
    (void)snprintf(out, BUNDLE_ADDRESS_BYTES, "%s:%lu", name, port);
    return RC_OK;
}

enum rc bundle_gateway_address(const char *said, char out[BUNDLE_ADDRESS_BYTES], char *why,
                               size_t why_bytes)
{
    const struct why w = {.text = why, .bytes = why_bytes};

    return read_address(said, &w, out);
}

/* What would lead the agent elsewhere, or let it say another name, does not stay. */
static enum rc set_name(const char *address, json_t *config, json_t *metadata)
{
    TRY(set(config, "discoveryAddress", address));
    TRY(set(metadata, "CA_ADDR", address));
    (void)json_object_del(metadata, "PILOT_ADDRESS");
    (void)json_object_del(metadata, "ISTIO_PILOT_PORT");
    (void)json_object_del(metadata, "ISTIOD_SAN");
    return RC_OK;
}

enum rc render_gateway(const struct bundle_opts *o, const struct why *w, json_t *config,
                       json_t *metadata)
{
    char address[BUNDLE_ADDRESS_BYTES];

    if (o->gateway_name != NULL) {
        TRY(read_address(o->gateway_name, w, address));
        TRY(set_name(address, config, metadata));
    }
    if (o->gateway_root != NULL) {
        TRY(set(metadata, "XDS_ROOT_CA", BUNDLE_GATEWAY_ROOT_PATH));
        TRY(set(metadata, "CA_ROOT_CA", BUNDLE_GATEWAY_ROOT_PATH));
    }
    return RC_OK;
}
