/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate cert issue`: a serving certificate, signed on an administrator's machine. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "certs/cert_file.h"
#include "certs/cert_name.h"
#include "certs/cert_time.h"
#include "core/base/clock.h"
#include "core/base/file_put.h"
#include "core/base/protect.h"
#include "gateway/cli/cert_authority.h"
#include "gateway/cli/cert_istiod.h"
#include "gateway/cli/commands.h"

#define DAY_S 86400

struct issue_opts {
    struct cert_authority_opts authority;
    const char *output;
    struct option_texts revisions;
    struct option_texts names;
    bool names_only;
    int key;
    double validity;
    bool force;
    bool renew;
};

/* One run of the command. */
struct job {
    const struct command_line *line;
    const struct issue_opts *o;
    char *names[CA_NAMES_MAX + 1]; /* owned */
    size_t n_names;
    char *certificate; /* owned; the files to write */
    char *key;
    char *roots;
};

static int complain(const struct job *j, const char *text)
{
    (void)fprintf(j->line->err, "xdsgate cert issue: %s\n", text);
    return EXIT_CODE_NO;
}

static int no_memory(const struct job *j)
{
    return complain(j, rc_text(RC_NO_MEMORY));
}

/* ---- names ---- */

/* Takes name over, which may be NULL. One too many is kept: check_names() complains. */
static bool add_name(struct job *j, char *name)
{
    if (name == NULL || j->n_names > CA_NAMES_MAX) {
        free(name);
        return name != NULL;
    }
    j->names[j->n_names++] = name;
    return true;
}

static char *istiod_name(const char *revision, const char *ns)
{
    char *name = NULL;
    bool is_default = revision == NULL || strcmp(revision, "default") == 0;
    int n = is_default ? asprintf(&name, "istiod.%s.svc", ns)
                       : asprintf(&name, "istiod-%s.%s.svc", revision, ns);

    return n < 0 ? NULL : name;
}

static bool collect_names(struct job *j)
{
    const struct issue_opts *o = j->o;
    bool ok = o->names_only || add_name(j, istiod_name(NULL, o->authority.istio_namespace));

    for (size_t i = 0; ok && i < o->revisions.n; i++) {
        ok = add_name(j, istiod_name(o->revisions.items[i], o->authority.istio_namespace));
    }
    for (size_t i = 0; ok && i < o->names.n; i++) {
        ok = add_name(j, strdup(o->names.items[i]));
    }
    return ok;
}

/* ---- what is there already ---- */

static bool has_name(const struct cert_info *info, const char *name)
{
    struct cert_name read;
    const char *why = NULL;

    if (cert_name_read(name, &read, &why) != RC_OK) {
        return false;
    }
    for (size_t i = 0; i < info->n_names; i++) {
        if (strcasecmp(info->names[i], read.text) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_asked_for(const struct job *j, const char *name)
{
    struct cert_name read;
    const char *why = NULL;

    for (size_t i = 0; i < j->n_names; i++) {
        if (cert_name_read(j->names[i], &read, &why) == RC_OK && strcasecmp(read.text, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool same_names(const struct job *j, const struct cert_info *info)
{
    for (size_t i = 0; i < j->n_names; i++) {
        if (!has_name(info, j->names[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < info->n_names; i++) {
        if (!is_asked_for(j, info->names[i])) {
            return false;
        }
    }
    return true;
}

static bool names_were_given(const struct issue_opts *o)
{
    return o->names_only || o->revisions.n > 0 || o->names.n > 0;
}

/* The names of the old certificate, or a complaint that they are not those that were asked for. */
static int follow_names(struct job *j, const struct cert_info *info)
{
    if (names_were_given(j->o)) {
        if (!collect_names(j)) {
            return no_memory(j);
        }
        if (same_names(j, info)) {
            return EXIT_CODE_OK;
        }
        (void)fprintf(j->line->err,
                      "xdsgate cert issue: %s has other names than those asked for: leave out "
                      "--name and --revision to keep them, or use --force instead of --renew\n",
                      j->certificate);
        return EXIT_CODE_NO;
    }
    for (size_t i = 0; i < info->n_names; i++) {
        if (!add_name(j, strdup(info->names[i]))) {
            return no_memory(j);
        }
    }
    return EXIT_CODE_OK;
}

static int look_at_old(struct job *j)
{
    struct cert_file *old = NULL;
    struct cert_error err;
    struct cert_info info;
    enum rc rc = cert_file_load(j->certificate, &old, &err);

    if (rc == RC_INVALID) {
        (void)fprintf(j->line->err, "xdsgate cert issue: %s %s: nothing to renew\n", j->certificate,
                      err.text);
        return EXIT_CODE_NO;
    }
    if (rc != RC_OK || cert_file_count(old) == 0 || cert_file_info(old, 0, &info) != RC_OK) {
        cert_file_free(&old);
        (void)fprintf(j->line->err, "xdsgate cert issue: %s has no readable certificate to renew\n",
                      j->certificate);
        return EXIT_CODE_NO;
    }
    cert_file_free(&old);
    int code = follow_names(j, &info);
    cert_info_fini(&info);
    return code;
}

/* Nothing is overwritten that was not meant to be. */
static int look_at_place(struct job *j)
{
    const char *const paths[] = {j->certificate, j->key, j->roots};

    if (j->o->renew) {
        return look_at_old(j);
    }
    for (size_t i = 0; i < 3 && !j->o->force; i++) {
        if (file_put_replaces(paths[i])) {
            (void)fprintf(j->line->err,
                          "xdsgate cert issue: %s is there already: use --renew for a new "
                          "certificate of the same names, or --force to replace what is there\n",
                          paths[i]);
            return EXIT_CODE_NO;
        }
    }
    return collect_names(j) ? EXIT_CODE_OK : no_memory(j);
}

/* What is there may have no names at all. */
static int check_names(const struct job *j)
{
    if (j->n_names == 0) {
        (void)fprintf(j->line->err,
                      "xdsgate cert issue: %s has no names: say --name, and --force instead of "
                      "--renew\n",
                      j->certificate);
        return EXIT_CODE_USAGE;
    }
    if (j->n_names > CA_NAMES_MAX) {
        (void)fprintf(j->line->err, "xdsgate cert issue: a certificate has 1 to %d names\n",
                      CA_NAMES_MAX);
        return EXIT_CODE_USAGE;
    }
    return EXIT_CODE_OK;
}

/* ---- writing ---- */

/* Who could read the old key but is not everybody can read the new one. */
static mode_t key_mode(const char *path)
{
    struct stat st;
    bool keep = lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 07) == 0;

    return keep ? st.st_mode & 0660 : 0600;
}

/*
 * A renewal takes no root away: in a rotation the file has two, and both are needed. *added: so
 * many roots are new; 0: the file is as it has to be.
 */
static int join_roots(const struct job *j, struct ca_issued *issued, size_t *added)
{
    struct cert_file *old = NULL;
    struct cert_file *fresh = NULL;
    struct cert_bytes joined = {NULL, 0};
    struct cert_error err;

    *added = 1;
    if (!j->o->renew || !file_put_replaces(j->roots)) {
        return EXIT_CODE_OK;
    }
    enum rc rc = cert_file_load(j->roots, &old, &err);
    if (rc == RC_INVALID) {
        (void)fprintf(j->line->err, "xdsgate cert issue: %s %s\n", j->roots, err.text);
        return EXIT_CODE_NO;
    }
    if (rc == RC_OK) {
        rc = cert_file_parse(&issued->roots, &fresh, &err);
    }
    if (rc == RC_OK) {
        rc = cert_file_join(old, fresh, &joined, added);
    }
    if (rc == RC_OK && *added > 0) {
        cert_bytes_fini(&issued->roots);
        issued->roots = joined;
    }
    cert_file_free(&old);
    cert_file_free(&fresh);
    return rc == RC_OK ? EXIT_CODE_OK : no_memory(j);
}

/* ends: when the authority does, seconds since 1970; 0: that is not known. */
static void tell(const struct job *j, const struct ca_issued *issued, int64_t ends,
                 bool roots_written)
{
    FILE *out = j->line->out;
    char end[CERT_TIME_BYTES];

    cert_format_time(issued->to, end);
    (void)fprintf(out, "%s: valid to %s for", j->certificate, end);
    for (size_t i = 0; i < j->n_names; i++) {
        (void)fprintf(out, "%s %s", i == 0 ? "" : ",", j->names[i]);
    }
    (void)fprintf(out, "\n%s: its key\n%s: %s\n", j->key, j->roots,
                  roots_written ? "who believes these roots, believes it" : "has its root already");
    if (issued->to == ends) {
        (void)fprintf(out, "The authority, or its chain, ends then, too: sooner than was asked.\n");
    }
}

static int write_files(const struct job *j, struct ca_issued *issued, int64_t ends)
{
    size_t added = 0;
    size_t failed = 0;
    int code = join_roots(j, issued, &added);

    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (mkdir(j->o->output, 0755) != 0 && errno != EEXIST) {
        (void)fprintf(j->line->err, "xdsgate cert issue: %s cannot be made: %s\n", j->o->output,
                      strerror(errno));
        return EXIT_CODE_NO;
    }
    const struct file_put files[] = {
        {j->key, issued->key.data, issued->key.n, key_mode(j->key), true},
        {j->certificate, issued->chain.data, issued->chain.n, 0644, true},
        {j->roots, issued->roots.data, issued->roots.n, 0644, true}};
    enum rc rc = file_put_all(files, added > 0 ? 3 : 2, &failed);
    if (rc == RC_SYSTEM) {
        (void)fprintf(j->line->err, "xdsgate cert issue: %s cannot be written: %s\n",
                      files[failed].path, strerror(errno));
        return EXIT_CODE_NO;
    }
    if (rc != RC_OK) {
        return no_memory(j);
    }
    tell(j, issued, ends, added > 0);
    return EXIT_CODE_OK;
}

/* ---- signing ---- */

static int refuse(const struct job *j, const struct cert_error *err)
{
    bool is_about_one = err->blame == CERT_BLAME_NAME && strncmp(err->text, "is ", 3) == 0;

    if (err->blame == CERT_BLAME_CERTIFICATE) {
        (void)fprintf(j->line->err, "xdsgate cert issue: the authority %s\n", err->text);
        return EXIT_CODE_NO;
    }
    (void)fprintf(j->line->err, "xdsgate cert issue: %s%s%s\n",
                  is_about_one ? j->names[err->index] : "", is_about_one ? " " : "", err->text);
    return EXIT_CODE_USAGE;
}

static int sign(const struct job *j, const struct ca *ca)
{
    struct ca_issued issued;
    struct cert_error err;
    const struct ca_request request = {.names = (const char *const *)j->names,
                                       .n_names = j->n_names,
                                       .key = (enum ca_key)j->o->key,
                                       .validity_s = (int64_t)j->o->validity};
    enum rc rc = ca_issue(ca, &request, &issued, &err);

    if (rc != RC_OK) {
        return rc == RC_INVALID ? refuse(j, &err) : no_memory(j);
    }
    int code = write_files(j, &issued, ca_expiry(ca));
    ca_issued_fini(&issued);
    return code;
}

static int sign_by_istiod(const struct job *j)
{
    const struct cert_istiod_request request = {.names = (const char *const *)j->names,
                                                .n_names = j->n_names,
                                                .key = (enum ca_key)j->o->key,
                                                .validity_s = (int64_t)j->o->validity};
    struct ca_issued issued;
    int code = cert_istiod_sign(j->line, &j->o->authority, &request, &issued);

    if (code == EXIT_CODE_OK) {
        code = write_files(j, &issued, 0);
        ca_issued_fini(&issued);
    }
    return code;
}

static int run_job(struct job *j)
{
    struct ca *ca = NULL;
    int code = look_at_place(j);

    if (code == EXIT_CODE_OK) {
        code = check_names(j);
    }
    if (code == EXIT_CODE_OK && j->o->authority.from_istiod != NULL) {
        return sign_by_istiod(j);
    }
    if (code == EXIT_CODE_OK) {
        code = cert_authority_open(j->line, &j->o->authority, &ca);
    }
    if (code == EXIT_CODE_OK) {
        code = sign(j, ca);
    }
    ca_free(&ca);
    return code;
}

static int issue(const struct command_line *line)
{
    struct issue_opts *o = line->opts;
    struct job j = {.line = line, .o = o};

    o->authority.makes_none = o->renew;
    if (!cert_authority_check(line, &o->authority)) {
        return EXIT_CODE_USAGE;
    }
    if (o->names_only && o->names.n + o->revisions.n == 0) {
        (void)complain(&j, "--names-only needs a --name");
        return EXIT_CODE_USAGE;
    }
    protect_memory();
    bool ok = asprintf(&j.certificate, "%s/tls.crt", o->output) >= 0 &&
              asprintf(&j.key, "%s/tls.key", o->output) >= 0 &&
              asprintf(&j.roots, "%s/root-cert.pem", o->output) >= 0;
    int code = ok ? run_job(&j) : no_memory(&j);
    for (size_t i = 0; i < j.n_names; i++) {
        free(j.names[i]);
    }
    free(j.certificate);
    free(j.key);
    free(j.roots);
    return code;
}

/* ---- the command line ---- */

static void set_defaults(void *opts)
{
    struct issue_opts *o = opts;

    o->authority.istio_namespace = "istio-system";
    o->key = CA_KEY_P256;
    o->validity = 90 * DAY_S;
}

static const struct option_word keys[] = {{"ecdsa-p256", CA_KEY_P256},
                                          {"rsa-2048", CA_KEY_RSA_2048},
                                          {"rsa-3072", CA_KEY_RSA_3072},
                                          {NULL, 0}};

#define TEXT_ROW(row_name, row_value, field, text)                     \
    {                                                                  \
        .name = (row_name), .value = (row_value), .kind = OPTION_TEXT, \
        .offset = offsetof(struct issue_opts, field), .help = (text)   \
    }
#define TEXTS_ROW(row_name, row_value, field, text)                     \
    {                                                                   \
        .name = (row_name), .value = (row_value), .kind = OPTION_TEXTS, \
        .offset = offsetof(struct issue_opts, field), .help = (text)    \
    }
#define FLAG_ROW(row_name, field, text)                                                        \
    {                                                                                          \
        .name = (row_name), .kind = OPTION_FLAG, .offset = offsetof(struct issue_opts, field), \
        .help = (text)                                                                         \
    }

static const struct option_row rows[] = {
    TEXT_ROW("ca-cert", "FILE", authority.ca_cert, "the authority: ca-cert.pem"),
    TEXT_ROW("ca-key", "FILE", authority.ca_key, "its key: ca-key.pem"),
    TEXT_ROW("cert-chain", "FILE", authority.cert_chain,
             "what lies between it and its root: cert-chain.pem"),
    TEXT_ROW("root-cert", "FILE", authority.root_cert,
             "its roots, or istiod's: root-cert.pem; needed unless it is a root itself"),
    TEXT_ROW("passphrase-file", "FILE", authority.passphrase_file,
             "has the passphrase of the key in its first line"),
    TEXT_ROW("ca-secret", "FILE", authority.ca_secret,
             "all of these out of a secret of Istio; -: standard input"),
    FLAG_ROW("from-cluster", authority.from_cluster,
             "out of the secret cacerts or istio-ca-secret of the cluster"),
    TEXT_ROW("from-istiod", "HOST:PORT", authority.from_istiod,
             "signed by istiod, which trusts this host's address (XFCC)"),
    TEXT_ROW("source", "ADDRESS", authority.source, "that address; what the kernel chooses"),
    TEXT_ROW("kubeconfig", "FILE", authority.kubeconfig, "how to reach the cluster"),
    TEXT_ROW("context", "NAME", authority.context, "of the kubeconfig"),
    TEXT_ROW("self-signed-ca", "DIR", authority.self_signed_ca,
             "an authority of your own instead; made there when there is none"),
    {.name = "output",
     .value = "DIR",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct issue_opts, output),
     .help = "where tls.crt, tls.key and root-cert.pem go",
     .required = true},
    {.name = "istioNamespace",
     .letter = 'i',
     .value = "NAMESPACE",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct issue_opts, authority.istio_namespace),
     .help = "of istiod: istio-system"},
    TEXTS_ROW("revision", "REV", revisions, "also valid for istiod-REV; may come again"),
    TEXTS_ROW("name", "NAME", names, "also valid for this DNS name or address; may come again"),
    FLAG_ROW("names-only", names_only, "not valid for istiod, only for the names given"),
    {.name = "key",
     .value = "KIND",
     .kind = OPTION_WORD,
     .offset = offsetof(struct issue_opts, key),
     .help = "ecdsa-p256 (the default), rsa-2048, rsa-3072",
     .words = keys},
    {.name = "validity",
     .value = "TIME",
     .kind = OPTION_SECONDS,
     .offset = offsetof(struct issue_opts, validity),
     .help = "how long it is valid: 90d; at most as long as the authority",
     .min = CA_VALIDITY_MIN_S,
     .max = CA_VALIDITY_MAX_S},
    FLAG_ROW("renew", renew, "replace the certificate there by a new one of the same names"),
    FLAG_ROW("force", force, "replace whatever is there"),
};

const struct command command_cert_issue = {
    .name = "cert issue",
    .usage = "--output DIR (--from-cluster | --ca-secret FILE | --ca-cert FILE --ca-key FILE |\n"
             "       --self-signed-ca DIR | --from-istiod HOST:PORT --root-cert FILE)",
    .summary = "sign a serving certificate",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .opts_bytes = sizeof(struct issue_opts),
    .init = set_defaults,
    .run = issue,
    .more = "\nRun it where the authority's key is, not on the gateway; but --from-istiod there, "
            "where\n"
            "the address is that istiod trusts. VMs that are in the mesh\n"
            "believe its CA only: the key is in the secret cacerts or istio-ca-secret of\n"
            "istio-system. Exit code 0; 1 when it could not be done; 2 for wrong usage;\n"
            "3 when the cluster or istiod cannot be reached.\n",
};
