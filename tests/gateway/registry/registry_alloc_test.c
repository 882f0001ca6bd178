/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of a VM's life fails once, ours and jansson's: who is told hears RC_NO_MEMORY,
 * what is only shown is missing, and nothing is lost (the address sanitizer counts).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/log.h"
#include "gateway/registry/vm_json.h"
#include "tests/gateway/registry/registry_fixture.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

/* Allocations until one fails; 0: none will. */
static size_t countdown;

static bool fails(void)
{
    return countdown > 0 && --countdown == 0;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

static void on_end(void *arg, unsigned worker, uint64_t stream, enum end_reason why)
{
    (void)arg;
    (void)worker;
    (void)stream;
    (void)why;
}

/* The first error stays. */
static void note(enum rc *rc, enum rc more)
{
    if (*rc == RC_OK) {
        *rc = more;
    }
}

static void read_all(struct registry *r, enum rc *rc)
{
    char *body = NULL;
    size_t n = 0;

    note(rc, vm_json_list(r, 0, START_MS, &body, &n));
    free(body);
    body = NULL;
    enum rc found = vm_json_find(r, "vm1", START_MS, &body, &n);
    note(rc, found == RC_NOT_FOUND ? RC_OK : found);
    free(body);
}

/* What passes on a stream; nobody is told that something could not be kept. */
static void talk(struct fixture *f, struct guest *g)
{
    guest_admit(f, g);
    (void)guest_request(f, g, XDS_CDS, "", NULL);
    guest_push(f, g, XDS_CDS, "n1");
    (void)guest_request(f, g, XDS_CDS, "n1", "bad cluster");
    (void)guest_request(f, g, XDS_LDS, "", NULL);
    (void)guest_request(f, g, XDS_HEALTH, "", "bad health");
}

static void operate(struct registry *r, enum rc *rc)
{
    char why[REGISTRY_WHY_BYTES];

    enum rc held = registry_reregister(r, "vm1", 1, "me", START_MS, why);
    note(rc, held == RC_INVALID || held == RC_NOT_FOUND ? RC_OK : held);
    enum rc revoked = registry_revoke(r, "vm1", "me", START_MS, why);
    note(rc, revoked == RC_NOT_FOUND ? RC_OK : revoked);
    read_all(r, rc);
    revoked = registry_unrevoke(r, "vm1", "me", START_MS, why);
    note(rc, revoked == RC_NOT_FOUND ? RC_OK : revoked);
}

static enum rc live(struct fixture *f, struct guest *g)
{
    const struct registry_certificate next = certificate_of(2);
    struct registry_refusal refusal;
    enum rc rc = guest_enter(f, g, &refusal);

    if (rc != RC_OK) {
        return rc;
    }
    talk(f, g);
    registry_issued(f->r, g->claim.certificate.key, &next, START_MS);
    registry_refused(f->r, &g->claim, RULE_GROUP, "no", START_MS);
    read_all(f->r, &rc);
    operate(f->r, &rc);
    guest_leave(f, g, END_DOWN_CLOSED);
    return rc;
}

static enum rc run(struct guest *g)
{
    const struct registry_opts opts = {.forget_after_s = 1, .max_vms = 10};
    struct fixture f = {.now_ms = START_MS};
    enum rc rc = registry_new(&opts, on_end, &f, &f.r);

    if (rc == RC_OK) {
        rc = live(&f, g);
        registry_free(&f.r);
    }
    return rc;
}

static void test_registry__every_allocation_fails_once__nothing_is_lost(void **state)
{
    struct fixture f = {.guests = NULL};
    struct guest *g = guest_of(&f, "vm1", "192.168.7.11", 1);
    unsigned failures = 0;
    (void)state;

    for (size_t n = 1;; n++) {
        countdown = n;
        enum rc rc = run(g);
        bool all_passed = countdown > 0;
        countdown = 0;
        if (all_passed) {
            assert_int_equal(rc, RC_OK);
            break;
        }
        assert_true(rc == RC_OK || rc == RC_NO_MEMORY);
        failures += rc == RC_NO_MEMORY;
    }
    assert_true(failures > 100);
    guests_free(&f);
}

int main(void)
{
    const struct log_opts opts = {.level = LOG_ERROR};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry__every_allocation_fails_once__nothing_is_lost),
    };
    return log_setup(&opts) == RC_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
