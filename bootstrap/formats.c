/* SPDX-License-Identifier: Apache-2.0 */
/* Which formats there are, what all of them ask of a bundle, and how they are written. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bootstrap/formats_internal.h"
#include "core/base/file_put.h"
#include "core/base/name.h"

static const char *const names[] = {
    [FORMAT_DIR] = "dir",         [FORMAT_TAR] = "tar",
    [FORMAT_SCRIPT] = "script",   [FORMAT_CLOUD_INIT] = "cloud-init",
    [FORMAT_ANSIBLE] = "ansible",
};

static const char *const known_files[] = {BUNDLE_MESH,  BUNDLE_ENV,   BUNDLE_ROOT,
                                          BUNDLE_TOKEN, BUNDLE_HOSTS, BUNDLE_GATEWAY_ROOT};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

const char *format_name(enum bundle_format f)
{
    return names[f];
}

void format_plain(struct text *t, const char *words)
{
    for (const char *p = words; *p != '\0'; p++) {
        bool plain = isascii(*p) && (isalnum((unsigned char)*p) || strchr(" ._/:-", *p) != NULL);
        text_add(t, plain ? p : "?", 1);
    }
}

/* ---- what all of them ask of a bundle ---- */

static bool is_known(const char *name)
{
    for (size_t i = 0; i < COUNT(known_files); i++) {
        if (strcmp(name, known_files[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_line(const struct bundle_file *hosts)
{
    bool at_start = true;

    for (size_t i = 0; i < hosts->n; i++) {
        char c = hosts->data[i];
        if (at_start && isxdigit((unsigned char)c)) {
            return true;
        }
        at_start = c == '\n' || (at_start && (c == ' ' || c == '\t' || c == ':'));
    }
    return false;
}

/* Must it be there? */
static bool is_needed(const char *name, const struct format_opts *o)
{
    bool is_token = strcmp(name, BUNDLE_TOKEN) == 0;

    if (o->renewal != NULL) {
        return strcmp(name, BUNDLE_ROOT) == 0;
    }
    return !is_token && strcmp(name, BUNDLE_GATEWAY_ROOT) != 0;
}

static bool may_be_there(const char *name, const struct format_opts *o)
{
    return o->renewal == NULL || is_needed(name, o) || strcmp(name, BUNDLE_TOKEN) == 0 ||
           strcmp(name, BUNDLE_GATEWAY_ROOT) == 0;
}

static enum rc check_names(const struct bundle *b, const struct format_opts *o, const struct why *w)
{
    for (size_t i = 0; i < b->n; i++) {
        if (!is_known(b->files[i].name)) {
            return why_set(w, "%s: not a file of a bundle", b->files[i].name);
        }
        if (!may_be_there(b->files[i].name, o)) {
            return why_set(w, "%s: does not run out", b->files[i].name);
        }
    }
    for (size_t i = 0; i < COUNT(known_files); i++) {
        if (is_needed(known_files[i], o) && bundle_find(b, known_files[i]) == NULL) {
            return why_set(w, "%s: missing in the bundle", known_files[i]);
        }
    }
    return RC_OK;
}

static enum rc check_files(const struct bundle *b, const struct format_opts *o, const struct why *w)
{
    struct format_dates roots;

    TRY(check_names(b, o, w));
    const struct bundle_file *token = bundle_find(b, BUNDLE_TOKEN);
    if (token != NULL && !name_is_word(token->data, bundle_token_length(token->data, token->n))) {
        return why_set(w, BUNDLE_TOKEN ": not one word; was it pasted over several lines?");
    }
    const struct bundle_file *hosts = bundle_find(b, BUNDLE_HOSTS);
    if (hosts != NULL && !has_line(hosts)) {
        return why_set(w, BUNDLE_HOSTS ": names no gateway");
    }
    const struct bundle_file *gateway_root = bundle_find(b, BUNDLE_GATEWAY_ROOT);
    if (gateway_root != NULL) {
        TRY(format_roots(gateway_root, &roots, w));
    }
    return format_roots(bundle_find(b, BUNDLE_ROOT), &roots, w);
}

/* ---- rendering ---- */

static enum rc render_carried(enum bundle_format f, const struct bundle *b,
                              const struct format_opts *o, struct text *t, const struct why *w)
{
    struct text script;

    text_init(&script);
    enum rc rc = format_script(b, o, &script, w);
    if (rc == RC_OK && f == FORMAT_CLOUD_INIT) {
        format_cloud_init(&script, o, t);
    } else if (rc == RC_OK) {
        format_ansible(&script, o, t);
    }
    text_fini(&script);
    return rc == RC_OK ? text_result(t) : rc;
}

static enum rc render(enum bundle_format f, const struct bundle *b, const struct format_opts *o,
                      struct text *t, const struct why *w)
{
    TRY(check_files(b, o, w));
    switch (f) {
    case FORMAT_DIR:
        break;
    case FORMAT_TAR:
        format_tar(b, o, t);
        return text_result(t);
    case FORMAT_SCRIPT:
        return format_script(b, o, t, w);
    case FORMAT_CLOUD_INIT:
    case FORMAT_ANSIBLE:
        return render_carried(f, b, o, t, w);
    }
    return why_set(w, "a folder is no single file");
}

enum rc format_render(enum bundle_format f, const struct bundle *b, const struct format_opts *o,
                      struct text *t, char *why, size_t why_bytes)
{
    const struct why w = {why, why_bytes};

    return render(f, b, o, t, &w);
}

/* ---- writing ---- */

static enum rc fail_errno(const struct why *w, const char *path)
{
    (void)why_set(w, "%s: %s", path, strerror(errno));
    return RC_SYSTEM;
}

/* A file may be put here: nothing is here, or a regular file. */
static enum rc check_place(const char *path, const struct why *w)
{
    struct stat st;

    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? RC_OK : fail_errno(w, path);
    }
    if (S_ISLNK(st.st_mode)) {
        return why_set(w, "%s: is a symbolic link; remove it or write elsewhere", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return why_set(w, "%s: is there, and is no file", path);
    }
    return RC_OK;
}

static enum rc make_folder(const char *path, const struct why *w)
{
    struct stat st;

    if (mkdir(path, 0700) == 0) {
        return RC_OK;
    }
    if (errno != EEXIST || lstat(path, &st) != 0) {
        return fail_errno(w, path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return why_set(w, "%s: is there, and is no folder", path);
    }
    if (st.st_uid != geteuid()) {
        return why_set(w, "%s: belongs to somebody else, who could change what is in it", path);
    }
    if ((st.st_mode & S_IWOTH) != 0 && (st.st_mode & S_ISVTX) == 0) {
        return why_set(w, "%s: anybody may write to it, and change what is in it: chmod o-w it",
                       path);
    }
    return RC_OK;
}

/* A bundle that is to have no token would get the old one of this folder. */
static enum rc check_old_token(const struct bundle *b, const char *folder, const struct why *w)
{
    char path[4096];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/" BUNDLE_TOKEN, folder);
    if (bundle_find(b, BUNDLE_TOKEN) == NULL && lstat(path, &st) == 0) {
        return why_set(w, "%s: is there from an older bundle; remove it or write elsewhere", path);
    }
    return RC_OK;
}

static enum rc write_dir(const struct bundle *b, const struct format_opts *o, const char *folder,
                         const struct why *w)
{
    char paths[BUNDLE_FILES_MAX][4096];
    struct file_put files[BUNDLE_FILES_MAX];
    size_t failed = 0;

    TRY(check_files(b, o, w));
    TRY(make_folder(folder, w));
    TRY(o->renewal != NULL ? format_check_older(folder, b, o->renewal, w)
                           : check_old_token(b, folder, w));
    for (size_t i = 0; i < b->n; i++) {
        const struct bundle_file *f = &b->files[i];
        int len = snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder, f->name);
        if (len < 0 || (size_t)len >= sizeof(paths[i])) {
            return why_set(w, "%s: the path is too long", f->name);
        }
        TRY(check_place(paths[i], w));
        files[i] = (struct file_put){paths[i], f->data, f->n, f->mode, false};
    }
    enum rc rc = file_put_all(files, b->n, &failed);
    return rc == RC_SYSTEM ? fail_errno(w, paths[failed]) : rc;
}

static enum rc write_stdout(const struct text *t, const struct why *w)
{
    size_t done = 0;

    while (done < t->n) {
        ssize_t n = write(STDOUT_FILENO, t->data + done, t->n - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail_errno(w, "standard output");
        }
        done += (size_t)n;
    }
    return RC_OK;
}

static enum rc write_text(enum bundle_format f, const struct text *t, const char *path,
                          const struct why *w)
{
    struct file_put file = {path, t->data, t->n, f == FORMAT_SCRIPT ? 0700 : 0600, false};
    size_t failed = 0;

    if (strcmp(path, "-") == 0) {
        return write_stdout(t, w);
    }
    TRY(check_place(path, w));
    enum rc rc = file_put_all(&file, 1, &failed);
    return rc == RC_SYSTEM ? fail_errno(w, path) : rc;
}

enum rc format_write(enum bundle_format f, const struct bundle *b, const struct format_opts *o,
                     const char *output, char *why, size_t why_bytes)
{
    const struct why w = {why, why_bytes};
    struct text t;

    (void)why_set(&w, "%s", rc_text(RC_NO_MEMORY));
    if (f == FORMAT_DIR) {
        if (strcmp(output, "-") == 0) {
            return why_set(&w, "a folder cannot go to standard output; name one");
        }
        return write_dir(b, o, output, &w);
    }
    text_init(&t);
    enum rc rc = render(f, b, o, &t, &w);
    if (rc == RC_FULL) {
        (void)why_set(&w, "the files are too large");
    }
    if (rc == RC_OK) {
        rc = write_text(f, &t, output, &w);
    }
    text_fini(&t);
    return rc;
}
