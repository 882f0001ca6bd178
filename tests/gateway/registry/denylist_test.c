/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/denylist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define WEB "spiffe://cluster.local/ns/vms/sa/web"
#define DB "spiffe://cluster.local/ns/vms/sa/db"

static const uint8_t key_a[DENYLIST_KEY_BYTES] = {0xaa, 1};
static const uint8_t key_b[DENYLIST_KEY_BYTES] = {0xbb, 2};
static const uint8_t key_c[DENYLIST_KEY_BYTES] = {0xcc, 3};

struct fixture {
    char dir[64];
    char path[128];
    struct denylist *list;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    snprintf(f->dir, sizeof(f->dir), "/tmp/denylist_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/deny.json", f->dir);
    assert_int_equal(denylist_new(&f->list), RC_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    denylist_free(&f->list);
    unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0); /* nothing else is left in it */
    free(f);
    return 0;
}

static void write_file(const struct fixture *f, const char *text, size_t n)
{
    FILE *out = fopen(f->path, "we");

    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static size_t read_file(const struct fixture *f, char *buf, size_t size)
{
    FILE *in = fopen(f->path, "re");

    assert_non_null(in);
    size_t n = fread(buf, 1, size - 1, in);
    fclose(in);
    buf[n] = '\0';
    return n;
}

static enum rc add(struct denylist *d, uint64_t id, const char *name, const char *identity,
                   const uint8_t *key, char *why)
{
    const struct denial v = {.id = id,
                             .name = name,
                             .identity = identity,
                             .by = "uid 0",
                             .at = "2026-11-22T01:02:03.456Z",
                             .keys = key,
                             .n_keys = key != NULL};

    return denylist_add(d, &v, why);
}

static void must_add(struct denylist *d, uint64_t id, const char *name, const char *identity,
                     const uint8_t *key)
{
    char why[DENYLIST_WHY_BYTES] = "";

    assert_int_equal(add(d, id, name, identity, key, why), RC_OK);
    assert_string_equal(why, "");
}

static void must_use(struct denylist *d, const char *path)
{
    char why[DENYLIST_WHY_BYTES] = "";

    assert_int_equal(denylist_use(d, path, why), RC_OK);
    assert_string_equal(why, "");
}

/* ---- in memory ---- */

static void test_denylist__revoked__is_known_by_name_and_by_key(void **state)
{
    struct denylist *d = ((struct fixture *)*state)->list;

    assert_false(denylist_has(d, WEB, "vm1.vms", key_a));

    must_add(d, 1, "vm1.vms", WEB, key_a);

    assert_true(denylist_has(d, WEB, "vm1.vms", NULL));
    assert_true(denylist_has(d, WEB, "vm1.vms", key_b));
    assert_true(denylist_has(d, DB, "other.vms", key_a));
    assert_true(denylist_has_key(d, key_a));
    assert_false(denylist_has_key(d, key_b));
    assert_false(denylist_has(d, WEB, "vm2.vms", key_b));
    assert_false(denylist_has(d, DB, "vm1.vms", key_b));
    assert_false(denylist_has(d, "", "vm1.vms", NULL));
}

static void test_denylist__revoked_twice__is_one_with_both_keys(void **state)
{
    struct denylist *d = ((struct fixture *)*state)->list;

    must_add(d, 1, "vm1.vms", WEB, key_a);
    must_add(d, 1, "vm1.vms", WEB, key_b);

    assert_int_equal(denylist_count(d), 1);
    assert_true(denylist_has_key(d, key_a));
    assert_true(denylist_has_key(d, key_b));
}

static void test_denylist__key_of_a_revoked_one_gets_an_heir__heir_is_revoked(void **state)
{
    struct denylist *d = ((struct fixture *)*state)->list;

    must_add(d, 1, "vm1.vms", WEB, key_a);
    denylist_learn(d, key_a, "", "", key_b);
    denylist_learn(d, NULL, WEB, "vm1.vms", key_c);

    assert_true(denylist_has_key(d, key_b));
    assert_true(denylist_has_key(d, key_c));
}

static void test_denylist__key_of_others_gets_an_heir__nothing_is_learned(void **state)
{
    struct denylist *d = ((struct fixture *)*state)->list;

    must_add(d, 1, "vm1.vms", WEB, key_a);
    denylist_learn(d, key_b, WEB, "vm1.vms", key_c);
    denylist_learn(d, NULL, WEB, "vm2.vms", key_c);

    assert_false(denylist_has_key(d, key_c));
}

static void test_denylist__more_keys_than_are_kept__newest_stay(void **state)
{
    struct denylist *d = ((struct fixture *)*state)->list;
    uint8_t key[DENYLIST_KEY_BYTES] = {0};

    must_add(d, 1, "vm1.vms", WEB, key_a);
    for (uint8_t i = 1; i <= DENYLIST_KEYS_MAX; i++) {
        key[5] = i;
        denylist_learn(d, NULL, WEB, "vm1.vms", key);
    }

    assert_false(denylist_has_key(d, key_a));
    for (uint8_t i = 1; i <= DENYLIST_KEYS_MAX; i++) {
        key[5] = i;
        assert_true(denylist_has_key(d, key));
    }
}

static void test_denylist__as_many_as_are_kept__one_more_is_an_error(void **state)
{
    struct denylist *d = ((struct fixture *)*state)->list;
    char why[DENYLIST_WHY_BYTES] = "";
    char name[32];

    for (unsigned i = 0; i < DENYLIST_MAX; i++) {
        snprintf(name, sizeof(name), "vm%u.vms", i);
        must_add(d, i, name, WEB, NULL);
    }

    assert_int_equal(add(d, 1, "one-more.vms", WEB, NULL, why), RC_FULL);
    assert_string_equal(why, "4096 VMs are revoked already");
    must_add(d, 0, "vm0.vms", WEB, key_a);
}

/* ---- taking off ---- */

static void note_name(void *arg, const struct denial *v)
{
    snprintf(arg, 64, "%s %s", v->name, v->identity);
}

static void test_denylist_remove__by_what_people_write__takes_that_one_off(void **state)
{
    struct denylist *d = ((struct fixture *)*state)->list;
    const char *asked[] = {"vm1.vms", "vm1", "00000000000000ab"};
    char why[DENYLIST_WHY_BYTES];

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        char name[64] = "";
        must_add(d, 0xab, "vm1.vms", WEB, key_a);
        must_add(d, 0xcd, "vm2.vms", WEB, key_b);

        assert_int_equal(denylist_remove(d, asked[i], note_name, name, why), RC_OK);

        assert_string_equal(name, "vm1.vms " WEB);
        assert_false(denylist_has(d, WEB, "vm1.vms", key_a));
        assert_true(denylist_has(d, WEB, "vm2.vms", NULL));
    }
}

static void test_denylist_remove__several_are_meant__are_listed_and_stay(void **state)
{
    struct denylist *d = ((struct fixture *)*state)->list;
    char why[DENYLIST_WHY_BYTES];
    char name[64] = "";

    must_add(d, 0xab, "vm1.vms", WEB, NULL);
    must_add(d, 0xcd, "vm1.prod", WEB, NULL);

    assert_int_equal(denylist_remove(d, "vm1", note_name, name, why), RC_BUSY);

    assert_string_equal(why, "several are revoked: vm1.vms (id 00000000000000ab) vm1.prod (id "
                             "00000000000000cd)");
    assert_string_equal(name, "");
    assert_int_equal(denylist_count(d), 2);
}

static void test_denylist_remove__nobody_is_meant__is_not_found(void **state)
{
    struct denylist *d = ((struct fixture *)*state)->list;
    const char *asked[] = {"", "vm", "vm1.", ".vms", "vms", "VM1", "vm1.vms.", "00000000000000AB"};
    char why[DENYLIST_WHY_BYTES];
    char name[64] = "";

    must_add(d, 0xab, "vm1.vms", WEB, NULL);

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        assert_int_equal(denylist_remove(d, asked[i], note_name, name, why), RC_NOT_FOUND);
    }
}

/* ---- the file ---- */

static const char content[] =
    "{\"version\":1,\"revoked\":[{\"id\":\"00000000000000ab\",\"name\":\"vm1.vms\",\"identity\":"
    "\"" WEB "\",\"by\":\"uid 0\",\"at\":\"2026-11-22T01:02:03.456Z\",\"keys\":["
    "\"aa01000000000000000000000000000000000000000000000000000000000000\"]}]}";

static void test_denylist__file__has_all_and_is_read_again(void **state)
{
    struct fixture *f = *state;
    struct denylist *again = NULL;
    struct stat st;
    char text[1024];

    must_use(f->list, f->path);
    assert_int_equal(stat(f->path, &st), -1);

    must_add(f->list, 0xab, "vm1.vms", WEB, key_a);

    assert_int_equal(read_file(f, text, sizeof(text)), sizeof(content) - 1);
    assert_string_equal(text, content);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(denylist_new(&again), RC_OK);
    must_use(again, f->path);
    assert_true(denylist_has(again, WEB, "vm1.vms", NULL));
    assert_true(denylist_has_key(again, key_a));
    denylist_free(&again);
}

static void test_denylist__file_cut_anywhere__is_an_error_and_nothing_changes(void **state)
{
    struct fixture *f = *state;
    char why[DENYLIST_WHY_BYTES];

    must_add(f->list, 0xcd, "vm2.vms", WEB, key_b);
    for (size_t n = 0; n < sizeof(content) - 1; n++) {
        write_file(f, content, n);
        assert_int_equal(denylist_use(f->list, f->path, why), RC_INVALID);
        assert_int_equal(denylist_count(f->list), 1);
        assert_true(denylist_has_key(f->list, key_b));
    }
}

#define ROW(fields) "{\"version\":1,\"revoked\":[{" fields "}]}"
#define REST "\"name\":\"v\",\"identity\":\"\",\"by\":\"\",\"at\":\"\""

static void test_denylist__files_that_are_not_understood__say_what_is_wrong(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        const char *why;
    } rows[] = {
        {"{", "1:1: the JSON text ends too early"},
        {"[]", "version: this xdsgate reads version 1 only"},
        {"{\"version\":2,\"revoked\":[],\"new\":1}", "version: this xdsgate reads version 1 only"},
        {"{\"version\":\"1\",\"revoked\":[]}", "version: this xdsgate reads version 1 only"},
        {"{\"version\":1}", "revoked: a list is wanted"},
        {"{\"version\":1,\"revoked\":{}}", "revoked: a list is wanted"},
        {"{\"version\":1,\"revoked\":[],\"x\":0}", "x: unknown key"},
        {"{\"version\":1,\"version\":1,\"revoked\":[]}",
         "1:22: this key is already in the same object"},
        {"{\"version\":1,\"revoked\":[1]}", "revoked[0]: a mapping is wanted"},
        {ROW("\"x\":1"), "revoked[0].x: unknown key"},
        {ROW("\"id\":\"1\""), "revoked[0].name: a string of at most 1024 bytes is wanted"},
        {ROW("\"id\":\"1\",\"keys\":[]," REST), "revoked[0].id: 16 hexadecimal digits are wanted"},
        {ROW("\"id\":\"00000000000000AB\",\"keys\":[]," REST),
         "revoked[0].id: 16 hexadecimal digits are wanted"},
        {ROW("\"id\":\"00000000000000ab\"," REST),
         "revoked[0].keys: a list of at most 8 is wanted"},
        {ROW("\"id\":\"00000000000000ab\",\"keys\":[1,2,3,4,5,6,7,8,9]," REST),
         "revoked[0].keys: a list of at most 8 is wanted"},
        {ROW("\"id\":\"00000000000000ab\",\"keys\":[\"ab\"]," REST),
         "revoked[0].keys[0]: 64 hexadecimal digits are wanted"},
        {ROW("\"id\":\"00000000000000ab\",\"keys\":[\""
             "aa0100000000000000000000000000000000000000000000000000000000000x\"]," REST),
         "revoked[0].keys[0]: 64 hexadecimal digits are wanted"},
        {ROW("\"id\":\"00000000000000ab\",\"keys\":[],\"name\":\"\",\"identity\":\"\",\"by\":\"\","
             "\"at\":\"\""),
         "revoked[0].name: must not be empty"},
        {ROW("\"id\":\"00000000000000ab\",\"keys\":[],\"name\":\"a\\u0000b\",\"identity\":\"\","
             "\"by\":\"\",\"at\":\"\""),
         "revoked[0].name: a string of at most 1024 bytes is wanted"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char why[DENYLIST_WHY_BYTES] = "";
        char expected[DENYLIST_WHY_BYTES];

        write_file(f, rows[i].text, strlen(rows[i].text));
        snprintf(expected, sizeof(expected), "%s: %s", f->path, rows[i].why);
        assert_int_equal(denylist_use(f->list, f->path, why), RC_INVALID);
        assert_string_equal(why, expected);
        assert_int_equal(denylist_count(f->list), 0);
    }
}

static void test_denylist_try__file_or_folder__is_told_apart(void **state)
{
    struct fixture *f = *state;
    char why[DENYLIST_WHY_BYTES] = "";
    char path[192];
    struct stat st;

    assert_int_equal(denylist_try(f->path, why), RC_OK);
    assert_int_equal(stat(f->path, &st), -1); /* nothing was made */
    write_file(f, content, sizeof(content) - 1);
    assert_int_equal(denylist_try(f->path, why), RC_OK);
    assert_string_equal(why, "");

    write_file(f, content, sizeof(content) / 2);
    assert_int_equal(denylist_try(f->path, why), RC_INVALID);
    assert_ptr_equal(strstr(why, f->path), why);
    assert_int_equal(denylist_try(f->dir, why), RC_INVALID);
    assert_non_null(strstr(why, "it is not a regular file"));
    (void)snprintf(path, sizeof(path), "%s/none/deny.json", f->dir);
    assert_int_equal(denylist_try(path, why), RC_INVALID);
    assert_non_null(strstr(why, "its folder must be there and writable: No such file"));
    (void)snprintf(path, sizeof(path), "%s/deny.json", f->path);
    assert_int_equal(denylist_try(path, why), RC_INVALID);
    assert_non_null(strstr(why, "Not a directory"));
}

static void test_denylist_use__another_file__both_are_in_force(void **state)
{
    struct fixture *f = *state;
    char text[2048];

    must_add(f->list, 0xcd, "vm2.vms", WEB, key_b);
    write_file(f, content, sizeof(content) - 1);
    must_use(f->list, f->path);

    assert_true(denylist_has_key(f->list, key_a));
    assert_true(denylist_has_key(f->list, key_b));
    assert_false(denylist_look(f->list)); /* writes */
    (void)read_file(f, text, sizeof(text));
    assert_non_null(strstr(text, "vm1.vms"));
    assert_non_null(strstr(text, "vm2.vms"));

    must_use(f->list, NULL);
    must_add(f->list, 0xef, "vm3.vms", WEB, NULL);
    (void)read_file(f, text, sizeof(text));
    assert_null(strstr(text, "vm3.vms"));
}

/* ---- others who change the file ---- */

static void test_denylist_look__another_process_changes_the_file__is_heard(void **state)
{
    struct fixture *f = *state;
    struct denylist *other = NULL;
    char why[DENYLIST_WHY_BYTES];
    char name[64];

    assert_int_equal(denylist_new(&other), RC_OK);
    must_use(f->list, f->path);
    must_use(other, f->path);

    must_add(other, 0xab, "vm1.vms", WEB, key_a);
    assert_false(denylist_has_key(f->list, key_a));
    assert_true(denylist_look(f->list));
    assert_true(denylist_has_key(f->list, key_a));
    assert_false(denylist_look(f->list));

    assert_int_equal(denylist_remove(other, "vm1", note_name, name, why), RC_OK);
    assert_true(denylist_look(f->list));
    assert_false(denylist_has_key(f->list, key_a));
    denylist_free(&other);
}

static void test_denylist_add__another_process_has_added_one__both_stay(void **state)
{
    struct fixture *f = *state;
    struct denylist *other = NULL;

    assert_int_equal(denylist_new(&other), RC_OK);
    must_use(f->list, f->path);
    must_use(other, f->path);
    must_add(other, 0xab, "vm1.vms", WEB, key_a);

    must_add(f->list, 0xcd, "vm2.vms", WEB, key_b);

    assert_int_equal(denylist_count(f->list), 2);
    (void)denylist_look(other);
    assert_int_equal(denylist_count(other), 2);
    denylist_free(&other);
}

static void test_denylist_look__learned_keys__reach_the_file_and_stay_over_a_change(void **state)
{
    struct fixture *f = *state;
    struct denylist *other = NULL;

    assert_int_equal(denylist_new(&other), RC_OK);
    must_use(f->list, f->path);
    must_add(f->list, 0xab, "vm1.vms", WEB, key_a);
    must_use(other, f->path);
    must_add(other, 0xcd, "vm2.vms", WEB, key_b);

    denylist_learn(f->list, key_a, "", "", key_c); /* before it has heard of the change */
    assert_true(denylist_look(f->list));
    assert_true(denylist_has_key(f->list, key_c));

    assert_true(denylist_look(other));
    assert_true(denylist_has_key(other, key_c));
    denylist_free(&other);
}

static void test_denylist_look__file_is_broken__what_was_in_force_stays(void **state)
{
    struct fixture *f = *state;
    char why[DENYLIST_WHY_BYTES] = "";

    must_use(f->list, f->path);
    must_add(f->list, 0xab, "vm1.vms", WEB, key_a);
    write_file(f, "oops", 4);

    assert_false(denylist_look(f->list));

    assert_true(denylist_has_key(f->list, key_a));
    assert_int_equal(add(f->list, 0xcd, "vm2.vms", WEB, key_b, why), RC_INVALID); /* as it is */
    write_file(f, "again", 5);
    assert_int_equal(add(f->list, 0xcd, "vm2.vms", WEB, key_b, why), RC_INVALID);
    assert_non_null(strstr(why, "this is not JSON"));
    assert_false(denylist_has_key(f->list, key_b));
}

static void test_denylist_look__file_is_removed__is_written_again(void **state)
{
    struct fixture *f = *state;
    char text[1024];

    must_use(f->list, f->path);
    must_add(f->list, 0xab, "vm1.vms", WEB, key_a);
    assert_int_equal(unlink(f->path), 0);

    assert_false(denylist_look(f->list));

    assert_true(denylist_has_key(f->list, key_a));
    (void)read_file(f, text, sizeof(text));
    assert_string_equal(text, content);
}

static void test_denylist_add__file_cannot_be_written__in_force_and_written_later(void **state)
{
    struct fixture *f = *state;
    char why[DENYLIST_WHY_BYTES] = "";
    char text[1024];

    must_use(f->list, f->path);
    assert_int_equal(rmdir(f->dir), 0);

    assert_int_equal(add(f->list, 0xab, "vm1.vms", WEB, key_a, why), RC_SYSTEM);

    assert_non_null(strstr(why, "deny.json: No such file or directory"));
    assert_true(denylist_has_key(f->list, key_a));
    assert_false(denylist_look(f->list)); /* still not */

    assert_int_equal(mkdir(f->dir, 0700), 0);
    assert_false(denylist_look(f->list));
    (void)read_file(f, text, sizeof(text));
    assert_string_equal(text, content);
}

static void test_denylist_look__others_write_what_we_could_not__ours_stays_too(void **state)
{
    struct fixture *f = *state;
    char why[DENYLIST_WHY_BYTES] = "";

    must_use(f->list, f->path);
    assert_int_equal(rmdir(f->dir), 0);
    assert_int_equal(add(f->list, 0xcd, "vm2.vms", WEB, key_b, why), RC_SYSTEM);
    assert_int_equal(mkdir(f->dir, 0700), 0);
    write_file(f, content, sizeof(content) - 1);

    assert_true(denylist_look(f->list));

    assert_true(denylist_has_key(f->list, key_a));
    assert_true(denylist_has_key(f->list, key_b));
}

static void test_denylist_add__name_that_json_cannot_hold__in_force_but_said(void **state)
{
    struct fixture *f = *state;
    char why[DENYLIST_WHY_BYTES] = "";

    must_use(f->list, f->path);

    assert_int_equal(add(f->list, 1, "vm\xff.vms", WEB, key_a, why), RC_SYSTEM);
    assert_non_null(strstr(why, "a name is not UTF-8"));
    assert_true(denylist_has_key(f->list, key_a));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_denylist__revoked__is_known_by_name_and_by_key),
        TEST(test_denylist__revoked_twice__is_one_with_both_keys),
        TEST(test_denylist__key_of_a_revoked_one_gets_an_heir__heir_is_revoked),
        TEST(test_denylist__key_of_others_gets_an_heir__nothing_is_learned),
        TEST(test_denylist__more_keys_than_are_kept__newest_stay),
        TEST(test_denylist__as_many_as_are_kept__one_more_is_an_error),
        TEST(test_denylist_remove__by_what_people_write__takes_that_one_off),
        TEST(test_denylist_remove__several_are_meant__are_listed_and_stay),
        TEST(test_denylist_remove__nobody_is_meant__is_not_found),
        TEST(test_denylist__file__has_all_and_is_read_again),
        TEST(test_denylist__file_cut_anywhere__is_an_error_and_nothing_changes),
        TEST(test_denylist__files_that_are_not_understood__say_what_is_wrong),
        TEST(test_denylist_try__file_or_folder__is_told_apart),
        TEST(test_denylist_use__another_file__both_are_in_force),
        TEST(test_denylist_look__another_process_changes_the_file__is_heard),
        TEST(test_denylist_add__another_process_has_added_one__both_stay),
        TEST(test_denylist_look__learned_keys__reach_the_file_and_stay_over_a_change),
        TEST(test_denylist_look__file_is_broken__what_was_in_force_stays),
        TEST(test_denylist_look__file_is_removed__is_written_again),
        TEST(test_denylist_add__file_cannot_be_written__in_force_and_written_later),
        TEST(test_denylist_look__others_write_what_we_could_not__ours_stays_too),
        TEST(test_denylist_add__name_that_json_cannot_hold__in_force_but_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
