/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/cert_view.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs/cert_time.h"
#include "core/base/clock.h"

#define DAY_S 86400
#define WHY_BYTES 320

/* One certificate among the files that are shown with it. */
struct subject {
    const struct cert_view_file *files; /* borrowed; all of them */
    size_t n_files;
    const struct cert_view_file *at; /* its own */
    size_t index;                    /* in its own */
    json_t *problems;                /* borrowed; texts */
};

/* ---- the files ---- */

static enum rc read_files(struct cert_view_file *files, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        files[i].file = NULL;
        if (cert_file_load(files[i].path, &files[i].file, &files[i].error) == RC_NO_MEMORY) {
            return RC_NO_MEMORY;
        }
    }
    return RC_OK;
}

void cert_view_fini(struct cert_view_file *files, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cert_file_free(&files[i].file);
    }
}

static bool is_serving(const struct cert_view_file *f)
{
    return f->role != NULL && f->role->kind == CERT_PATH_SERVING;
}

static bool is_roots(const struct cert_view_file *f)
{
    return f->file != NULL &&
           (f->role != NULL ? f->role->kind != CERT_PATH_SERVING : cert_file_is_roots(f->file));
}

static bool has_key(const struct cert_view_file *f)
{
    return f->file != NULL && cert_file_key(f->file) != CERT_FILE_NO_KEY;
}

/* Texts that come from certificates are ASCII; a path may be anything. */
static json_t *new_text(const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL) {
        return NULL;
    }
    doc_make_utf8(copy);
    json_t *v = json_string(copy);
    free(copy);
    return v;
}

/* ---- problems ---- */

static void add_problem(json_t *problems, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void add_problem(json_t *problems, const char *fmt, ...)
{
    char text[WHY_BYTES * 2];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)json_array_append_new(problems, new_text(text));
}

static void check_dates(const struct subject *s, const struct cert_info *info)
{
    if (info->to <= clock_wall()) {
        add_problem(s->problems, "it has expired");
    } else if (info->from > clock_wall()) {
        add_problem(s->problems, "it is not valid yet");
    }
}

/* What the daemon says when it loads it. */
static enum rc check_serving(const struct subject *s)
{
    const struct cert_path *role = s->at->role;
    const struct cert_pair_files pair = {role->file,
                                         role->private_key != NULL ? role->private_key : ""};
    struct cert_error err;
    enum rc rc = cert_set_try_pair(&pair, &err);

    if (rc == RC_INVALID) {
        bool key = err.blame == CERT_BLAME_PRIVATE_KEY;
        add_problem(s->problems, "the daemon refuses it: %s%s%s", key ? pair.private_key : "",
                    key ? " " : "", err.text);
    }
    return rc == RC_NO_MEMORY ? rc : RC_OK;
}

/* ---- keys ---- */

/* The file with its key; NULL: none of them fits. *any: there is a key at all. */
static const char *find_key(const struct subject *s, bool *any)
{
    *any = false;
    for (size_t i = 0; i < s->n_files; i++) {
        const struct cert_view_file *f = &s->files[i];
        if (has_key(f)) {
            *any = true;
            if (cert_file_fits(f->file, s->at->file, s->index)) {
                return f->path;
            }
        }
    }
    return NULL;
}

/* The key that the configuration gives to it; whether it fits is the daemon's problem above. */
static const char *configured_key(const struct subject *s)
{
    const char *path = s->at->role->private_key;
    struct cert_file *key = NULL;
    struct cert_error err;

    if (path == NULL || cert_file_load(path, &key, &err) != RC_OK) {
        return NULL;
    }
    bool fits = cert_file_fits(key, s->at->file, s->index);
    cert_file_free(&key);
    return fits ? path : NULL;
}

static json_t *describe_key(const struct subject *s)
{
    bool any = false;
    const char *path = is_serving(s->at) ? configured_key(s) : find_key(s, &any);

    if (path == NULL && any && s->index == 0 && s->at->role == NULL && !is_roots(s->at)) {
        add_problem(s->problems, "none of the private keys given is its own");
    }
    return path != NULL ? new_text(path) : json_null();
}

/* ---- roots ---- */

static bool seen_before(const struct subject *s, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (strcmp(s->files[k].path, s->files[i].path) == 0) {
            return true;
        }
    }
    return false;
}

static enum rc describe_roots(const struct subject *s, json_t *chains_to)
{
    char anchor[CERT_SUBJECT_BYTES] = "";
    char why[WHY_BYTES] = "";
    bool any = false;

    for (size_t i = 0; i < s->n_files; i++) {
        const struct cert_view_file *f = &s->files[i];
        if (!is_roots(f) || seen_before(s, i)) {
            continue;
        }
        any = true;
        enum rc rc = cert_file_verify(s->at->file, s->index, f->file, anchor, why, sizeof(why));
        if (rc == RC_NO_MEMORY) {
            return rc;
        }
        if (rc == RC_OK) {
            (void)json_array_append_new(
                chains_to, json_pack("{s:o, s:s}", "file", new_text(f->path), "subject", anchor));
        }
    }
    /* VMs may have another root than those of a configuration. */
    if (any && json_array_size(chains_to) == 0 && s->at->role == NULL) {
        add_problem(s->problems, "none of the roots given vouches for it: %s", why);
    }
    return RC_OK;
}

/* ---- one certificate ---- */

static const char *role_of(const struct cert_view_file *f)
{
    static const char *const words[] = {[CERT_PATH_SERVING] = "serving",
                                        [CERT_PATH_CLIENT_ROOTS] = "client_roots",
                                        [CERT_PATH_UPSTREAM_ROOTS] = "roots"};

    return f->role != NULL ? words[f->role->kind] : NULL;
}

/* Where it is. */
static json_t *describe_place(const struct cert_view_file *f, size_t index, size_t count)
{
    bool listener = f->role != NULL && f->role->kind != CERT_PATH_UPSTREAM_ROOTS;
    json_t *v = json_pack("{s:o, s:I, s:I}", "file", new_text(f->path), "number",
                          (json_int_t)(count > 0 ? index + 1 : 0), "of", (json_int_t)count);

    if (f->role != NULL) {
        (void)json_object_set_new(v, "role", json_string(role_of(f)));
        (void)json_object_set_new(v, listener ? "listener" : "upstream", new_text(f->role->owner));
    }
    return v;
}

static void set_time(json_t *v, const char *key, int64_t at)
{
    char text[CERT_TIME_BYTES];

    cert_format_time(at, text);
    (void)json_object_set_new(v, key, json_string(text));
}

/* Whole days that are left: 0 in the last one, negative when it has expired. */
static json_int_t days_left(int64_t to)
{
    int64_t left = to - clock_wall();

    return left >= 0 ? left / DAY_S : -((-left + DAY_S - 1) / DAY_S);
}

static void describe_info(json_t *v, const struct cert_info *info)
{
    json_t *names = json_array();
    json_t *use = json_array();

    for (size_t i = 0; i < info->n_names; i++) {
        (void)json_array_append_new(names, json_string(info->names[i]));
    }
    if (info->for_servers) {
        (void)json_array_append_new(use, json_string("server"));
    }
    if (info->for_clients) {
        (void)json_array_append_new(use, json_string("client"));
    }
    (void)json_object_set_new(v, "names", names);
    (void)json_object_set_new(v, "use", use);
    (void)json_object_set_new(v, "subject", json_string(info->subject));
    (void)json_object_set_new(v, "issuer", json_string(info->issuer));
    (void)json_object_set_new(v, "serial", json_string(info->serial));
    (void)json_object_set_new(v, "key", json_string(info->key));
    (void)json_object_set_new(v, "sha256", json_string(info->sha256));
    (void)json_object_set_new(v, "authority", json_boolean(info->authority));
    (void)json_object_set_new(v, "self_signed", json_boolean(info->self_signed));
    set_time(v, "not_before", info->from);
    set_time(v, "not_after", info->to);
    (void)json_object_set_new(v, "days_left", json_integer(days_left(info->to)));
}

static enum rc describe_relations(const struct subject *s, const struct cert_info *info, json_t *v)
{
    json_t *chains_to = json_array();

    (void)json_object_set_new(v, "chains_to", chains_to);
    if (is_serving(s->at) && s->index == 0) {
        TRY(check_serving(s));
    } else {
        check_dates(s, info);
    }
    (void)json_object_set_new(v, "private_key", describe_key(s));
    return is_roots(s->at) ? RC_OK : describe_roots(s, chains_to);
}

static enum rc describe(const struct subject *s, json_t *v)
{
    struct cert_info info;
    enum rc rc = cert_file_info(s->at->file, s->index, &info);

    if (rc == RC_INVALID) {
        add_problem(s->problems, "its dates or its names are malformed");
        return RC_OK;
    }
    TRY(rc);
    describe_info(v, &info);
    rc = describe_relations(s, &info, v);
    cert_info_fini(&info);
    return rc;
}

/* ---- all ---- */

static enum rc add_row(json_t *rows, const struct subject *s, size_t count)
{
    json_t *row = describe_place(s->at, s->index, count);
    struct subject one = *s;
    enum rc rc = RC_OK;

    one.problems = json_array();
    if (s->at->file == NULL) {
        add_problem(one.problems, "the file %s", s->at->error.text);
    } else if (count == 0 && s->at->role != NULL) {
        add_problem(one.problems, "the file has no certificate in it");
    } else if (count == 0) {
        add_problem(one.problems, "its private key is encrypted: the daemon cannot read it");
    } else {
        rc = describe(&one, row);
    }
    if (json_object_set_new(row, "problems", one.problems) != 0 ||
        json_array_append_new(rows, row) != 0) {
        return RC_NO_MEMORY;
    }
    return rc;
}

static enum rc add_file(json_t *rows, const struct cert_view_file *files, size_t n, size_t i)
{
    const struct cert_view_file *f = &files[i];
    size_t count = f->file != NULL ? cert_file_count(f->file) : 0;
    struct subject s = {.files = files, .n_files = n, .at = f};

    bool locked = f->file != NULL && cert_file_key(f->file) == CERT_FILE_ENCRYPTED_KEY;

    /* A key in the clear is shown with its certificate, but not where one has to be. */
    if (f->file == NULL || (count == 0 && (locked || f->role != NULL))) {
        return add_row(rows, &s, 0);
    }
    for (; s.index < count; s.index++) {
        TRY(add_row(rows, &s, count));
    }
    return RC_OK;
}

static bool is_good(const json_t *rows)
{
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        if (json_array_size(json_object_get(row, "problems")) > 0) {
            return false;
        }
    }
    return true;
}

enum rc cert_view_make(struct cert_view_file *files, size_t n, bool *good, json_t **out)
{
    json_t *rows = json_array();
    enum rc rc = read_files(files, n);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        rc = add_file(rows, files, n, i);
    }
    bool fine = rc == RC_OK && is_good(rows);
    json_t *all = json_pack("{s:b, s:o}", "good", fine ? 1 : 0, "certificates", rows);
    if (rc == RC_OK && all == NULL) {
        rc = RC_NO_MEMORY;
    }
    if (rc != RC_OK) {
        json_decref(all);
        return rc;
    }
    *good = fine;
    *out = all;
    return RC_OK;
}
