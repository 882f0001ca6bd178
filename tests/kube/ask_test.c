/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/kube/api_fixture.h"

/* Page by page: two objects, none, one, and in namespace "long" again and again. */
static void answer_page(const char *path, struct fake_api_link *l)
{
    const char *next = strstr(path, "&continue=");

    if (strstr(path, "v1beta1") == NULL) {
        fake_api_answer(l, 404, "", "404 page not found\n");
    } else if (next == NULL) {
        fake_api_answer(l, 200, "",
                        "{\"metadata\":{\"continue\":\"a/b+\"},\"items\":[{\"n\":1},{\"n\":2}]}");
    } else if (strcmp(next, "&continue=a%2Fb%2B") == 0) {
        fake_api_answer(l, 200, "", "{\"metadata\":{\"continue\":\"c\"},\"items\":null}");
    } else if (strcmp(next, "&continue=c") == 0) {
        fake_api_answer(l, 200, "", "{\"metadata\":{},\"items\":[{\"n\":3}]}");
    } else {
        fake_api_answer(l, 500, "", "{}");
    }
}

/* Always one more. */
static void answer_for_ever(struct fake_api_link *l)
{
    fake_api_answer(l, 200, "", "{\"metadata\":{\"continue\":\"x\"},\"items\":[{\"n\":1}]}");
}

/* Knows v1beta1 of Istio only, one group in it, and one account. */
static void on_request(void *arg, const struct fake_api_request *r, struct fake_api_link *l)
{
    const char *p = r->path;

    (void)arg;
    if (strcmp(p, "/apis/networking.istio.io/v1beta1/namespaces/vms/workloadgroups/web") == 0) {
        fake_api_answer(l, 200, "", "{\"kind\":\"WorkloadGroup\"}");
    } else if (strcmp(p, "/apis/networking.istio.io/v1beta1/workloadgroups?labelSelector=a%3Db") ==
               0) {
        fake_api_answer(l, 200, "", "{\"kind\":\"WorkloadGroupList\"}");
    } else if (strstr(p, "/namespaces/long/workloadentries?limit=250") != NULL) {
        answer_page(p, l);
    } else if (strstr(p, "v1beta1") != NULL) {
        fake_api_answer(l, 404, "", "{\"reason\":\"NotFound\",\"details\":{\"name\":\"x\"}}");
    } else if (strstr(p, "/namespaces/ever/services?") != NULL ||
               strcmp(p, "/api/v1/namespaces/expires/services?limit=250") == 0) {
        answer_for_ever(l);
    } else if (strstr(p, "/namespaces/expires/services?") != NULL) {
        fake_api_answer(l, 410, "", "{\"reason\":\"Expired\"}");
    } else if (strcmp(p, "/api/v1/namespaces/vms/serviceaccounts/web/token") == 0) {
        fake_api_answer(l, 201, "",
                        "{\"status\":{\"token\":\"a.b.c\",\"expirationTimestamp\":"
                        "\"2026-09-01T10:00:00Z\"}}");
    } else if (strcmp(p, "/api/v1/namespaces/vms/serviceaccounts/odd/token") == 0) {
        fake_api_answer(l, 201, "", "{\"status\":{\"token\":\"a b\"}}");
    } else if (strstr(p, "/token") != NULL) {
        fake_api_answer(l, 403, "", "{\"reason\":\"Forbidden\",\"message\":\"not you\"}");
    } else if (strstr(p, "selfsubjectaccessreviews") != NULL) {
        fake_api_answer(l, 201, "",
                        strstr(r->body, "secrets") != NULL ? "{\"status\":{\"allowed\":false}}"
                                                           : "{\"status\":{\"allowed\":true}}");
    } else {
        fake_api_answer(l, 404, "", "404 page not found\n");
    }
}

static int setup(void **state)
{
    *state = api_fixture_new(on_request);
    return 0;
}

static int teardown(void **state)
{
    api_fixture_free(*state);
    return 0;
}

static void test_get__server_knows_an_older_version__that_one(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(kube_ask_get(f->k, KUBE_WORKLOAD_GROUP, "vms", "web", NULL, &r), KUBE_OK);
    assert_string_equal(doc_text(r.body, "kind", NULL), "WorkloadGroup");
    kube_reply_fini(&r);
    assert_int_equal(kube_ask_get(f->k, KUBE_WORKLOAD_GROUP, NULL, NULL, "a=b", &r), KUBE_OK);
    assert_string_equal(doc_text(r.body, "kind", NULL), "WorkloadGroupList");
    kube_reply_fini(&r);
}

static void test_get__no_such_object__asked_no_further(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(kube_ask_get(f->k, KUBE_WORKLOAD_GROUP, "vms", "x", NULL, &r), KUBE_REFUSED);

    assert_int_equal(r.status, 404);
    assert_int_equal(fake_api_requests(f->api), 2);
    assert_non_null(strstr(r.error.text, "workloadgroups/x: 404 NotFound"));
    kube_reply_fini(&r);
}

static void test_get__no_version_at_all__says_so(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(kube_ask_get(f->k, KUBE_ENDPOINT_SLICE, "vms", NULL, NULL, &r), KUBE_REFUSED);

    assert_int_equal(r.status, 404);
    assert_non_null(strstr(r.error.text, " knows no endpointslices.discovery.k8s.io: is it"));
    kube_reply_fini(&r);
}

static void test_get__name_that_cannot_be__is_not_asked(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(kube_ask_get(f->k, KUBE_SECRET, "vms", "../x\n", NULL, &r), KUBE_INVALID);

    assert_int_equal(fake_api_requests(f->api), 0);
    assert_non_null(strstr(r.error.text, "\"vms/../x?\" cannot be in secrets"));
    kube_reply_fini(&r);
}

static void test_list__pages__one_list(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(kube_ask_list(f->k, KUBE_WORKLOAD_ENTRY, "long", 1000, &r), KUBE_OK);

    const json_t *items = doc_at(r.body, "items", NULL);
    assert_int_equal(json_array_size(items), 3);
    assert_int_equal(json_integer_value(doc_at(json_array_get(items, 2), "n", NULL)), 3);
    assert_true(kube_list_is_whole(r.body, 3));
    assert_false(kube_list_is_whole(r.body, 2));
    kube_reply_fini(&r);
    assert_int_equal(fake_api_requests(f->api), 4); /* the unknown version is asked for once */
}

static void test_list__more_than_wanted__says_so(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(kube_ask_list(f->k, KUBE_WORKLOAD_ENTRY, "long", 2, &r), KUBE_OK);
    assert_false(kube_list_is_whole(r.body, 2));
    kube_reply_fini(&r);

    assert_int_equal(kube_ask_list(f->k, KUBE_SERVICE, "ever", 1000, &r), KUBE_OK);
    assert_false(kube_list_is_whole(r.body, 1000));
    assert_int_equal(json_array_size(doc_at(r.body, "items", NULL)), 9);
    kube_reply_fini(&r);
}

static void test_list__a_later_page_fails__is_what_it_says(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(kube_ask_list(f->k, KUBE_SERVICE, "expires", 1000, &r), KUBE_REFUSED);

    assert_int_equal(r.status, 410);
    assert_non_null(strstr(r.error.text, "410"));
    assert_null(r.body);
}

static void test_token__of_an_account__token_and_end(void **state)
{
    static const char *const audiences[] = {"istio-ca", NULL};
    struct api_fixture *f = *state;
    struct kube_token t = {0};
    struct kube_error err = {""};

    assert_int_equal(kube_ask_token(f->k, "vms", "web", audiences, 3600, &t, &err), KUBE_OK);

    assert_string_equal(t.token, "a.b.c");
    assert_int_equal(t.expires, 1788256800);
    kube_token_fini(&t);
    assert_string_equal(fake_api_request(f->api, 1).method, "POST");
    assert_non_null(strstr(fake_api_request(f->api, 1).body, "\"audiences\":[\"istio-ca\"]"));
}

static void test_token__errors__one_line_each(void **state)
{
    static const char *const audiences[] = {"istio-ca", NULL};
    struct api_fixture *f = *state;
    struct kube_token t = {0};
    struct kube_error err = {""};

    assert_int_equal(kube_ask_token(f->k, "vms", "no", audiences, 3600, &t, &err), KUBE_REFUSED);
    assert_non_null(strstr(err.text, "/serviceaccounts/no/token: 403 Forbidden: not you"));
    assert_int_equal(kube_ask_token(f->k, "vms", "odd", audiences, 3600, &t, &err),
                     KUBE_BAD_ANSWER);
    assert_non_null(strstr(err.text, "sent something else"));
    assert_int_equal(kube_ask_token(f->k, "vms", "A", audiences, 3600, &t, &err), KUBE_INVALID);
    assert_non_null(strstr(err.text, "\"vms/A\" cannot be in serviceaccounts"));
    assert_int_equal(kube_ask_token(f->k, "vms", "web", audiences, 60, &t, &err), KUBE_INVALID);
    assert_non_null(strstr(err.text, "10 minutes"));
    assert_null(t.token);
}

static void test_right__yes_and_no(void **state)
{
    struct api_fixture *f = *state;
    struct kube_right right = {.verb = "get", .resource = "configmaps", .ns = "vms"};
    struct kube_error err = {""};
    bool allowed = false;

    assert_int_equal(kube_ask_right(f->k, &right, &allowed, &err), KUBE_OK);
    assert_true(allowed);
    right.resource = "secrets";
    assert_int_equal(kube_ask_right(f->k, &right, &allowed, &err), KUBE_OK);
    assert_false(allowed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_get__server_knows_an_older_version__that_one),
        TEST(test_get__no_such_object__asked_no_further),
        TEST(test_get__no_version_at_all__says_so),
        TEST(test_get__name_that_cannot_be__is_not_asked),
        TEST(test_list__pages__one_list),
        TEST(test_list__more_than_wanted__says_so),
        TEST(test_list__a_later_page_fails__is_what_it_says),
        TEST(test_token__of_an_account__token_and_end),
        TEST(test_token__errors__one_line_each),
        TEST(test_right__yes_and_no),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
