/* SPDX-License-Identifier: Apache-2.0 */
/* Who the VM is, by its token and its certificate, and who it believes. */
#include <stdio.h>
#include <string.h>

#include "bootstrap/bundle.h"
#include "bootstrap/token.h"
#include "bootstrap/verify_internal.h"
#include "bootstrap/why.h"
#include "certs/cert_file.h"
#include "certs/jwt.h"
#include "core/base/name.h"
#include "core/doc/doc.h"

#define DAY_S INT64_C(86400)
#define ROOT_WARN_S (30 * DAY_S)

/** The agent asks for a new one at half of a day; one that is this short has missed that. */
#define CHAIN_WARN_S 3600

/** A token that was made so much later than now was made by another clock. */
#define CLOCK_ERROR_S 60

#define RENEW "xdsgate bundle renew makes a new one"
#define CLOCK "set the clock of this machine: timedatectl"

static struct cert_bytes bytes_of(const struct vfile *f)
{
    return (struct cert_bytes){(uint8_t *)f->data, f->n};
}

/* A PEM file; says what is wrong with it. *out stays NULL then. */
static enum rc read_pem(struct verify *v, const struct vfile *f, const char *cure,
                        struct cert_file **out)
{
    struct cert_bytes bytes = bytes_of(f);
    struct cert_error err;
    enum rc rc = cert_file_parse(&bytes, out, &err);

    if (rc == RC_INVALID) {
        verify_add(v->r, VERIFY_BAD, f->what, cure, "%s", err.text);
        return RC_OK;
    }
    return rc;
}

/* ---- roots ---- */

struct dates {
    int64_t from;     /* the first that begins */
    int64_t to;       /* the last that ends */
    int64_t first_to; /* the first that ends and has not ended yet; INT64_MAX: there is none */
};

/* RC_INVALID: of one of them they cannot be read. */
static enum rc read_dates(const struct cert_file *f, int64_t now, struct dates *d)
{
    *d = (struct dates){INT64_MAX, 0, INT64_MAX};
    for (size_t i = 0; i < cert_file_count(f); i++) {
        struct cert_info info;
        TRY(cert_file_info(f, i, &info));
        d->from = info.from < d->from ? info.from : d->from;
        d->to = info.to > d->to ? info.to : d->to;
        d->first_to = info.to >= now && info.to < d->first_to ? info.to : d->first_to;
        cert_info_fini(&info);
    }
    return RC_OK;
}

static enum rc check_root_dates(struct verify *v, const char *what, const struct cert_file *f,
                                const struct root_owner *owner)
{
    const int64_t now = v->o->now_s;
    struct dates d;
    char buf[WHY_TIME_BYTES];
    char cure[160];

    enum rc rc = read_dates(f, now, &d);
    if (rc == RC_INVALID) {
        verify_add(v->r, VERIFY_BAD, what, owner->anew, "has a malformed certificate");
        return RC_OK;
    }
    TRY(rc);
    if (d.to < now) {
        (void)snprintf(cure, sizeof(cure), "%s, if this machine's clock is right", owner->anew);
        verify_add(v->r, VERIFY_BAD, what, cure, "expired %s ago", why_time(now - d.to, buf));
    } else if (d.from > now) {
        verify_add(v->r, VERIFY_BAD, what, CLOCK, "is not valid before %s from now",
                   why_time(d.from - now, buf));
    } else if (d.first_to - now < ROOT_WARN_S) {
        (void)snprintf(cure, sizeof(cure), "%s, when %s has its new root", owner->anew,
                       owner->name);
        verify_add(v->r, VERIFY_WARN, what, cure, "one of its certificates expires in %s",
                   why_time(d.first_to - now, buf));
    }
    return RC_OK;
}

static enum rc check_roots(struct verify *v, const struct vfile *file, const struct cert_file *f,
                           const struct root_owner *owner, bool *usable)
{
    if (cert_file_key(f) != CERT_FILE_NO_KEY) {
        verify_add(v->r, VERIFY_BAD, file->what, "remove the key, and have a new one made",
                   "has a private key in it, which no VM may have");
    }
    if (cert_file_count(f) == 0) {
        verify_add(v->r, VERIFY_BAD, file->what, owner->anew, "has no certificate");
        return RC_OK;
    }
    *usable = true;
    return check_root_dates(v, file->what, f, owner);
}

enum rc verify_root_file(struct verify *v, const struct vfile *f, const struct root_owner *owner,
                         bool *usable)
{
    struct cert_file *roots = NULL;

    *usable = false;
    TRY(read_pem(v, f, owner->anew, &roots));
    enum rc rc = roots != NULL ? check_roots(v, f, roots, owner, usable) : RC_OK;
    cert_file_free(&roots);
    return rc;
}

/* ---- token ---- */

static bool names_audience(const json_t *claims, const char *audience)
{
    const json_t *aud = doc_at(claims, "aud", NULL);
    const char *one = json_string_value(aud);

    if (one != NULL) {
        return strcmp(one, audience) == 0;
    }
    for (size_t i = 0; i < json_array_size(aud); i++) {
        one = json_string_value(json_array_get(aud, i));
        if (one != NULL && strcmp(one, audience) == 0) {
            return true;
        }
    }
    return false;
}

/* Of the account that cluster.env names. */
static void check_subject(struct verify *v, const json_t *claims)
{
    const char *ns = verify_env(v, "ISTIO_NAMESPACE");
    const char *account = verify_env(v, "SERVICE_ACCOUNT");
    char expected[TOKEN_SUBJECT_BYTES];

    if (ns == NULL || account == NULL) {
        return;
    }
    const char *other = token_other_subject(claims, token_subject(ns, account, expected));
    if (other != NULL) {
        verify_add(v->r, VERIFY_BAD, v->files[V_TOKEN].what,
                   "make both files with one xdsgate bundle create",
                   "is for %.200s, but %s says %.200s", other, v->files[V_ENV].what, expected);
    }
}

/* By this machine's clock certificates of the mesh may not be valid yet, either. */
static void check_clock(struct verify *v, const json_t *claims)
{
    int64_t ahead = token_made_ahead(claims, v->o->now_s);

    if (ahead > CLOCK_ERROR_S) {
        verify_add(v->r, VERIFY_BAD, "clock", CLOCK,
                   "this machine's clock is %lld s behind the one that made the token",
                   (long long)ahead);
    }
}

static void check_claims(struct verify *v, const json_t *claims)
{
    check_subject(v, claims);
    if (doc_at(claims, "aud", NULL) != NULL && !names_audience(claims, "istio-ca")) {
        verify_add(v->r, VERIFY_WARN, v->files[V_TOKEN].what, "make one with the audience istio-ca",
                   "is not for the audience istio-ca, which istiod asks for usually");
    }
    check_clock(v, claims);
}

static enum rc look_into_token(struct verify *v, const char *token, size_t n)
{
    json_t *claims = NULL;

    TRY(token_read_claims(token, n, &claims));
    if (claims != NULL) {
        check_claims(v, claims);
    }
    json_decref(claims);
    return RC_OK;
}

static enum rc check_token(struct verify *v)
{
    const struct vfile *f = &v->files[V_TOKEN];
    size_t n = bundle_token_length(f->data, f->n);
    int64_t until = 0;
    const char *why = NULL;
    char buf[WHY_TIME_BYTES];

    v->token_tried = true;
    if (!name_is_word(f->data, n)) {
        verify_add(v->r, VERIFY_BAD, f->what, RENEW,
                   "is not one word; was it pasted over several lines?");
        return RC_OK;
    }
    if (jwt_read_expiry(f->data, n, &until, &why) != RC_OK) {
        verify_add(v->r, VERIFY_BAD, f->what, RENEW, "%s", why);
        return RC_OK;
    }
    v->token_good = until >= v->o->now_s;
    if (!v->token_good) {
        bool matters = v->o->folder != NULL || !v->chain_good;
        verify_add(v->r, matters ? VERIFY_BAD : VERIFY_WARN, f->what, RENEW, "ran out %s ago%s",
                   why_time(v->o->now_s - until, buf),
                   matters ? "" : "; while the certificate is good, nobody needs it");
    }
    return look_into_token(v, f->data, n);
}

/* What a reboot empties has to come back. */
static void check_reboot(struct verify *v)
{
    const struct vfile *copy = &v->files[V_COPY];

    if (v->o->folder == NULL && v->files[V_TOKEN].there &&
        (!copy->there || !v->files[V_TMPFILES].there)) {
        verify_add(v->r, VERIFY_WARN, v->files[V_TOKEN].what, "run the bundle's script",
                   "is gone after a reboot: nothing brings it back");
    }
}

/* ---- the agent's certificate ---- */

/* The end of its SPIFFE ID, as cluster.env has it. */
static void check_names(struct verify *v, const struct cert_info *info)
{
    const char *ns = verify_env(v, "ISTIO_NAMESPACE");
    const char *account = verify_env(v, "SERVICE_ACCOUNT");
    char expected[600];

    if (ns == NULL || account == NULL) {
        return;
    }
    int n = snprintf(expected, sizeof(expected), "/ns/%s/sa/%s", ns, account);
    for (size_t i = 0; i < info->n_names; i++) {
        size_t len = strlen(info->names[i]);
        if (n > 0 && len > (size_t)n && strcmp(info->names[i] + len - (size_t)n, expected) == 0) {
            return;
        }
    }
    v->chain_good = false;
    verify_add(v->r, VERIFY_BAD, v->files[V_CHAIN].what,
               "remove it with key.pem, and restart the agent; it gets a new one by its token",
               "is for %.200s, but %s says %.200s", info->n_names > 0 ? info->names[0] : "nobody",
               v->files[V_ENV].what, expected);
}

static void check_chain_dates(struct verify *v, const struct cert_info *info)
{
    const char *what = v->files[V_CHAIN].what;
    const int64_t now = v->o->now_s;
    char buf[WHY_TIME_BYTES];

    if (info->to < now) {
        v->chain_good = false;
        verify_add(v->r, VERIFY_WARN, what, "a good token gets a new one: xdsgate bundle renew",
                   "expired %s ago", why_time(now - info->to, buf));
    } else if (info->from > now) {
        v->chain_good = false;
        verify_add(v->r, VERIFY_BAD, what, CLOCK, "is not valid before %s from now",
                   why_time(info->from - now, buf));
    } else if (info->to - now < CHAIN_WARN_S) {
        verify_add(v->r, VERIFY_WARN, what, "journalctl -u istio says why it was not renewed",
                   "expires in %s", why_time(info->to - now, buf));
    }
}

static enum rc check_chain(struct verify *v, const struct cert_file *chain,
                           const struct cert_file *roots)
{
    const char *what = v->files[V_CHAIN].what;
    char anchor[CERT_SUBJECT_BYTES];
    char why[CERT_SUBJECT_BYTES];
    struct cert_info info;

    enum rc rc = cert_file_count(chain) == 0 ? RC_INVALID : cert_file_info(chain, 0, &info);
    if (rc == RC_INVALID) {
        v->chain_good = false;
        verify_add(v->r, VERIFY_BAD, what, "remove it with key.pem, and restart the agent",
                   "has no readable certificate");
        return RC_OK;
    }
    TRY(rc);
    check_chain_dates(v, &info);
    check_names(v, &info);
    cert_info_fini(&info);
    if (roots == NULL) {
        return RC_OK;
    }
    rc = cert_file_verify(chain, 0, roots, anchor, why, sizeof(why));
    if (rc == RC_PEER_DENIED) {
        verify_add(v->r, VERIFY_WARN, what, "when it is refused, remove it with key.pem",
                   "is not vouched for by %s: %s", v->files[V_ROOT].what, why);
    }
    return rc == RC_PEER_DENIED ? RC_OK : rc;
}

static void check_key(struct verify *v, const struct cert_file *chain, const struct cert_file *key)
{
    if (v->files[V_KEY].unknown) {
        v->chain_good = false;
    } else if (!v->files[V_KEY].there) {
        v->chain_good = false;
        verify_add(v->r, VERIFY_BAD, v->files[V_KEY].what,
                   "remove the certificate, and restart the agent; it gets new ones by its token",
                   "is missing: without it %s is of no use", v->files[V_CHAIN].what);
    } else if (key == NULL || cert_file_key(key) != CERT_FILE_KEY ||
               !cert_file_fits(key, chain, 0)) {
        v->chain_good = false;
        verify_add(v->r, VERIFY_BAD, v->files[V_KEY].what,
                   "remove both, and restart the agent; it gets new ones by its token",
                   "is not the key of %s: every connection fails", v->files[V_CHAIN].what);
    }
}

static enum rc check_agent_certificate(struct verify *v, const struct cert_file *roots)
{
    static const char cure[] = "remove it, and restart the agent";
    struct cert_file *chain = NULL;
    struct cert_file *key = NULL;

    if (!v->files[V_CHAIN].there) {
        return RC_OK;
    }
    enum rc rc = read_pem(v, &v->files[V_CHAIN], cure, &chain);
    if (rc == RC_OK && v->files[V_KEY].there) {
        rc = read_pem(v, &v->files[V_KEY], cure, &key);
    }
    if (rc == RC_OK && chain != NULL) {
        v->chain_good = true;
        rc = check_chain(v, chain, roots);
        check_key(v, chain, key);
    }
    cert_file_free(&chain);
    cert_file_free(&key);
    return rc;
}

enum rc verify_secrets(struct verify *v)
{
    static const struct root_owner mesh = {"the mesh", "make the bundle anew"};
    struct vfile *file = &v->files[V_ROOT];
    struct cert_file *roots = NULL;
    bool usable = false;
    enum rc rc = RC_OK;

    if (file->there) {
        rc = read_pem(v, file, mesh.anew, &roots);
    }
    if (rc == RC_OK && roots != NULL) {
        rc = check_roots(v, file, roots, &mesh, &usable);
    }
    v->roots = usable ? file->path : NULL;
    if (rc == RC_OK) {
        rc = check_agent_certificate(v, roots);
    }
    cert_file_free(&roots);
    TRY(rc);
    if (v->files[V_TOKEN].there) {
        TRY(check_token(v));
    }
    check_reboot(v);
    return RC_OK;
}
