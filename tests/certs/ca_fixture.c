/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/certs/ca_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

int ca_fixture_setup(void **state)
{
    struct ca_fixture *f = calloc(1, sizeof(*f));
    char dir[] = "/tmp/ca_test.XXXXXX";

    assert_non_null(mkdtemp(dir));
    snprintf(f->dir, sizeof(f->dir), "%s", dir);
    for (int i = 0; i < 4; i++) {
        snprintf(f->file[i], PATH_BYTES, "%s/%d.pem", dir, i);
    }
    f->root = pki_make_root("cluster root");
    *state = f;
    return 0;
}

int ca_fixture_teardown(void **state)
{
    struct ca_fixture *f = *state;

    for (int i = 0; i < 4; i++) {
        unlink(f->file[i]);
    }
    assert_int_equal(rmdir(f->dir), 0);
    pki_free(&f->root);
    free(f);
    return 0;
}

/* ---- PEM texts ---- */

static struct cert_bytes read_file(const char *path)
{
    struct cert_bytes bytes = {NULL, 0};
    struct cert_error err;

    assert_int_equal(cert_bytes_read(path, &bytes, &err), RC_OK);
    return bytes;
}

struct cert_bytes ca_fixture_pem(const struct ca_fixture *f, const struct pki_cert *const *certs,
                                 size_t n)
{
    pki_write_certs(f->file[0], certs, n);
    return read_file(f->file[0]);
}

struct cert_bytes ca_fixture_pem_of(const struct ca_fixture *f, const struct pki_cert *c)
{
    return ca_fixture_pem(f, &c, 1);
}

struct cert_bytes ca_fixture_key_of(const struct ca_fixture *f, const struct pki_cert *c,
                                    const char *passphrase)
{
    pki_write_key(f->file[0], c, passphrase);
    return read_file(f->file[0]);
}

void ca_fixture_free_opts(struct ca_opts *o)
{
    cert_bytes_fini(&o->certificate);
    cert_bytes_fini(&o->key);
    cert_bytes_fini(&o->chain);
    cert_bytes_fini(&o->roots);
}

/* An authority that is its own root. */
struct ca_opts ca_fixture_opts(const struct ca_fixture *f, const struct pki_cert *c)
{
    return (struct ca_opts){.certificate = ca_fixture_pem_of(f, c),
                            .key = ca_fixture_key_of(f, c, NULL)};
}

struct pki_cert ca_fixture_make(const struct pki_cert *issuer, struct pki_spec spec)
{
    spec.name = spec.name != NULL ? spec.name : "authority";
    spec.ca = true;
    spec.usage = spec.usage != NULL ? spec.usage : "critical,keyCertSign,cRLSign";
    spec.from_s = spec.from_s != 0 ? spec.from_s : -DAY_S;
    spec.to_s = spec.to_s != 0 ? spec.to_s : 300 * DAY_S;
    return pki_make(issuer, &spec);
}

/* Frees opts. */
struct ca *ca_fixture_load(struct ca_opts opts)
{
    struct cert_error err;
    struct ca *ca = NULL;

    if (ca_load(&opts, &ca, &err) != RC_OK) {
        fail_msg("refused: %s", err.text);
    }
    ca_fixture_free_opts(&opts);
    return ca;
}
