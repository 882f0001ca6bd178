/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs/cert_peer.h"
#include "certs/cert_set.h"
#include "core/base/check.h"

struct fake_ssl {
    const char *identity;
};

const char *fake_identity;
const char *fake_peer_error = "";
struct cert_facts fake_facts;
int64_t fake_expiry = INT64_MAX;
enum rc fake_recheck = RC_OK;

static SSL *new_ssl(const char *identity)
{
    struct fake_ssl *f = malloc(sizeof(*f));

    if (f == NULL) {
        return NULL;
    }
    f->identity = identity;
    return (SSL *)(void *)f;
}

SSL *cert_set_new_ssl(struct cert_set *s)
{
    (void)s;
    return new_ssl(fake_identity);
}

SSL *root_set_new_ssl(struct root_set *s, const char *server_name)
{
    (void)s;
    CHECK(server_name != NULL);
    return new_ssl(NULL);
}

void fake_ssl_free(SSL *ssl)
{
    free(ssl);
}

enum rc cert_peer_take(const SSL *ssl, struct cert_peer **out)
{
    const struct fake_ssl *f = (const void *)ssl;

    if (f->identity == NULL) {
        return RC_NOT_FOUND;
    }
    char *copy = strdup(f->identity);
    if (copy == NULL) {
        return RC_NO_MEMORY;
    }
    *out = (struct cert_peer *)(void *)copy;
    return RC_OK;
}

const char *cert_peer_identity(const struct cert_peer *p)
{
    return (const void *)p;
}

int64_t cert_peer_expiry(const struct cert_peer *p)
{
    (void)p;
    return fake_expiry;
}

const struct cert_facts *cert_peer_facts(const struct cert_peer *p)
{
    (void)p;
    return &fake_facts;
}

void cert_peer_free(struct cert_peer **p)
{
    free(*p);
    *p = NULL;
}

enum rc cert_set_check_again(const struct cert_set *s, const struct cert_peer *p, char *why,
                             size_t size)
{
    (void)s;
    (void)p;
    snprintf(why, size, "the fake says so");
    return fake_recheck;
}

const char *cert_set_peer_error(const SSL *ssl)
{
    (void)ssl;
    return fake_peer_error;
}

uint64_t root_set_print(const struct root_set *s)
{
    (void)s;
    return 1;
}

struct root_set *root_set_ref(struct root_set *s)
{
    return s;
}

void root_set_unref(struct root_set **s)
{
    *s = NULL;
}
