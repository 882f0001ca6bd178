/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation fails once: what is shown is right, or nothing is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/vmconfig/config_fixture.h"
#include "tests/support/countdown_malloc.h"

/* Made before any allocation fails. */
struct script {
    struct pb_out responses[2];
    struct pb_out requests[4];
    struct xds_request read[4];
};

static void make_request(struct script *s, size_t i, const char *nonce, const char *initial,
                         const char *gone)
{
    struct pb_out *o = &s->requests[i];
    struct pb_out entry = {0};

    pb_text(o, 2, xds_type_url(XDS_EDS));
    if (gone[0] != '\0') {
        pb_text(o, 4, gone);
    }
    if (initial[0] != '\0') {
        pb_text(&entry, 1, initial);
        pb_message(o, 5, &entry);
    }
    pb_text(o, 6, nonce);
    const struct xds_piece piece = {o->data, o->n};
    assert_int_equal(xds_request_read(XDS_DELTA, &piece, 1, &s->read[i]), RC_OK);
}

static void make_script(struct script *s)
{
    *s = (struct script){.read = {{.type = XDS_EDS}}};
    config_response(&s->responses[0], XDS_DELTA, XDS_EDS, "v1", "1", "a=1 c=2");
    config_response(&s->responses[1], XDS_DELTA, XDS_EDS, "v2", "2", "b=2");
    make_request(s, 0, "", "a", "");
    make_request(s, 1, "1", "", "");
    make_request(s, 2, "2", "", "");
    make_request(s, 3, "", "", "c");
}

static void respond(struct config_fixture *f, const struct script *s, size_t i)
{
    const struct pb_out *o = &s->responses[i];
    const struct xds_response r = {.type = XDS_EDS, .nonce = i == 0 ? "1" : "2", .url = ""};
    struct config_push *push = NULL;
    enum config_loss why = CONFIG_LOSS_FULL;

    struct config_intake *in = config_intake_new(f->s, XDS_DELTA, (uint32_t)o->n);
    if (in == NULL) {
        vm_config_lose(f->c, XDS_EDS, CONFIG_LOSS_FULL);
        return;
    }
    config_intake_feed(in, o->data, o->n);
    if (config_intake_end(&in, &r, &push, &why) == CONFIG_TAKEN) {
        vm_config_push(f->c, &push);
    } else {
        vm_config_lose(f->c, XDS_EDS, why);
    }
}

static void request(struct config_fixture *f, const struct script *s, size_t i)
{
    const struct vm_config_request q = {
        .variant = XDS_DELTA, .request = &s->read[i], s->requests[i].data, s->requests[i].n};

    vm_config_request(f->c, &q, ++f->now_ms);
}

/* Both streams, and what is then shown. */
static enum rc live(struct config_fixture *f, const struct script *s)
{
    struct vm_config_view v;

    request(f, s, 0);
    respond(f, s, 0);
    request(f, s, 1);
    respond(f, s, 1);
    request(f, s, 2);
    bool change_lost = config_view(f, &v, XDS_EDS)->change_lost;
    vm_config_view_fini(&v);
    request(f, s, 3);
    const struct vm_config_type_view *t = config_view(f, &v, XDS_EDS);
    bool all = t->state == VM_CONFIG_KEPT && !t->change_lost && !change_lost;
    bool kept = t->state == VM_CONFIG_KEPT;
    vm_config_view_fini(&v);
    if (kept) {
        assert_string_equal(config_shown(f, XDS_EDS), "a=1 b=2");
    }
    if (all) {
        assert_string_equal(config_changed(f, XDS_EDS), "-c=2");
    }
    return all ? RC_OK : RC_NO_MEMORY;
}

static enum rc run(void *arg)
{
    struct config_fixture f = {.variant = XDS_DELTA};
    enum rc rc = config_store_new(&f.s);

    if (rc == RC_OK) {
        rc = config_store_set_budget(f.s, CONFIG_BUDGET);
    }
    if (rc == RC_OK) {
        f.c = vm_config_new(f.s, true);
        rc = f.c != NULL ? live(&f, arg) : RC_NO_MEMORY;
        vm_config_free(&f.c);
    }
    if (f.s != NULL) {
        assert_int_equal(config_store_set_budget(f.s, 0), RC_OK);
    }
    config_store_free(&f.s);
    return rc;
}

static void test_vm_config__every_allocation_fails__right_or_not_shown(void **state)
{
    static struct script s;
    (void)state;

    make_script(&s);
    assert_in_range(countdown_fail_each(run, &s, RC_OK), 20, 200);
    for (size_t i = 0; i < 4; i++) {
        free(s.read[i].node);
        pb_free(&s.requests[i]);
    }
    pb_free(&s.responses[0]);
    pb_free(&s.responses[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vm_config__every_allocation_fails__right_or_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
