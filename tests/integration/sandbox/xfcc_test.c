/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/sandbox/istiod/xfcc.h"

#include <stdlib.h>
#include <string.h>

#include "tests/integration/sandbox/unit.h"

static void expect(const char *header, size_t n, const char *const *want)
{
    struct names ids = {0};

    assert_null(xfcc_parse(header, &ids));
    assert_int_equal(ids.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(ids.v[i], want[i]);
    }
    names_fini(&ids);
}

static void refuse(const char *header)
{
    struct names ids = {0};

    assert_non_null(xfcc_parse(header, &ids));
    assert_int_equal(ids.n, 0);
}

static void test_xfcc__one_uri__is_the_identity(void **state)
{
    (void)state;
    expect("URI=spiffe://td/ns/a/sa/b", 1, (const char *const[]){"spiffe://td/ns/a/sa/b"});
    expect("By=x;Hash=0f;URI=spiffe://td/ns/a/sa/b", 1,
           (const char *const[]){"spiffe://td/ns/a/sa/b"});
}

static void test_xfcc__two_elements__all_identities_of_both(void **state)
{
    (void)state;
    expect("URI=a;DNS=d,URI=b", 3, (const char *const[]){"a", "d", "b"});
    expect("DNS=d;URI=a", 2, (const char *const[]){"a", "d"});
}

static void test_xfcc__subject__gives_its_cn_or_an_empty_identity(void **state)
{
    (void)state;
    expect("Subject=\"CN=x,O=y\"", 1, (const char *const[]){"x"});
    expect("Subject=\"O=y\";URI=a", 2, (const char *const[]){"a", ""});
    refuse("Subject=\"CN=x,EMAIL=y\"");
    refuse("Subject=\"x\"");
}

static void test_xfcc__quotes_and_escapes__are_resolved(void **state)
{
    (void)state;
    expect("URI=\"a,b;c=d\"", 1, (const char *const[]){"a,b;c=d"});
    expect("URI=a\\,b\\;c\\=d", 1, (const char *const[]){"a,b;c=d"});
    expect("URI=\"a\\\"b\"", 1, (const char *const[]){"a\"b"});
}

static void test_xfcc__anything_odd__spoils_the_whole_header(void **state)
{
    (void)state;
    refuse("By=x; URI=a");
    refuse("uri=a");
    refuse("URI=a,Foo=b");
    refuse("");
    refuse("URI=a,");
    refuse("URI=a;");
    refuse("URI");
    refuse("URI=a=b");
    refuse("URI=\"a");
    refuse("URI=\"a\"b");
}

static void test_xfcc__cut_at_every_byte__never_gives_a_longer_identity(void **state)
{
    static const char full[] = "By=x;URI=\"spiffe://td/ns/a/sa/b\";DNS=d\\,e,Subject=\"CN=z\"";

    (void)state;
    for (size_t n = 0; n < sizeof(full); n++) {
        char *part = sbx_strndup(full, n);
        struct names ids = {0};

        if (xfcc_parse(part, &ids) == NULL) {
            for (size_t i = 0; i < ids.n; i++) {
                assert_true(strlen(ids.v[i]) <= strlen("spiffe://td/ns/a/sa/b"));
            }
        } else {
            assert_int_equal(ids.n, 0);
        }
        names_fini(&ids);
        free(part);
    }
}

static void test_xfcc__very_long_value__is_kept_whole(void **state)
{
    struct text header = {0};
    struct names ids = {0};

    (void)state;
    text_add(&header, "URI=");
    for (int i = 0; i < 100000; i++) {
        text_add(&header, "x");
    }
    assert_null(xfcc_parse(text_str(&header), &ids));
    assert_int_equal(strlen(ids.v[0]), 100000);
    names_fini(&ids);
    text_fini(&header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xfcc__one_uri__is_the_identity),
        cmocka_unit_test(test_xfcc__two_elements__all_identities_of_both),
        cmocka_unit_test(test_xfcc__subject__gives_its_cn_or_an_empty_identity),
        cmocka_unit_test(test_xfcc__quotes_and_escapes__are_resolved),
        cmocka_unit_test(test_xfcc__anything_odd__spoils_the_whole_header),
        cmocka_unit_test(test_xfcc__cut_at_every_byte__never_gives_a_longer_identity),
        cmocka_unit_test(test_xfcc__very_long_value__is_kept_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
