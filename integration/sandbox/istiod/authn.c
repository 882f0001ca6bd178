/* SPDX-License-Identifier: Apache-2.0 */
/* istiod's authenticators in istiod's order, as pure functions of what the caller showed. */
#include "integration/sandbox/istiod/authn.h"

#include <stdlib.h>
#include <string.h>

#include "integration/sandbox/common/pki.h"
#include "integration/sandbox/common/token.h"
#include "integration/sandbox/istiod/xfcc.h"

#define BEARER "Bearer "

const char *auth_method_name(enum auth_method method)
{
    static const char *const names[] = {"none", "cert", "token", "xfcc"};

    return names[method];
}

static bool uri_in_domain(const struct names *sans, const char *trust_domain)
{
    struct text prefix = {0};
    bool found = false;

    text_addf(&prefix, "spiffe://%s/", trust_domain);
    for (size_t i = 0; i < sans->n; i++) {
        found = found || strncmp(sans->v[i], text_str(&prefix), prefix.len) == 0;
    }
    text_fini(&prefix);
    return found;
}

static const char *by_cert(const struct authn_rules *rules, const struct authn_input *in,
                           struct names *identities)
{
    struct names sans = {0};
    size_t n_uri = 0;
    const char *why = NULL;

    if (!pki_cert_sans(in->cert_pem, &sans, &n_uri) || n_uri != 1) {
        why = "client certificate has not exactly one URI";
    } else if (!uri_in_domain(&sans, rules->trust_domain)) {
        why = "client certificate is of another trust domain";
    }
    for (size_t i = 0; why == NULL && i < sans.n; i++) {
        names_add(identities, sans.v[i]);
    }
    names_fini(&sans);
    return why;
}

static const char *by_token(const struct authn_rules *rules, const struct authn_input *in,
                            int64_t now_s, struct names *identities)
{
    const char *why;
    char *path = NULL;
    struct text id = {0};

    if (in->authorization == NULL || strncmp(in->authorization, BEARER, strlen(BEARER)) != 0) {
        return "no bearer token";
    }
    if (in->cluster_id != NULL && in->cluster_id[0] != '\0' &&
        strcmp(in->cluster_id, rules->cluster_id) != 0) {
        return "unknown clusterid";
    }
    why = token_verify(rules->token_key, in->authorization + strlen(BEARER), rules->audience, now_s,
                       &path);
    if (why == NULL) {
        text_addf(&id, "spiffe://%s/%s", rules->trust_domain, path);
        names_add(identities, text_str(&id));
        text_fini(&id);
    }
    free(path);
    return why;
}

static const char *by_xfcc(const struct authn_rules *rules, const struct authn_input *in,
                           struct names *identities)
{
    if (in->xfcc == NULL) {
        return "no x-forwarded-client-cert";
    }
    if (in->peer_address == NULL || !cidr_trusts(rules->gateways, in->peer_address)) {
        return "peer is not a trusted gateway";
    }
    return xfcc_parse(in->xfcc, identities);
}

enum auth_method authn_check(const struct authn_rules *rules, const struct authn_input *in,
                             int64_t now_s, struct names *identities, struct text *why)
{
    const char *reason;

    if (in->cert_pem != NULL) {
        reason = by_cert(rules, in, identities);
        if (reason != NULL) {
            text_add(why, reason);
        }
        return reason == NULL ? AUTH_CERT : AUTH_NONE;
    }
    reason = by_token(rules, in, now_s, identities);
    if (reason == NULL) {
        return AUTH_TOKEN;
    }
    text_addf(why, "%s; ", reason);
    reason = by_xfcc(rules, in, identities);
    if (reason == NULL) {
        return AUTH_XFCC;
    }
    text_add(why, reason);
    return AUTH_NONE;
}

/* Does spiffe://TD/ns/NS/sa/SA have this namespace and service account? */
static bool id_matches(const char *id, const char *node_namespace, const char *service_account)
{
    struct text want = {0};
    const char *path;
    bool match;

    if (strncmp(id, "spiffe://", 9) != 0 || (path = strchr(id + 9, '/')) == NULL) {
        return false;
    }
    text_addf(&want, "/ns/%s/sa/%s", node_namespace, service_account);
    match = service_account[0] == '\0' ? strncmp(path, text_str(&want), want.len) == 0
                                       : strcmp(path, text_str(&want)) == 0;
    text_fini(&want);
    return match;
}

bool authn_matches_node(const struct names *identities, const char *node_namespace,
                        const char *service_account)
{
    for (size_t i = 0; i < identities->n; i++) {
        if (id_matches(identities->v[i], node_namespace, service_account)) {
            return true;
        }
    }
    return false;
}
