/* SPDX-License-Identifier: Apache-2.0 */
/* Which files are there, and whose they are. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bootstrap/bundle.h"
#include "bootstrap/verify_internal.h"

#define FILE_MAX_BYTES (1U << 20)

/** Where the agent keeps its certificate, and writes it. */
#define CERTS "/etc/certs"

enum need {
    NEEDED,   /* a finding when it is missing */
    MAY_MISS, /* others say what it means */
};

struct place {
    const char *name; /* in a bundle; NULL: no part of it */
    const char *path; /* when installed */
    enum need need;
    bool secret;    /* nobody else may read it */
    bool for_agent; /* istio-proxy has to read it */
};

static const struct place places[V_N] = {
    [V_ENV] = {BUNDLE_ENV, "/var/lib/istio/envoy/cluster.env", NEEDED, false, true},
    [V_MESH] = {BUNDLE_MESH, "/etc/istio/config/mesh", NEEDED, false, true},
    [V_ROOT] = {BUNDLE_ROOT, CERTS "/root-cert.pem", NEEDED, false, true},
    [V_TOKEN] = {BUNDLE_TOKEN, "/var/run/secrets/tokens/istio-token", MAY_MISS, true, true},
    [V_HOSTS] = {BUNDLE_HOSTS, "/etc/hosts", NEEDED, false, true},
    [V_CHAIN] = {NULL, CERTS "/cert-chain.pem", MAY_MISS, false, true},
    [V_KEY] = {NULL, CERTS "/key.pem", MAY_MISS, true, true},
    [V_COPY] = {NULL, "/var/lib/xdsgate-bundle/istio-token", MAY_MISS, true, false},
    [V_TMPFILES] = {NULL, "/etc/tmpfiles.d/xdsgate-bundle.conf", MAY_MISS, false, false},
};

static bool is_installed(const struct verify *v)
{
    return v->o->folder == NULL;
}

/* What to do about a file that is not as it should be. */
static const char *again(const struct verify *v)
{
    return is_installed(v) ? "run the bundle's script again"
                           : "make the bundle anew with xdsgate bundle create";
}

/* The whole content; the size may have changed since it was asked for. */
static enum rc read_content(struct vfile *f, int fd)
{
    f->data = calloc(1, FILE_MAX_BYTES + 1);
    if (f->data == NULL) {
        return RC_NO_MEMORY;
    }
    while (f->n < FILE_MAX_BYTES) {
        ssize_t n = read(fd, f->data + f->n, FILE_MAX_BYTES - f->n);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? RC_OK : RC_SYSTEM;
        }
        f->n += (size_t)n;
    }
    errno = EFBIG;
    return RC_SYSTEM;
}

/* Open without waiting for anything, and read. RC_SYSTEM: errno says why; EINVAL: no file. */
static enum rc read_file(struct vfile *f)
{
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        return RC_SYSTEM;
    }
    enum rc rc = RC_SYSTEM;
    if (fstat(fd, &f->st) == 0) {
        if (S_ISREG(f->st.st_mode)) {
            rc = read_content(f, fd);
        } else {
            errno = EINVAL;
        }
    }
    int reason = errno;
    (void)close(fd);
    errno = reason;
    return rc;
}

static enum rc load_one(struct verify *v, enum vfile_id id)
{
    const struct place *p = &places[id];
    struct vfile *f = &v->files[id];

    f->what = is_installed(v) ? p->path : p->name;
    if (f->what == NULL) {
        return RC_OK;
    }
    int len = is_installed(v) ? snprintf(f->path, sizeof(f->path), "%s%s", v->o->root, p->path)
                              : snprintf(f->path, sizeof(f->path), "%s/%s", v->o->folder, p->name);
    if (len < 0 || (size_t)len >= sizeof(f->path)) {
        verify_add(v->r, VERIFY_BAD, f->what, "", "the path is too long");
        return RC_OK;
    }
    enum rc rc = read_file(f);
    f->there = rc == RC_OK;
    if (rc != RC_SYSTEM) {
        return rc;
    }
    f->unknown = errno != ENOENT;
    if (errno == ENOENT && p->need == NEEDED) {
        verify_add(v->r, VERIFY_BAD, f->what, again(v), "is missing");
    } else if (errno == EACCES) {
        verify_add(v->r, VERIFY_BAD, f->what, "run this as root", "cannot be read by you");
    } else if (errno != ENOENT) {
        verify_add(v->r, VERIFY_BAD, f->what, again(v), "cannot be read: %s",
                   errno == EINVAL ? "not a file" : strerror(errno));
    }
    return RC_OK;
}

/* ---- whose they are ---- */

static bool agent_can(const struct verify *v, const struct stat *st, mode_t right)
{
    if (v->o->agent_uid == 0) {
        return true;
    }
    if (st->st_uid == v->o->agent_uid) {
        return (st->st_mode & right << 6) != 0;
    }
    if (st->st_gid == v->o->agent_gid) {
        return (st->st_mode & right << 3) != 0;
    }
    return (st->st_mode & right) != 0;
}

static void check_mode(struct verify *v, enum vfile_id id)
{
    const struct vfile *f = &v->files[id];
    unsigned mode = f->st.st_mode & 07777U;
    char cure[4200];

    (void)snprintf(cure, sizeof(cure), "chmod %s %s", places[id].secret ? "600" : "644", f->path);
    if ((mode & 022U) != 0) {
        verify_add(v->r, VERIFY_BAD, f->what, cure, "others may write it (mode %04o)", mode);
    } else if (places[id].secret && (mode & 077U) != 0) {
        verify_add(v->r, VERIFY_BAD, f->what, cure, "others may read it (mode %04o)", mode);
    }
}

static void check_agent(struct verify *v, enum vfile_id id)
{
    const struct vfile *f = &v->files[id];
    char cure[4200];

    if (places[id].for_agent && !agent_can(v, &f->st, 04)) {
        (void)snprintf(cure, sizeof(cure), "chown istio-proxy %s", f->path);
        verify_add(v->r, VERIFY_BAD, f->what, cure, "the user istio-proxy cannot read it");
    }
}

/* The agent renames its certificate into place. */
static void check_certs_folder(struct verify *v)
{
    char path[4096];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s" CERTS, v->o->root);
    if (stat(path, &st) == 0 && !agent_can(v, &st, 02)) {
        verify_add(v->r, VERIFY_BAD, CERTS, "chown istio-proxy " CERTS,
                   "the user istio-proxy cannot write its certificate there");
    }
}

static void check_rights(struct verify *v)
{
    bool has_user = is_installed(v) && v->o->agent_uid != VERIFY_NO_USER;

    if (is_installed(v) && !has_user) {
        verify_add(v->r, VERIFY_BAD, "istio-proxy", "install Istio's sidecar package",
                   "there is no such user");
    }
    for (enum vfile_id id = 0; id < V_N; id++) {
        if (v->files[id].there) {
            check_mode(v, id);
            if (has_user) {
                check_agent(v, id);
            }
        }
    }
    if (has_user) {
        check_certs_folder(v);
    }
}

enum rc verify_load(struct verify *v)
{
    for (enum vfile_id id = 0; id < V_N; id++) {
        TRY(load_one(v, id));
    }
    check_rights(v);
    return RC_OK;
}

void verify_unload(struct verify *v)
{
    for (enum vfile_id id = 0; id < V_N; id++) {
        struct vfile *f = &v->files[id];
        if (f->data != NULL) {
            explicit_bzero(f->data, f->n);
        }
        free(f->data);
    }
}
