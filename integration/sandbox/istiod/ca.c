/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox mesh's own CA and what it hands out as files. Root and token key survive a restart
 * in the same directory, so that VMs of the last run still come in; the rest is made anew.
 */
#include "integration/sandbox/istiod/ca.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "integration/sandbox/common/os.h"
#include "integration/sandbox/common/token.h"

#define NOT_BEFORE_SKEW_S 120
#define SERVING_LIFE_S (365LL * 24 * 3600)

static char *path_in(const char *dir, const char *name)
{
    struct text t = {0};

    text_addf(&t, "%s/%s", dir, name);
    return text_take(&t);
}

static bool put_file(const char *dir, const char *name, const char *text, mode_t mode)
{
    char *path = path_in(dir, name);
    bool ok = text != NULL && file_write(path, text, mode);

    if (!ok) {
        log_info("cannot write %s: %s", path, strerror(errno));
    }
    free(path);
    return ok;
}

static char *get_file(const char *dir, const char *name)
{
    char *path = path_in(dir, name);
    char *text = file_read(path);

    free(path);
    return text;
}

/* A key kept in dir under a name, made when it is not there. */
static EVP_PKEY *keep_key(const char *dir, const char *name)
{
    char *pem = get_file(dir, name);
    EVP_PKEY *key = pem == NULL ? pki_key_new(false) : pki_key_parse(pem);

    if (pem == NULL && key != NULL) {
        pem = pki_key_pem(key);
        if (!put_file(dir, name, pem, 0600)) {
            EVP_PKEY_free(key);
            key = NULL;
        }
    }
    free(pem);
    return key;
}

static bool open_root(struct ca *ca, const struct ca_material *m)
{
    char *pem = get_file(m->dir, "root-cert.pem");

    ca->root_key = keep_key(m->dir, "root-key.pem");
    if (ca->root_key == NULL) {
        free(pem);
        return false;
    }
    ca->root = pem == NULL ? pki_root_new(ca->root_key, m->trust_domain) : pki_cert_parse(pem);
    free(pem);
    if (ca->root == NULL || X509_check_private_key(ca->root, ca->root_key) != 1) {
        log_info("%s: root certificate and key do not belong together", m->dir);
        return false;
    }
    ca->root_pem = pki_cert_pem(ca->root);
    return put_file(m->dir, "root-cert.pem", ca->root_pem, 0644);
}

static bool open_token_key(struct ca *ca, const struct ca_material *m)
{
    char *pem;

    if (m->token_key_file == NULL) {
        ca->token_key = keep_key(m->dir, "token-key.pem");
        return ca->token_key != NULL;
    }
    pem = file_read(m->token_key_file);
    ca->token_key = pem == NULL ? NULL : pki_key_parse(pem);
    free(pem);
    if (ca->token_key == NULL) {
        log_info("%s: no private key", m->token_key_file);
    }
    return ca->token_key != NULL;
}

static char *sign_leaf(const struct ca *ca, EVP_PKEY *key, const struct names *sans, int64_t ttl_s)
{
    int64_t now_s = os_wall_s();
    struct pki_leaf leaf = {
        .issuer = ca->root,
        .issuer_key = ca->root_key,
        .key = key,
        .sans = sans,
        .not_before_s = now_s - NOT_BEFORE_SKEW_S,
        .not_after_s = now_s + ttl_s,
    };

    return pki_leaf_sign(&leaf);
}

/* A new key and its chain (leaf, root) as BASE.key and BASE.crt. */
static bool put_pair(const struct ca *ca, const char *dir, const char *base,
                     const struct names *sans, char **chain_out, char **key_out)
{
    struct text name = {0};
    struct text chain = {0};
    EVP_PKEY *key = pki_key_new(false);
    char *leaf = key == NULL ? NULL : sign_leaf(ca, key, sans, SERVING_LIFE_S);
    char *key_pem = key == NULL ? NULL : pki_key_pem(key);
    bool ok = leaf != NULL && key_pem != NULL;

    if (ok) {
        text_addf(&chain, "%s%s", leaf, ca->root_pem);
        text_addf(&name, "%s.key", base);
        ok = put_file(dir, text_str(&name), key_pem, 0600);
        text_fini(&name);
        text_addf(&name, "%s.crt", base);
        ok = ok && put_file(dir, text_str(&name), text_str(&chain), 0644);
    }
    text_fini(&name);
    free(leaf);
    EVP_PKEY_free(key);
    if (ok && chain_out != NULL) {
        *chain_out = text_take(&chain);
        *key_out = key_pem;
        return true;
    }
    text_fini(&chain);
    free(key_pem);
    return ok;
}

static void split_identity(const char *identity, char **name_space, char **account)
{
    const char *slash = strchr(identity, '/');

    *name_space = slash == NULL ? NULL : sbx_strndup(identity, (size_t)(slash - identity));
    *account = slash == NULL ? NULL : sbx_strdup(slash + 1);
}

char *ca_mint(const struct ca *ca, const char *identity, const char *audience, int64_t ttl_s)
{
    char *name_space = NULL;
    char *account = NULL;
    char *token = NULL;
    int64_t now_s = os_wall_s();

    split_identity(identity, &name_space, &account);
    if (name_space != NULL) {
        struct token_claims claims = {
            .service_namespace = name_space,
            .service_account = account,
            .audience = audience,
            .issued_s = now_s,
            .expires_s = now_s + ttl_s,
        };

        token = token_mint(ca->token_key, &claims);
    }
    free(name_space);
    free(account);
    return token;
}

/* Token and client certificate of one NAMESPACE/SERVICE_ACCOUNT. */
static bool put_identity(const struct ca *ca, const struct ca_material *m, const char *identity,
                         bool is_first)
{
    char *token = ca_mint(ca, identity, m->audience, m->token_ttl_s);
    struct names sans = {0};
    struct text id = {0};
    struct text file = {0};
    char *name_space = NULL;
    char *account = NULL;
    bool ok = token != NULL;

    if (!ok) {
        log_info("identity %s is not NAMESPACE/SERVICE_ACCOUNT", identity);
        return false;
    }
    split_identity(identity, &name_space, &account);
    text_addf(&id, "spiffe://%s/ns/%s/sa/%s", m->trust_domain, name_space, account);
    names_add(&sans, text_str(&id));
    text_addf(&file, "tokens/%s.%s", name_space, account);
    ok = put_file(m->dir, text_str(&file), token, 0600);
    text_fini(&file);
    text_addf(&file, "certs/%s.%s", name_space, account);
    ok = ok && put_pair(ca, m->dir, text_str(&file), &sans, NULL, NULL);
    if (is_first) {
        ok = ok && put_file(m->dir, "token", token, 0600) &&
             put_pair(ca, m->dir, "vm", &sans, NULL, NULL);
    }
    text_fini(&file);
    text_fini(&id);
    names_fini(&sans);
    free(name_space);
    free(account);
    free(token);
    return ok;
}

static bool make_dir(const char *dir, const char *name)
{
    char *path = path_in(dir, name);
    bool ok = mkdir(path, 0700) == 0 || errno == EEXIST;

    free(path);
    return ok;
}

bool ca_open(struct ca *ca, const struct ca_material *m)
{
    bool ok;

    *ca = (struct ca){0};
    ok = make_dir(m->dir, "tokens") && make_dir(m->dir, "certs") && open_root(ca, m) &&
         open_token_key(ca, m) &&
         put_pair(ca, m->dir, "istiod", m->server_names, &ca->serving_cert, &ca->serving_key) &&
         put_pair(ca, m->dir, "xdsgate", m->server_names, NULL, NULL);
    for (size_t i = 0; ok && i < m->identities->n; i++) {
        ok = put_identity(ca, m, m->identities->v[i], i == 0);
    }
    if (!ok) {
        log_info("cannot set up the CA in %s", m->dir);
    }
    return ok;
}

void ca_close(struct ca *ca)
{
    EVP_PKEY_free(ca->root_key);
    EVP_PKEY_free(ca->token_key);
    X509_free(ca->root);
    free(ca->root_pem);
    free(ca->serving_cert);
    free(ca->serving_key);
    *ca = (struct ca){0};
}

char *ca_sign_csr(const struct ca *ca, const char *csr_pem, const struct names *identities,
                  int64_t ttl_s)
{
    EVP_PKEY *key = pki_csr_key(csr_pem);
    char *leaf = key == NULL ? NULL : sign_leaf(ca, key, identities, ttl_s);

    EVP_PKEY_free(key);
    return leaf;
}
