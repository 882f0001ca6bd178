/* SPDX-License-Identifier: Apache-2.0 */
/* What `vm describe` says of a VM's refusals: what is over, and what is of another, is no advice.
 */
#include "gateway/cli/vm_advice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/cli/vm_refusal.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define BEFORE "2026-11-22T01:02:03.455Z"
#define SINCE "2026-11-22T01:02:03.456Z"
#define AFTER "2026-11-22T01:02:03.457Z"
#define NOW_MS INT64_C(1795309400000)

#define NOTHING "  Nothing stands out.\n"

struct row {
    const char *state;
    const char *since; /* NULL: it has no stream */
    const char *rule;
    const char *at;
    bool passed;
    enum vm_refusal refusal;
    const char *advice;
};

static const struct row rows[] = {
    {"connected", SINCE, NULL, NULL, false, VM_REFUSAL_NONE, NOTHING},
    {"connected", SINCE, "address", BEFORE, false, VM_REFUSAL_NONE, NOTHING},
    {"connected", SINCE, "held", BEFORE, false, VM_REFUSAL_NONE, NOTHING},
    {"connected", SINCE, "revoked", BEFORE, false, VM_REFUSAL_NONE, NOTHING},
    {"connected", SINCE, "address", BEFORE, true, VM_REFUSAL_NONE, NOTHING},
    {"connected", SINCE, "address", SINCE, true, VM_REFUSAL_REPORTED,
     "  Noticed by the rule `address`, which only reports: why\n"
     "      registration: {rules: {address: off}}   # of its listener, when that is as it should "
     "be\n"},
    {"connected", SINCE, "duplicate", AFTER, false, VM_REFUSAL_OTHER,
     "  While it is connected, another one that says it is this VM was refused by the rule "
     "`duplicate`: why\n"
     "      journalctl -u xdsgate | grep -w duplicate   # on the gateway: from where it came\n"},
    {"connected", SINCE, "type", AFTER, false, VM_REFUSAL_OTHER,
     "  While it is connected, a request of its was refused by the rule `type`: why\n"
     "      journalctl -u xdsgate | grep -w type   # on the gateway: from where it came\n"},
    {"refused", NULL, "address", AFTER, false, VM_REFUSAL_OWN,
     "  Refused by the rule `address`: why\n"
     "      registration: {rules: {address: report}}   # of its listener, to let it pass\n"},
    {"refused", NULL, "held", AFTER, false, VM_REFUSAL_OWN,
     "  It is to be registered anew, so it was sent away for a while: why\n"
     "      xdsgate vm list   # shows it connected when it has come\n"},
    {"refused", NULL, "revoked", AFTER, false, VM_REFUSAL_OWN,
     "  It was revoked and may come back; it has not tried since.\n"
     "      xdsgate vm list   # shows it connected when it has come\n"},
    {"revoked", NULL, "revoked", AFTER, false, VM_REFUSAL_OWN,
     "  An operator has revoked this VM. To let it come back:\n"
     "      xdsgate vm unrevoke 3133fe0f58c47e30\n"},
    {"revoked", NULL, NULL, NULL, false, VM_REFUSAL_NONE,
     "  An operator has revoked this VM. To let it come back:\n"
     "      xdsgate vm unrevoke 3133fe0f58c47e30\n"},
    {"disconnected", NULL, "address", BEFORE, true, VM_REFUSAL_NONE,
     "  It has no stream to istiod; the last one ended with `none`.\n"
     "      systemctl status istio; xdsgate doctor   # on the VM\n"},
};

static json_t *vm_of(const struct row *row)
{
    json_t *refused = row->rule == NULL
                          ? json_null()
                          : json_pack("{s:s, s:s, s:s, s:b}", "rule", row->rule, "detail", "why",
                                      "at", row->at, "passed", row->passed);
    json_t *vm = json_pack("{s:s, s:s, s:s?, s:o}", "id", "3133fe0f58c47e30", "state", row->state,
                           "connected_since", row->since, "refused", refused);

    assert_non_null(vm);
    return vm;
}

static void test_vm_refusal__any__means_something_while_it_is_not_over(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        json_t *vm = vm_of(&rows[i]);
        assert_int_equal(vm_refusal_of(vm), rows[i].refusal);
        json_decref(vm);
    }
}

static void test_vm_advice__refusals__what_helps_now(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char *text = NULL;
        size_t size = 0;
        json_t *vm = vm_of(&rows[i]);
        FILE *out = open_memstream(&text, &size);
        vm_advice_write(vm, NOW_MS, out);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text, rows[i].advice);
        free(text);
        json_decref(vm);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vm_refusal__any__means_something_while_it_is_not_over),
        cmocka_unit_test(test_vm_advice__refusals__what_helps_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
