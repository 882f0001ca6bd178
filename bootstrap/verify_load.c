/* SPDX-License-Identifier: Apache-2.0 */
/* Which files are there, and whose they are. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bootstrap/bundle.h"
#include "bootstrap/verify_internal.h"
#include "core/base/file_read.h"

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
    [V_SIDECAR] = {NULL, "/var/lib/istio/envoy/sidecar.env", MAY_MISS, false, false},
    [V_MESH] = {BUNDLE_MESH, "/etc/istio/config/mesh", NEEDED, false, true},
    [V_ROOT] = {BUNDLE_ROOT, CERTS "/root-cert.pem", NEEDED, false, true},
    [V_TOKEN] = {BUNDLE_TOKEN, "/var/run/secrets/tokens/istio-token", MAY_MISS, true, true},
    [V_HOSTS] = {BUNDLE_HOSTS, "/etc/hosts", NEEDED, false, true},
    [V_CHAIN] = {NULL, CERTS "/cert-chain.pem", MAY_MISS, false, true},
    [V_KEY] = {NULL, CERTS "/key.pem", MAY_MISS, true, true},
    [V_COPY] = {NULL, "/var/lib/xdsgate-bundle/istio-token", MAY_MISS, true, false},
    [V_TMPFILES] = {NULL, "/etc/tmpfiles.d/xdsgate-bundle.conf", MAY_MISS, false, false},
    [V_XDS_ROOT] = {NULL, NULL, MAY_MISS, false, true},
    [V_CA_ROOT] = {NULL, NULL, MAY_MISS, false, true},
};

/* What a link in an image leads to when it is one of two; else where it is itself. */
static const char *follow(const char *root, const char *link, const char *absolute,
                          const char *relative)
{
    char path[VERIFY_PATH_BYTES];
    char to[64];

    (void)snprintf(path, sizeof(path), "%s%s", root, link);
    ssize_t n = readlink(path, to, sizeof(to) - 1);
    to[n > 0 ? n : 0] = '\0';
    return strcmp(to, absolute) == 0 || strcmp(to, relative) == 0 ? absolute : link;
}

bool verify_find_path(const char *root, const char *path, char *out)
{
    /* As in install.sh. */
    static const struct {
        const char *link;
        const char *absolute;
        const char *relative;
    } links[] = {{"/etc/istio", "/var/lib/istio", "../var/lib/istio"},
                 {"/var/run", "/run", "../run"}};
    const char *begin = "";
    const char *rest = path;

    for (size_t i = 0; *root != '\0' && i < sizeof(links) / sizeof(links[0]); i++) {
        size_t n = strlen(links[i].link);
        if (strncmp(path, links[i].link, n) == 0 && path[n] == '/') {
            begin = follow(root, links[i].link, links[i].absolute, links[i].relative);
            rest = path + n;
        }
    }
    int len = snprintf(out, VERIFY_PATH_BYTES, "%s%s%s", root, begin, rest);
    return len >= 0 && len < VERIFY_PATH_BYTES;
}

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

/* reason: as errno; EINVAL: no file. */
static void say_unread(const struct verify *v, const struct place *p, struct vfile *f, int reason)
{
    f->unknown = reason != ENOENT;
    if (reason == ENOENT && p->need == NEEDED) {
        verify_add(v->r, VERIFY_BAD, f->what, again(v), "is missing");
    } else if (reason == EACCES) {
        verify_add(v->r, VERIFY_BAD, f->what, "run this as root", "cannot be read by you");
    } else if (reason != ENOENT) {
        verify_add(v->r, VERIFY_BAD, f->what, again(v), "cannot be read: %s",
                   reason == EINVAL ? "not a file" : strerror(reason));
    }
}

/* what: its name in the bundle, or its path when installed; NULL: there is none. */
static enum rc load_one(struct verify *v, enum vfile_id id, const char *what)
{
    struct vfile *f = &v->files[id];

    f->what = what;
    if (what == NULL) {
        return RC_OK;
    }
    bool fits = is_installed(v) ? verify_find_path(v->o->root, what, f->path)
                                : snprintf(f->path, sizeof(f->path), "%s/%s", v->o->folder, what) <
                                      (int)sizeof(f->path);
    if (!fits) {
        verify_add(v->r, VERIFY_BAD, f->what, "", "the path is too long");
        return RC_OK;
    }
    enum rc rc = file_read(f->path, FILE_MAX_BYTES, &f->st, &f->data, &f->n);
    f->there = rc == RC_OK;
    if (rc == RC_OK || rc == RC_NO_MEMORY) {
        return rc;
    }
    say_unread(v, &places[id], f, rc == RC_INVALID ? EINVAL : rc == RC_FULL ? EFBIG : errno);
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

static bool has_user(const struct verify *v)
{
    return is_installed(v) && v->o->agent_uid != VERIFY_NO_USER;
}

static void check_file_rights(struct verify *v, enum vfile_id id)
{
    if (!v->files[id].there) {
        return;
    }
    check_mode(v, id);
    if (has_user(v)) {
        check_agent(v, id);
    }
}

static void check_rights(struct verify *v)
{
    if (is_installed(v) && !has_user(v)) {
        verify_add(v->r, VERIFY_BAD, "istio-proxy", "install Istio's sidecar package",
                   "there is no such user");
    }
    for (enum vfile_id id = 0; id < V_N; id++) {
        check_file_rights(v, id);
    }
    if (has_user(v)) {
        check_certs_folder(v);
    }
}

enum rc verify_load(struct verify *v)
{
    for (enum vfile_id id = 0; id < V_N; id++) {
        TRY(load_one(v, id, is_installed(v) ? places[id].path : places[id].name));
    }
    check_rights(v);
    return RC_OK;
}

enum rc verify_load_file(struct verify *v, enum vfile_id id, const char *what)
{
    TRY(load_one(v, id, what));
    check_file_rights(v, id);
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
