/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster.env: what istio-start.sh on the VM sources as root. Every key of the proxy's metadata and
 * what belongs to this group; the order and each key are those of createClusterEnv() in istioctl's
 * workload.go. A value is always in single quotes, a key is always the name of a variable, and what
 * the script expands without quotes is plain, so nothing of it is ever a command.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/address.h"
#include "bootstrap/render_internal.h"
#include "bootstrap/variables.h"
#include "core/base/name.h"

static enum rc set(json_t *env, const char *key, const char *value)
{
    return json_object_set_new(env, key, json_string(value)) == 0 ? RC_OK : RC_NO_MEMORY;
}

/* ssh, Prometheus and the agent: a mistake in the mesh must not lock anybody out of the VM. */
static enum rc set_excluded_ports(json_t *env, const json_t *config)
{
    char text[48];
    json_int_t status = json_integer_value(json_object_get(config, "statusPort"));

    if (status == 15090 || status == 15021) {
        return set(env, "ISTIO_LOCAL_EXCLUDE_PORTS", "22,15090,15021");
    }
    (void)snprintf(text, sizeof(text), "22,15090,15021,%lld",
                   (long long)(status != 0 ? status : 15020));
    return set(env, "ISTIO_LOCAL_EXCLUDE_PORTS", text);
}

static enum rc set_address(const struct bundle_opts *o, const struct why *w, json_t *env)
{
    char address[INET6_ADDRSTRLEN];

    if (o->internal_ip != NULL && o->external_ip != NULL) {
        return why_set(w, "--internalIP and --externalIP exclude each other");
    }
    if (o->internal_ip != NULL) {
        TRY(address_read("--internalIP", o->internal_ip, w, address));
        return set(env, "ISTIO_SVC_IP", address);
    }
    if (o->external_ip != NULL) {
        TRY(address_read("--externalIP", o->external_ip, w, address));
        TRY(set(env, "REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", "true"));
        return set(env, "ISTIO_SVC_IP", address);
    }
    return RC_OK;
}

static enum rc set_ports(const struct group *g, json_t *env)
{
    char *ports = group_port_numbers(g);

    if (ports == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = set(env, "ISTIO_INBOUND_PORTS", ports);
    free(ports);
    return rc;
}

static enum rc fill(const struct bundle_opts *o, const struct group *g, const json_t *config,
                    const struct why *w, json_t *env)
{
    char service[512];
    char name[ISTIOD_NAME_BYTES];

    (void)snprintf(service, sizeof(service), "%s.%s", g->name, g->name_space);
    TRY(set(env, "ISTIO_SERVICE", service));
    TRY(set(env, "ISTIO_NAMESPACE", g->name_space));
    TRY(set(env, "ISTIO_SERVICE_CIDR", "*"));
    TRY(set(env, "SERVICE_ACCOUNT", g->account));
    TRY(set_ports(g, env));
    TRY(set_excluded_ports(env, config));
    if (render_has_revision(o) && o->gateway_name == NULL) {
        TRY(set(env, "CA_ADDR", render_istiod(o, true, name)));
    }
    return set_address(o, w, env);
}

/* ---- writing ---- */

static void write_value(FILE *f, const char *value)
{
    (void)fputc('\'', f);
    for (; *value != '\0'; value++) {
        if (*value == '\'') {
            (void)fputs("'\"'\"'", f);
        } else {
            (void)fputc(*value, f);
        }
    }
    (void)fputc('\'', f);
}

/* istioctl sorts whole lines: '=' counts in the order. */
static int compare_lines(const void *a, const void *b)
{
    const char *one = *(const char *const *)a;
    const char *other = *(const char *const *)b;

    for (; *one != '\0' && *one == *other; one++) {
        other++;
    }
    return (*one != '\0' ? *one : '=') - (*other != '\0' ? *other : '=');
}

static enum rc write_lines(FILE *f, const json_t *env)
{
    const char **keys = calloc(json_object_size(env) + 1, sizeof(*keys));
    const char *key;
    json_t *value;
    size_t n = 0;

    if (keys == NULL) {
        return RC_NO_MEMORY;
    }
    json_object_foreach((json_t *)(uintptr_t)env, key, value)
    {
        keys[n++] = key;
    }
    qsort(keys, n, sizeof(*keys), compare_lines);
    for (size_t i = 0; i < n; i++) {
        (void)fprintf(f, "%s=", keys[i]);
        write_value(f, doc_text(env, keys[i], NULL));
        (void)fputc('\n', f);
    }
    free(keys);
    return RC_OK;
}

static enum rc check_keys(const json_t *env, const struct why *w)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)env, key, value)
    {
        if (!name_is_variable(key)) {
            return why_set(w,
                           "proxyMetadata: key \"%.60s\" is no name of a variable, and a shell "
                           "reads it on the VM: use letters, digits and _",
                           key);
        }
        if (!variable_takes(key, json_string_value(value))) {
            return why_set(w,
                           "proxyMetadata.%.60s: istio-start.sh makes a command line of it on the "
                           "VM: use letters, digits and ._:/,=@%%+-",
                           key);
        }
    }
    return RC_OK;
}

static enum rc write_env(const json_t *env, char **out)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    if (f == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = write_lines(f, env);
    if (fclose(f) != 0) {
        rc = RC_NO_MEMORY;
    }
    if (rc != RC_OK) {
        free(text);
        return rc;
    }
    *out = text;
    return RC_OK;
}

enum rc render_env(const struct bundle_opts *o, const struct group *g, const json_t *config,
                   const struct why *w, char **out)
{
    json_t *env = NULL;

    TRY(doc_copy(json_object_get(config, "proxyMetadata"), &env));
    enum rc rc = check_keys(env, w);
    if (rc == RC_OK) {
        rc = fill(o, g, config, w, env);
    }
    if (rc == RC_OK) {
        rc = write_env(env, out);
    }
    json_decref(env);
    return rc;
}
