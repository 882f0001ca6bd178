/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/cert_authority.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file_put.h"

#define PASSPHRASE_MAX_BYTES 1024

static bool is_given(const char *text)
{
    return text != NULL;
}

bool cert_authority_check(const struct command_line *line, const struct cert_authority_opts *o)
{
    const char *wrong = NULL;
    bool files = is_given(o->ca_cert) || is_given(o->ca_key);
    int sources = files + is_given(o->self_signed_ca) + is_given(o->ca_secret) + o->from_cluster +
                  is_given(o->from_istiod);

    if (sources != 1) {
        wrong = "give one of --ca-cert and --ca-key, --ca-secret FILE, --from-cluster, "
                "--from-istiod HOST:PORT, or --self-signed-ca DIR";
    } else if (files && (!is_given(o->ca_cert) || !is_given(o->ca_key))) {
        wrong = "--ca-cert and --ca-key go together";
    } else if (!files && (is_given(o->cert_chain) || is_given(o->passphrase_file))) {
        wrong = "--cert-chain and --passphrase-file go with --ca-cert";
    } else if (!files && !is_given(o->from_istiod) && is_given(o->root_cert)) {
        wrong = "--root-cert goes with --ca-cert or --from-istiod";
    } else if (is_given(o->from_istiod) && !is_given(o->root_cert)) {
        wrong = "--from-istiod needs --root-cert FILE: whom to believe that it is istiod";
    } else if (!is_given(o->from_istiod) && is_given(o->source)) {
        wrong = "--source goes with --from-istiod";
    } else if (!o->from_cluster && (is_given(o->kubeconfig) || is_given(o->context))) {
        wrong = "--kubeconfig and --context go with --from-cluster";
    }
    if (wrong != NULL) {
        (void)fprintf(line->err, "xdsgate cert issue: %s\n", wrong);
    }
    return wrong == NULL;
}

/* ---- messages ---- */

static int say(const struct command_line *line, const char *path, enum rc rc, const char *text)
{
    if (rc == RC_INVALID) {
        (void)fprintf(line->err, "xdsgate cert issue: %s %s\n", path, text);
    } else {
        (void)fprintf(line->err, "xdsgate cert issue: %s\n", rc_text(rc));
    }
    return EXIT_CODE_NO;
}

static const char *name_of(const struct cert_authority_names *s, enum cert_blame blame)
{
    switch (blame) {
    case CERT_BLAME_PRIVATE_KEY:
        return s->key;
    case CERT_BLAME_ROOTS:
        return s->roots;
    case CERT_BLAME_CHAIN:
        return s->chain;
    default:
        return s->certificate;
    }
}

int cert_authority_load(const struct command_line *line, const struct cert_authority_names *names,
                        const struct ca_opts *opts, struct ca **out)
{
    struct cert_error err;
    enum rc rc = ca_load(opts, out, &err);

    if (rc == RC_OK) {
        return EXIT_CODE_OK;
    }
    bool locked = rc == RC_INVALID && err.blame == CERT_BLAME_PRIVATE_KEY && names->may_be_locked &&
                  opts->passphrase == NULL && strstr(err.text, "is encrypted") != NULL;
    return say(line, rc == RC_INVALID ? name_of(names, err.blame) : "", rc,
               locked ? "is encrypted: give its passphrase by --passphrase-file FILE" : err.text);
}

/* ---- reading ---- */

static enum rc read_one(const char *path, struct cert_bytes *out, struct cert_error *err)
{
    return path != NULL ? cert_bytes_read(path, out, err) : RC_OK;
}

static void free_opts(struct ca_opts *o)
{
    cert_bytes_fini(&o->certificate);
    cert_bytes_fini(&o->key);
    cert_bytes_fini(&o->chain);
    cert_bytes_fini(&o->roots);
}

/* *failed: the file that could not be read. */
static enum rc read_files(const struct cert_authority_opts *s, struct ca_opts *o,
                          struct cert_bytes *passphrase, const char **failed,
                          struct cert_error *err)
{
    const struct {
        const char *path;
        struct cert_bytes *to;
    } files[] = {{s->ca_cert, &o->certificate},
                 {s->ca_key, &o->key},
                 {s->cert_chain, &o->chain},
                 {s->root_cert, &o->roots},
                 {s->passphrase_file, passphrase}};

    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        *failed = files[i].path;
        TRY(read_one(files[i].path, files[i].to, err));
    }
    *failed = NULL;
    return RC_OK;
}

/* The first line of the file, into buf. */
static enum rc take_passphrase(const struct cert_bytes *b, char *buf, size_t size,
                               struct cert_error *err)
{
    size_t n = 0;

    while (n < b->n && b->data[n] != '\n' && b->data[n] != '\r' && b->data[n] != '\0') {
        n++;
    }
    if (n == 0) {
        snprintf(err->text, sizeof(err->text), "has no passphrase in its first line");
        return RC_INVALID;
    }
    if (n >= size) {
        snprintf(err->text, sizeof(err->text), "has a first line of more than %zu characters",
                 size - 1);
        return RC_INVALID;
    }
    memcpy(buf, b->data, n);
    buf[n] = '\0';
    return RC_OK;
}

static int open_files(const struct command_line *line, const struct cert_authority_opts *s,
                      struct ca **out)
{
    const struct cert_authority_names names = {s->ca_cert, s->ca_key, s->cert_chain, s->root_cert,
                                               s->self_signed_ca == NULL};
    struct ca_opts o = {.passphrase = NULL};
    struct cert_bytes file = {NULL, 0};
    struct cert_error err;
    char passphrase[PASSPHRASE_MAX_BYTES] = "";
    const char *failed = NULL;
    enum rc rc = read_files(s, &o, &file, &failed, &err);

    if (rc == RC_OK && s->passphrase_file != NULL) {
        failed = s->passphrase_file;
        rc = take_passphrase(&file, passphrase, sizeof(passphrase), &err);
        o.passphrase = passphrase;
    }
    int code =
        rc == RC_OK ? cert_authority_load(line, &names, &o, out) : say(line, failed, rc, err.text);
    explicit_bzero(passphrase, sizeof(passphrase));
    cert_bytes_fini(&file);
    free_opts(&o);
    return code;
}

/* ---- an authority of our own ---- */

static int write_own(const struct command_line *line, const struct cert_authority_opts *s)
{
    struct cert_bytes certificate = {NULL, 0};
    struct cert_bytes key = {NULL, 0};
    enum rc rc = ca_make(&certificate, &key);
    size_t failed = 0;

    if (rc != RC_OK) {
        return say(line, "", rc, "");
    }
    const struct file_put files[] = {{s->ca_key, key.data, key.n, 0600, false},
                                     {s->ca_cert, certificate.data, certificate.n, 0644, false}};
    rc = file_put_all(files, 2, &failed);
    int reason = errno;
    cert_bytes_fini(&certificate);
    cert_bytes_fini(&key);
    if (rc == RC_SYSTEM) {
        (void)fprintf(line->err, "xdsgate cert issue: %s cannot be written: %s\n",
                      files[failed].path, strerror(reason));
        return EXIT_CODE_NO;
    }
    if (rc != RC_OK) {
        return say(line, "", rc, "");
    }
    (void)fprintf(line->out, "%s: a new authority, valid for ten years; keep %s off the gateway\n",
                  s->ca_cert, s->ca_key);
    return EXIT_CODE_OK;
}

/* Of two runs at once the second one finds the authority that the first one has made. Not every
 * file system has locks. Returns what to close; -1: nothing is locked. */
static int lock_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    return fd;
}

static int find_own(const struct command_line *line, const struct cert_authority_opts *s)
{
    bool has_certificate = file_put_replaces(s->ca_cert);
    bool has_key = file_put_replaces(s->ca_key);

    if (has_certificate != has_key) {
        return say(line, has_key ? s->ca_cert : s->ca_key, RC_INVALID,
                   "is missing: without it the authority beside it cannot be used");
    }
    if (has_certificate) {
        return EXIT_CODE_OK;
    }
    if (s->makes_none) {
        return say(line, s->ca_cert, RC_INVALID,
                   "is missing: --renew makes no new authority, which no VM would believe yet; "
                   "where one is wanted, leave --renew out and give another --output");
    }
    return write_own(line, s);
}

static int open_own(const struct command_line *line, const char *dir,
                    const struct cert_authority_opts *s, struct ca **out)
{
    if (!s->makes_none && mkdir(dir, 0700) != 0 && errno != EEXIST) {
        (void)fprintf(line->err, "xdsgate cert issue: %s cannot be made: %s\n", dir,
                      strerror(errno));
        return EXIT_CODE_NO;
    }
    int lock = lock_folder(dir);
    int code = find_own(line, s);
    if (lock >= 0) {
        (void)close(lock);
    }
    return code == EXIT_CODE_OK ? open_files(line, s, out) : code;
}

static int open_folder(const struct command_line *line, const struct cert_authority_opts *o,
                       struct ca **out)
{
    const char *dir = o->self_signed_ca;
    char *certificate = NULL;
    char *key = NULL;
    int code = EXIT_CODE_NO;

    if (asprintf(&certificate, "%s/ca-cert.pem", dir) < 0 ||
        asprintf(&key, "%s/ca-key.pem", dir) < 0) {
        code = say(line, "", RC_NO_MEMORY, "");
    } else {
        const struct cert_authority_opts s = {.ca_cert = certificate,
                                              .ca_key = key,
                                              .self_signed_ca = dir,
                                              .makes_none = o->makes_none};
        code = open_own(line, dir, &s, out);
    }
    free(certificate);
    free(key);
    return code;
}

int cert_authority_open(const struct command_line *line, const struct cert_authority_opts *o,
                        struct ca **out)
{
    if (o->self_signed_ca != NULL) {
        return open_folder(line, o, out);
    }
    if (o->ca_secret != NULL || o->from_cluster) {
        return cert_secret_open(line, o, out);
    }
    return open_files(line, o, out);
}
