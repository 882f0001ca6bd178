/* SPDX-License-Identifier: Apache-2.0 */
/* `identity: token`: before a stream of a VM that shows a certificate goes to istiod, it gets a
 * token of the VM's service account. */
#include <stdio.h>
#include <string.h>

#include "certs/spiffe.h"
#include "core/base/check.h"
#include "gateway/relay/relay_internal.h"

static const struct upstream_opts *upstream_of(const struct relay *r)
{
    return &pool_upstream(r->vm->route->pool)->opts;
}

bool relay_needs_token(const struct relay *r)
{
    return r->vm->cert != NULL && upstream_of(r)->identity == UPSTREAM_TOKEN && !r->has_token;
}

/* The account is the one of the verified certificate. id keeps the strings. */
static struct tokens_whose whose(const struct relay *r, struct spiffe_id *id)
{
    const char *uri = cert_peer_identity(r->vm->cert);

    CHECK(spiffe_parse(uri, strlen(uri), id) == RC_OK); /* it was checked in the handshake */
    return (struct tokens_whose){id->ns, id->sa, upstream_of(r)->token_audiences};
}

static void refuse(struct relay *r, const struct tokens_answer *a)
{
    struct spiffe_id id;
    struct tokens_whose w = whose(r, &id);
    char text[SPIFFE_NS_BYTES + SPIFFE_SA_BYTES + TOKENS_WHY_BYTES + 64];

    (void)snprintf(text, sizeof(text), "xdsgate: no token for service account %s/%s: %s", w.ns,
                   w.sa, a->why);
    if (a->outcome == TOKENS_REFUSED) {
        relay_finish(r, GRPC_PERMISSION_DENIED, text, END_REFUSED);
    } else {
        relay_finish(r, GRPC_UNAVAILABLE, text, END_UP_UNAVAILABLE);
    }
}

/* True: the request has its token. Otherwise the relay is over. */
static bool use(struct relay *r, struct tokens_answer *a)
{
    static const char bearer[] = "Bearer ";
    char *value = NULL;

    if (a->outcome != TOKENS_READY) {
        refuse(r, a);
        return false;
    }
    int n = asprintf(&value, "%s%s", bearer, a->token);
    enum rc rc = RC_NO_MEMORY;
    if (n > 0) {
        rc = h2_headers_add(&r->request, "authorization", 13, value, (size_t)n, true);
        explicit_bzero(value, (size_t)n);
        free(value);
    }
    r->token_serial = a->serial;
    r->has_token = rc == RC_OK;
    tokens_answer_fini(a);
    if (rc != RC_OK) {
        relay_finish(r, GRPC_RESOURCE_EXHAUSTED, "xdsgate: out of memory", END_MEMORY);
    }
    return rc == RC_OK;
}

static void on_answer(struct token_wait *w)
{
    struct relay *r = LIST_ENTRY(w, struct relay, token);
    struct tokens_answer a;

    CHECK_MAGIC(r, RELAY_MAGIC);
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_WAITING], -1);
    tokens_take_answer(w, worker_now(r->worker), &a);
    if (use(r, &a)) {
        relay_ask(r, 0);
    }
}

bool relay_get_token(struct relay *r)
{
    struct spiffe_id id;
    struct tokens_whose w = whose(r, &id);
    struct tokens_answer a;

    CHECK(r->vm->route->tokens != NULL); /* the configuration was checked */
    r->token.on_answer = on_answer;
    if (tokens_ask(r->vm->route->tokens, &w, worker_now(r->worker), &r->token, &a) ==
        TOKENS_WAITS) {
        counter_add(&r->worker->counters->v[COUNTER_STREAMS_WAITING], 1);
        return false;
    }
    return use(r, &a);
}

void relay_drop_token(struct relay *r)
{
    if (r->token.clerk != NULL) {
        tokens_cancel(&r->token);
        counter_add(&r->worker->counters->v[COUNTER_STREAMS_WAITING], -1);
    }
}

void relay_reject_token(struct relay *r)
{
    struct spiffe_id id;
    struct tokens_whose w;

    if (r->has_token) {
        w = whose(r, &id);
        tokens_reject(r->vm->route->tokens, &w, r->token_serial, worker_now(r->worker));
    }
}
