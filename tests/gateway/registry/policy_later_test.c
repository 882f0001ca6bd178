/* SPDX-License-Identifier: Apache-2.0 */
/* Several rules at a time, values that are meant to do harm, later requests, the rules' names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/registry/policy_fixture.h"

static char *web[] = {"web", NULL};
static char *types[] = {"type.googleapis.com/example.v1.Thing", NULL};
static struct policy_label app_is_web[] = {{"app", web}};
static struct policy_allow strict[] = {{.identity = "ns/vms/sa/web",
                                        .groups = web,
                                        .networks = web,
                                        .labels = app_is_web,
                                        .n_labels = 1}};
static struct policy_allow nobody[] = {{.identity = "ns/other/sa/web"}};

static const struct registration_opts defaults;
static const struct registration_opts groups = {.allow = strict, .n_allow = 1};
static const struct registration_opts no_entry = {.allow = nobody, .n_allow = 1};
static const struct registration_opts more_types = {.extra_types = types};

/* ---- several rules ---- */

static void test_policy__many_broken__found_in_order(void **state)
{
    const struct row row = {
        .set = {{XDS_NODE_ID, "router~10.0.0.1~a.b~c.d"},
                {XDS_NODE_SERVICE_ACCOUNT, "db"},
                {XDS_NODE_GROUP, "db"},
                {XDS_NODE_GENERATOR, "api"}},
        .labels = "app=db",
        .n_labels = 1,
        .odd_node = true,
        .nack = true,
        .opts = &groups,
    };
    static const enum rule order[] = {
        RULE_READABLE, RULE_SIDECAR, RULE_NAMESPACE, RULE_SERVICE_ACCOUNT,
        RULE_ADDRESS,  RULE_GROUP,   RULE_NETWORK,   RULE_LABELS,
        RULE_TYPE,     RULE_NACK,    NOTHING};
    struct made m;
    struct policy_verdict v;
    (void)state;
    claim_make(&row, &m);
    enum rule from = 0;
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        assert_int_equal(claim_find(&m, from, &v), order[i]);
        from = order[i] + 1;
    }
    for (size_t i = 0; i < RULES_OF_POLICY; i++) {
        m.opts.actions[i] = i == RULE_ADDRESS ? POLICY_ENFORCE : POLICY_OFF;
    }
    assert_int_equal(claim_find(&m, 0, &v), RULE_ADDRESS);
    assert_int_equal(v.fate, POLICY_END);
}

/* ---- nasty values ---- */

/* Every text of the node: `value` with all bytes but NUL, long and short. */
static void judge_nasty(const char *value)
{
    static const struct registration_opts *const all[] = {&defaults, &groups, &no_entry,
                                                          &more_types};
    char label[600];
    (void)snprintf(label, sizeof(label), "app=%s", value);
    for (size_t o = 0; o < COUNT_OF(all); o++) {
        for (size_t which = 0; which < XDS_NODE_TEXTS; which++) {
            const struct row row = {.set = {{(enum xds_node_text)which, value}},
                                    .labels = label,
                                    .n_labels = 1,
                                    .url = value,
                                    .type = XDS_OTHER,
                                    .opts = all[o]};
            struct made m;
            struct policy_verdict v;
            claim_make(&row, &m);
            size_t found = 0;
            for (enum rule r = 0; (r = claim_find(&m, r, &v)) != NOTHING; r++) {
                found++;
            }
            assert_true(found > 0);
        }
    }
}

static void test_policy__nasty_values__details_stay_plain(void **state)
{
    static const char *const values[] = {
        "\x1b[2J\x1b]0;owned\a",
        "a\r\nb\tc\x7f",
        "<script>alert(1)</script>",
        "\xff\xfe\xc0\x80\xed\xa0\x80\xf5",
        "\xe2\x80\xae\xe2\x80\xa8",
        "\"\\\"\\",
        "%s%n%d",
        "~~~~",
        "sidecar~\x01~\x02.\x03~\x04.\x05",
    };
    char every[256];
    char longest[XDS_NODE_ID_BYTES];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        judge_nasty(values[i]);
    }
    for (size_t i = 0; i < 255; i++) {
        every[i] = (char)(i + 1);
    }
    every[255] = '\0';
    judge_nasty(every);
    memset(longest, 0xf0, sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    judge_nasty(longest);
    memset(longest, 'x', sizeof(longest) - 1);
    judge_nasty(longest);
}

static void test_policy__foreign_text__shown_escaped_and_cut(void **state)
{
    static const struct row rows[] = {
        {"escaped", RULE_SERVICE_ACCOUNT, "account \"a\\x1b\\x22\\x5c\\xff<\", its",
         .set = {{XDS_NODE_SERVICE_ACCOUNT, "a\x1b\"\\\xff<"}}},
        {"as long as a namespace", RULE_NAMESPACE,
         "\"123456789012345678901234567890123456789012345678901234567890123\", its",
         .set = {{XDS_NODE_NAMESPACE,
                  "123456789012345678901234567890123456789012345678901234567890123"}}},
        {"longer", RULE_NAMESPACE,
         "\"123456789012345678901234567890123456789012345678901234567890123456789012\"..., its",
         .set = {{XDS_NODE_NAMESPACE,
                  "1234567890123456789012345678901234567890123456789012345678901234567890123"}}},
    };
    (void)state;
    TRY_ROWS(rows);
}

/* ---- later requests ---- */

struct later {
    const char *what;
    enum rule broken;
    enum xds_type type;
    const char *url;
    bool odd;
    bool nack;
    bool asked;
    bool no_request;
    enum policy_fate fate;
};

static void try_later(const struct later *row)
{
    struct xds_node node = {.odd = false};
    struct xds_request q = {.type = row->type, .odd = row->odd, .has_error = row->nack};
    struct registration_opts opts = more_types;
    struct policy_verdict v = {.rule = NOTHING};
    const struct xds_request *request = row->no_request ? NULL : &q;
    (void)snprintf(q.url, sizeof(q.url), "%s", row->url != NULL ? row->url : CDS_URL);
    for (size_t i = 0; i < XDS_NODE_TEXTS; i++) {
        node.text[i] = "api";
    }
    q.node = &node;
    bool broken = policy_judge_later(&opts, request, "it is malformed", row->asked, 0, &v);
    if (v.rule != row->broken) {
        print_error("%s: %s\n", row->what, v.detail);
    }
    assert_int_equal(broken, row->broken != NOTHING);
    assert_int_equal(v.rule, row->broken);
    if (!broken) {
        return;
    }
    assert_detail(v.detail);
    assert_int_equal(v.fate, row->fate);
    opts.actions[row->broken] = POLICY_REPORT;
    assert_true(policy_judge_later(&opts, request, "it is malformed", row->asked, 0, &v));
    assert_int_equal(v.rule, row->broken);
    assert_int_equal(v.fate, POLICY_PASS);
    enum rule next = row->broken + 1;
    assert_false(policy_judge_later(&opts, request, "it is malformed", row->asked, next, &v));
    opts.actions[row->broken] = POLICY_OFF;
    assert_false(policy_judge_later(&opts, request, "it is malformed", row->asked, 0, &v));
}

static void test_policy__later_requests__dropped_or_ended(void **state)
{
    static const struct later rows[] = {
        {"an ACK", NOTHING, .asked = true},
        {"a subscription", NOTHING, .asked = false},
        {"a NACK", NOTHING, .nack = true, .asked = true},
        {"health", NOTHING, .type = XDS_HEALTH},
        {"bad health", NOTHING, .type = XDS_HEALTH, .nack = true},
        {"an extra type", NOTHING, .type = XDS_OTHER,
         .url = "type.googleapis.com/example.v1.Thing"},
        {"a NACK out of the blue", RULE_NACK, .nack = true, .fate = POLICY_DROP},
        {"a NACK of an extra type", RULE_NACK, .nack = true, .type = XDS_OTHER,
         .url = "type.googleapis.com/example.v1.Thing", .fate = POLICY_DROP},
        {"debug", RULE_TYPE, .type = XDS_OTHER, .url = "istio.io/debug/config_dump",
         .fate = POLICY_DROP},
        {"debug, asked before", RULE_TYPE, .type = XDS_OTHER, .url = "istio.io/debug/config_dump",
         .asked = true, .fate = POLICY_DROP},
        {"odd", RULE_READABLE, .odd = true, .asked = true, .fate = POLICY_END},
        {"unread", RULE_READABLE, .no_request = true, .fate = POLICY_END},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        try_later(&rows[i]);
    }
}

static void test_policy__later_unread__says_why(void **state)
{
    struct policy_verdict v;
    (void)state;
    assert_true(policy_judge_later(&defaults, NULL, "it is compressed", true, 0, &v));
    assert_non_null(strstr(v.detail, "it is compressed"));
}

/* ---- names ---- */

static void test_rule__labels__are_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < RULES; i++) {
        const char *label = rule_label((enum rule)i);
        assert_int_equal(strspn(label, "abcdefghijklmnopqrstuvwxyz_"), strlen(label));
        assert_true(strlen(rule_text((enum rule)i)) > 10);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(label, rule_label((enum rule)k));
        }
    }
    assert_string_equal(rule_label(RULE_SERVICE_ACCOUNT), "service_account");
    assert_int_equal(RULES_OF_POLICY, RULE_NACK + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy__many_broken__found_in_order),
        cmocka_unit_test(test_policy__nasty_values__details_stay_plain),
        cmocka_unit_test(test_policy__foreign_text__shown_escaped_and_cut),
        cmocka_unit_test(test_policy__later_requests__dropped_or_ended),
        cmocka_unit_test(test_policy__later_unread__says_why),
        cmocka_unit_test(test_rule__labels__are_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
