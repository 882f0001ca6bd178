/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom the agent believes at the control planes. Usually that is root-cert.pem; XDS_ROOT_CA and
 * CA_ROOT_CA name other files, for a gateway with a root of its own. A file that is missing ends
 * the agent at its start. (Istio: pkg/istio-agent/agent.go, FindRootCAForXDS() and
 * FindRootCAForCA().)
 */
#include <string.h>
#include <unistd.h>

#include "bootstrap/bundle.h"
#include "bootstrap/verify_internal.h"

/* What means the roots of the machine instead of a file. */
#define SYSTEM "SYSTEM"

/* The file that sets a variable. Borrowed. */
static const char *said_in(const struct verify *v, const char *variable)
{
    enum vfile_id source = V_ENV;

    (void)verify_sourced(v, variable, &source);
    return v->files[source].what;
}

/* Where those are (Go: crypto/x509/root_linux.go). NULL: nowhere. */
static const char *system_roots(void)
{
    static const char *const files[] = {
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/pki/tls/cacert.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/cert.pem",
    };

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (access(files[i], R_OK) == 0) {
            return files[i];
        }
    }
    return NULL;
}

static void use_system_roots(struct verify *v, const char *variable, const char **out)
{
    *out = system_roots();
    if (*out == NULL) {
        verify_add(v->r, v->o->folder == NULL ? VERIFY_BAD : VERIFY_WARN, said_in(v, variable),
                   "install ca-certificates", "%s is " SYSTEM ", but this machine has no roots",
                   variable);
    }
}

/* The file's name here; NULL: it cannot be looked at. Borrowed. */
static const char *name_here(const struct verify *v, const char *path)
{
    if (v->o->folder == NULL) {
        return *path == '/' ? path : NULL;
    }
    return strcmp(path, BUNDLE_GATEWAY_ROOT_PATH) == 0 ? BUNDLE_GATEWAY_ROOT : NULL;
}

static void say_not_here(struct verify *v, const char *variable, const char *path)
{
    if (v->o->folder == NULL) {
        verify_add(v->r, VERIFY_WARN, said_in(v, variable), "write the whole path, with / in front",
                   "%s is not looked at: %.200s", variable, path);
    } else {
        verify_add(v->r, VERIFY_WARN, said_in(v, variable),
                   "run xdsgate bundle verify --installed on the VM",
                   "%s names a file that is not in this bundle: %.200s", variable, path);
    }
}

static void say_missing(struct verify *v, const char *variable, const struct vfile *f)
{
    verify_add(v->r, VERIFY_BAD, f->what,
               v->o->folder == NULL ? "run the bundle's script again"
                                    : "make the bundle anew with --gateway-root",
               "is missing: %s names it (%s), and the agent ends without it", said_in(v, variable),
               variable);
}

static bool is_ours(const struct verify *v, const char *name)
{
    return strcmp(name, v->o->folder == NULL ? BUNDLE_GATEWAY_ROOT_PATH : BUNDLE_GATEWAY_ROOT) == 0;
}

/* The roots in the file that a variable names. */
static enum rc use_file(struct verify *v, enum vfile_id id, const char *variable, const char *path,
                        const char **out)
{
    struct vfile *f = &v->files[id];
    const char *name = name_here(v, path);
    bool usable = false;

    if (name == NULL) {
        say_not_here(v, variable, path);
        return RC_OK;
    }
    const struct root_owner gateway = {
        "the gateway", is_ours(v, name) ? "xdsgate bundle renew --gateway-root FILE brings "
                                          "another"
                                        : "put the gateway's root there"};
    TRY(verify_load_file(v, id, name));
    if (f->there) {
        TRY(verify_root_file(v, f, &gateway, &usable));
    } else if (!f->unknown) {
        say_missing(v, variable, f);
    }
    *out = usable ? f->path : NULL;
    return RC_OK;
}

static enum rc find(struct verify *v, enum vfile_id id, const char *variable, const char **out)
{
    const char *path = verify_sourced(v, variable, NULL);

    if (*path == '\0') {
        *out = v->roots;
        return RC_OK;
    }
    if (strcmp(path, SYSTEM) == 0) {
        use_system_roots(v, variable, out);
        return RC_OK;
    }
    return use_file(v, id, variable, path, out);
}

bool verify_is_gateway_root(const struct verify *v, const char *roots)
{
    for (enum vfile_id id = V_XDS_ROOT; id <= V_CA_ROOT; id++) {
        if (roots == v->files[id].path) {
            return is_ours(v, v->files[id].what);
        }
    }
    return false;
}

enum rc verify_gateway_roots(struct verify *v)
{
    static const char xds[] = "XDS_ROOT_CA";
    static const char ca[] = "CA_ROOT_CA";

    if (v->env == NULL) {
        return RC_OK;
    }
    TRY(find(v, V_XDS_ROOT, xds, &v->xds_roots));
    if (strcmp(verify_sourced(v, xds, NULL), verify_sourced(v, ca, NULL)) == 0) {
        v->ca_roots = v->xds_roots;
        return RC_OK;
    }
    return find(v, V_CA_ROOT, ca, &v->ca_roots);
}
