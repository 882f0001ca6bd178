/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: the VM's certificate, or its token. */
#include <stdio.h>
#include <string.h>

#include "certs/jwt.h"
#include "core/base/check.h"
#include "gateway/relay/relay_internal.h"

/* What the token says is a claim until the upstream has answered. */
static void read_token(const struct relay *r, struct relay_speaker *s)
{
    size_t n = 0;
    const char *value = h2_headers_find(&r->request, "authorization", &n);

    if (value == NULL || jwt_read_account(value, n, &s->id, &s->token_expiry_s) != RC_OK) {
        return;
    }
    (void)snprintf(s->id.trust_domain, sizeof(s->id.trust_domain), "%s",
                   r->vm->route->tap->trust_domain);
    (void)spiffe_format(&s->id, s->uri);
}

void relay_find_speaker(const struct relay *r, struct relay_speaker *s)
{
    *s = (struct relay_speaker){.verified = false};
    if (r->vm->cert == NULL ||
        pool_upstream(r->vm->route->pool)->opts.identity == UPSTREAM_FORWARD) {
        read_token(r, s); /* nobody speaks for the certificate */
        return;
    }
    const char *uri = cert_peer_identity(r->vm->cert);
    CHECK(spiffe_parse(uri, strlen(uri), &s->id) == RC_OK); /* it was checked in the handshake */
    (void)snprintf(s->uri, sizeof(s->uri), "%s", uri);
    s->verified = true;
}

const struct spiffe_id *relay_speaker_id(const struct relay_speaker *s)
{
    return s->uri[0] != '\0' ? &s->id : NULL;
}
