/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authority of a mesh out of the secret that istiod has it in, so that its key reaches no disk.
 * Two forms, as istiod reads them (pilot/pkg/bootstrap/istio_ca.go): ca-cert.pem, ca-key.pem,
 * cert-chain.pem and root-cert.pem; or tls.crt, tls.key and ca.crt, as cert-manager writes them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc/doc.h"
#include "gateway/cli/cert_authority.h"
#include "kube/ask.h"

/** As much as Kubernetes stores in one, twice over for its notation. */
#define SECRET_MAX_BYTES (2U * 1024 * 1024)
#define PLUGGED_IN "cacerts"
#define SELF_SIGNED "istio-ca-secret"

enum part { PART_CERTIFICATE, PART_KEY, PART_CHAIN, PART_ROOTS, N_PARTS };

static const char *const istio_keys[N_PARTS] = {"ca-cert.pem", "ca-key.pem", "cert-chain.pem",
                                                "root-cert.pem"};
static const char *const tls_keys[N_PARTS] = {"tls.crt", "tls.key", NULL, "ca.crt"};

/* What was taken out of a secret. */
struct parts {
    const char *from; /* borrowed; for messages */
    char *texts[N_PARTS];
    size_t lengths[N_PARTS];
    char *names[N_PARTS];
};

static int complain(const struct command_line *line, int code, const char *what, const char *why)
{
    (void)fprintf(line->err, "xdsgate cert issue: %s%s%s\n", what, *what != '\0' ? ": " : "", why);
    return code;
}

static void free_parts(struct parts *p)
{
    for (size_t i = 0; i < N_PARTS; i++) {
        if (p->texts[i] != NULL) {
            explicit_bzero(p->texts[i], p->lengths[i]);
        }
        free(p->texts[i]);
        free(p->names[i]);
    }
}

/* An empty value is as good as none: istio-ca-secret has some. */
static enum rc take_part(struct parts *p, size_t i, const char *key, const json_t *secret)
{
    const char *text = key != NULL ? doc_text(secret, "data", key, NULL) : NULL;

    if (asprintf(&p->names[i], "%s: %s", p->from, key != NULL ? key : "the authority") < 0) {
        p->names[i] = NULL;
        return RC_NO_MEMORY;
    }
    if (text == NULL || *text == '\0') {
        return RC_OK;
    }
    return kube_secret_value(secret, key, &p->texts[i], &p->lengths[i]);
}

static struct cert_bytes bytes_of(const struct parts *p, size_t i)
{
    return (struct cert_bytes){(uint8_t *)p->texts[i], p->texts[i] != NULL ? p->lengths[i] : 0};
}

static int use_parts(const struct command_line *line, const struct parts *p, struct ca **out)
{
    const struct cert_authority_names names = {p->names[PART_CERTIFICATE], p->names[PART_KEY],
                                               p->names[PART_CHAIN], p->names[PART_ROOTS], false};
    const struct ca_opts opts = {.certificate = bytes_of(p, PART_CERTIFICATE),
                                 .key = bytes_of(p, PART_KEY),
                                 .chain = bytes_of(p, PART_CHAIN),
                                 .roots = bytes_of(p, PART_ROOTS)};

    return cert_authority_load(line, &names, &opts, out);
}

static int use_secret(const struct command_line *line, const json_t *secret, const char *from,
                      struct ca **out)
{
    struct parts p = {.from = from};
    bool is_istio = doc_text(secret, "data", istio_keys[PART_KEY], NULL) != NULL;
    const char *const *keys = is_istio ? istio_keys : tls_keys;
    enum rc rc = RC_OK;
    int code = EXIT_CODE_NO;

    if (doc_text(secret, "data", keys[PART_KEY], NULL) == NULL) {
        return complain(line, EXIT_CODE_NO, from,
                        "is no secret with ca-cert.pem and ca-key.pem, or tls.crt and tls.key");
    }
    for (size_t i = 0; i < N_PARTS && rc == RC_OK; i++) {
        rc = take_part(&p, i, keys[i], secret);
    }
    if (rc == RC_OK) {
        code = use_parts(line, &p, out);
    } else {
        code = complain(line, EXIT_CODE_NO, from,
                        rc == RC_NO_MEMORY ? rc_text(rc) : "a value is not base64");
    }
    free_parts(&p);
    return code;
}

/* ---- as a document ---- */

static enum rc read_all(FILE *f, char *buf, size_t cap, size_t *n)
{
    *n = fread(buf, 1, cap, f);
    if (ferror(f) != 0) {
        return RC_SYSTEM;
    }
    return *n < cap ? RC_OK : RC_FULL;
}

static int use_document(const struct command_line *line, const char *from, const char *text,
                        size_t n, struct ca **out)
{
    struct doc_error err;
    json_t *secret = NULL;
    char why[300];
    enum rc rc = doc_parse_yaml(text, n, &err, &secret);

    if (rc == RC_INVALID) {
        snprintf(why, sizeof(why), "line %u, column %u: %s", err.line, err.column, err.text);
        return complain(line, EXIT_CODE_NO, from, why);
    }
    if (rc != RC_OK) {
        return complain(line, EXIT_CODE_NO, "", rc_text(rc));
    }
    int code = use_secret(line, secret, from, out);
    json_decref(secret); /* wiped, as all that jansson frees here */
    return code;
}

static int use_stream(const struct command_line *line, const char *from, FILE *f, struct ca **out)
{
    char *buf = malloc(SECRET_MAX_BYTES);
    size_t n = 0;

    if (buf == NULL) {
        return complain(line, EXIT_CODE_NO, "", rc_text(RC_NO_MEMORY));
    }
    enum rc rc = read_all(f, buf, SECRET_MAX_BYTES, &n);
    int code = rc == RC_OK ? use_document(line, from, buf, n, out)
                           : complain(line, EXIT_CODE_NO, from,
                                      rc == RC_FULL ? "is larger than 2 MiB" : strerror(errno));
    explicit_bzero(buf, n);
    free(buf);
    return code;
}

static int open_document(const struct command_line *line, const char *path, struct ca **out)
{
    if (strcmp(path, "-") == 0) {
        (void)setvbuf(stdin, NULL, _IONBF, 0); /* no copy of the key stays in a buffer */
        return use_stream(line, "standard input", stdin, out);
    }
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return complain(line, EXIT_CODE_NO, path, strerror(errno));
    }
    (void)setvbuf(f, NULL, _IONBF, 0);
    int code = use_stream(line, path, f, out);
    (void)fclose(f);
    return code;
}

/* ---- in the cluster ---- */

/* EXIT_CODE_OK with *out NULL: there is none. */
static int get_secret(const struct command_line *line, struct kube *k, const char *ns,
                      const char *name, json_t **out)
{
    char what[KUBE_PATH_BYTES];
    struct kube_reply reply;
    int code = EXIT_CODE_OK;
    enum kube_outcome outcome = kube_ask_get(k, KUBE_SECRET, ns, name, NULL, &reply);

    if (outcome == KUBE_OK) {
        *out = json_incref(reply.body);
    } else if (outcome == KUBE_INVALID) {
        code = complain(line, EXIT_CODE_USAGE, ns, "is no name of a namespace");
    } else if (outcome != KUBE_REFUSED || reply.status != 404) {
        (void)snprintf(what, sizeof(what), "secret %s in namespace %s", name, ns);
        code = complain(line, outcome == KUBE_REFUSED ? EXIT_CODE_NO : EXIT_CODE_UNREACHABLE, what,
                        reply.error.text);
    }
    kube_reply_fini(&reply);
    return code;
}

/* As istiod chooses: a plugged-in authority, else its own. */
static int use_cluster(const struct command_line *line, struct kube *k, const char *ns,
                       struct ca **out)
{
    static const char *const names[] = {PLUGGED_IN, SELF_SIGNED};
    char from[KUBE_PATH_BYTES];
    json_t *secret = NULL;

    for (size_t i = 0; i < 2; i++) {
        int code = get_secret(line, k, ns, names[i], &secret);
        if (code != EXIT_CODE_OK) {
            return code;
        }
        if (secret != NULL) {
            snprintf(from, sizeof(from), "secret %s in namespace %s", names[i], ns);
            code = use_secret(line, secret, from, out);
            json_decref(secret);
            return code;
        }
    }
    snprintf(from, sizeof(from), "namespace %s", ns);
    return complain(line, EXIT_CODE_NO, from,
                    "has neither secret " PLUGGED_IN " nor " SELF_SIGNED
                    ": is it istiod's (--istioNamespace), and is istiod the CA?");
}

static int open_cluster(const struct command_line *line, const struct cert_authority_opts *o,
                        struct ca **out)
{
    struct kube_access *access = NULL;
    struct kube *k = NULL;
    struct kube_error err;
    enum rc rc = kube_access_find(o->kubeconfig, o->context, &err, &access);

    if (rc == RC_OK) {
        rc = kube_new(&access, NULL, &err, &k);
    }
    if (rc != RC_OK) {
        bool memory = rc == RC_NO_MEMORY;
        return complain(line, memory ? EXIT_CODE_NO : EXIT_CODE_USAGE, "",
                        memory ? rc_text(rc) : err.text);
    }
    int code = use_cluster(line, k, o->istio_namespace, out);
    kube_free(&k);
    return code;
}

int cert_secret_open(const struct command_line *line, const struct cert_authority_opts *o,
                     struct ca **out)
{
    return o->ca_secret != NULL ? open_document(line, o->ca_secret, out)
                                : open_cluster(line, o, out);
}
