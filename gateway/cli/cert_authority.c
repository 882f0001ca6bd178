/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/cert_authority.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file_put.h"

#define PASSPHRASE_MAX_BYTES 1024

/* What is read for an authority, by name. */
struct sources {
    const char *certificate;
    const char *key;
    const char *chain;      /* NULL: none */
    const char *roots;      /* NULL: none */
    const char *passphrase; /* NULL: none */
};

static bool is_given(const char *text)
{
    return text != NULL;
}

bool cert_authority_check(const struct command_line *line, const struct cert_authority_opts *o)
{
    const char *wrong = NULL;
    bool files = is_given(o->ca_cert) || is_given(o->ca_key);

    if (files == is_given(o->self_signed_ca)) {
        wrong = "give either --ca-cert FILE and --ca-key FILE, or --self-signed-ca DIR";
    } else if (files && (!is_given(o->ca_cert) || !is_given(o->ca_key))) {
        wrong = "--ca-cert and --ca-key go together";
    } else if (!files && (is_given(o->cert_chain) || is_given(o->root_cert) ||
                          is_given(o->passphrase_file))) {
        wrong = "--cert-chain, --root-cert and --passphrase-file go with --ca-cert";
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

static const char *path_of(const struct sources *s, enum cert_blame blame)
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
static enum rc read_files(const struct sources *s, struct ca_opts *o, struct cert_bytes *passphrase,
                          const char **failed, struct cert_error *err)
{
    const struct {
        const char *path;
        struct cert_bytes *to;
    } files[] = {{s->certificate, &o->certificate},
                 {s->key, &o->key},
                 {s->chain, &o->chain},
                 {s->roots, &o->roots},
                 {s->passphrase, passphrase}};

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
    if (n == 0 || n >= size) {
        snprintf(err->text, sizeof(err->text), "has no passphrase in its first line");
        return RC_INVALID;
    }
    memcpy(buf, b->data, n);
    buf[n] = '\0';
    return RC_OK;
}

static int open_files(const struct command_line *line, const struct sources *s, struct ca **out)
{
    struct ca_opts o = {.passphrase = NULL};
    struct cert_bytes file = {NULL, 0};
    struct cert_error err;
    char passphrase[PASSPHRASE_MAX_BYTES] = "";
    const char *failed = NULL;
    enum rc rc = read_files(s, &o, &file, &failed, &err);

    if (rc == RC_OK && s->passphrase != NULL) {
        failed = s->passphrase;
        rc = take_passphrase(&file, passphrase, sizeof(passphrase), &err);
        o.passphrase = passphrase;
    }
    if (rc == RC_OK) {
        rc = ca_load(&o, out, &err);
        failed = rc == RC_INVALID ? path_of(s, err.blame) : NULL;
    }
    bool locked = rc == RC_INVALID && s->passphrase == NULL && failed == s->key &&
                  strstr(err.text, "is encrypted") != NULL;
    explicit_bzero(passphrase, sizeof(passphrase));
    cert_bytes_fini(&file);
    free_opts(&o);
    if (locked) {
        return say(line, failed, rc, "is encrypted: give its passphrase by --passphrase-file FILE");
    }
    return rc == RC_OK ? EXIT_CODE_OK : say(line, failed, rc, err.text);
}

/* ---- an authority of our own ---- */

static int write_own(const struct command_line *line, const struct sources *s)
{
    struct cert_bytes certificate = {NULL, 0};
    struct cert_bytes key = {NULL, 0};
    enum rc rc = ca_make(&certificate, &key);
    size_t failed = 0;

    if (rc != RC_OK) {
        return say(line, "", rc, "");
    }
    const struct file_put files[] = {{s->key, key.data, key.n, 0600},
                                     {s->certificate, certificate.data, certificate.n, 0644}};
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
                  s->certificate, s->key);
    return EXIT_CODE_OK;
}

static int open_own(const struct command_line *line, const char *dir, const struct sources *s,
                    struct ca **out)
{
    bool has_certificate = access(s->certificate, F_OK) == 0;
    bool has_key = access(s->key, F_OK) == 0;

    if (has_certificate != has_key) {
        return say(line, has_key ? s->certificate : s->key, RC_INVALID,
                   "is missing: without it the authority beside it cannot be used");
    }
    if (!has_certificate && mkdir(dir, 0700) != 0 && errno != EEXIST) {
        (void)fprintf(line->err, "xdsgate cert issue: %s cannot be made: %s\n", dir,
                      strerror(errno));
        return EXIT_CODE_NO;
    }
    int code = has_certificate ? EXIT_CODE_OK : write_own(line, s);
    return code == EXIT_CODE_OK ? open_files(line, s, out) : code;
}

int cert_authority_open(const struct command_line *line, const struct cert_authority_opts *o,
                        struct ca **out)
{
    if (o->self_signed_ca == NULL) {
        const struct sources s = {o->ca_cert, o->ca_key, o->cert_chain, o->root_cert,
                                  o->passphrase_file};
        return open_files(line, &s, out);
    }
    char *certificate = NULL;
    char *key = NULL;
    int code = EXIT_CODE_NO;
    if (asprintf(&certificate, "%s/ca-cert.pem", o->self_signed_ca) < 0 ||
        asprintf(&key, "%s/ca-key.pem", o->self_signed_ca) < 0) {
        code = say(line, "", RC_NO_MEMORY, "");
    } else {
        const struct sources s = {.certificate = certificate, .key = key};
        code = open_own(line, o->self_signed_ca, &s, out);
    }
    free(certificate);
    free(key);
    return code;
}
