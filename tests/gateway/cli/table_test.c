/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for terminals: as wide as they must be, and harmless. */
#include "gateway/cli/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* U+FFFD, which stands for what must not be shown. */
#define BAD "\357\277\275"

/* The table of these cells is this text. */
static void assert_table(size_t n_columns, const char *const *cells, size_t n, const char *want)
{
    struct table t;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    table_init(&t, n_columns);
    for (size_t i = 0; i < n; i++) {
        table_add(&t, cells[i]);
    }
    assert_int_equal(table_write(&t, out), RC_OK);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, want);
    assert_int_equal(strlen(text), size);
    free(text);
    table_fini(&t);
    assert_null(t.cells);
}

static void test_table__cells_of_any_width__columns_as_wide_as_the_widest(void **state)
{
    static const char *const cells[] = {"NAME",    "ISTIOD", "CDS",    /* the head */
                                        "vm1.vms", "a",      "SYNCED", /* wider than the head */
                                        "v",       "b",      "STALE"};
    (void)state;

    assert_table(3, cells, COUNT(cells),
                 "NAME      ISTIOD   CDS\n"
                 "vm1.vms   a        SYNCED\n"
                 "v         b        STALE\n");
}

static void test_table__one_column__no_blanks(void **state)
{
    static const char *const cells[] = {"NAME", "a", "vm-with-a-long-name"};
    (void)state;

    assert_table(1, cells, COUNT(cells), "NAME\na\nvm-with-a-long-name\n");
}

static void test_table__empty_cells__a_dash(void **state)
{
    static const char *const cells[] = {"A", "B", "C", NULL, "", "x", "x", NULL, ""};
    (void)state;

    assert_table(3, cells, COUNT(cells),
                 "A   B   C\n"
                 "-   -   x\n"
                 "x   -   -\n");
}

static void test_table__no_cells__nothing(void **state)
{
    (void)state;

    assert_table(3, NULL, 0, "");
}

static void test_table__row_is_not_complete__left_out(void **state)
{
    static const char *const cells[] = {"A", "B", "x"};
    (void)state;

    assert_table(2, cells, COUNT(cells), "A   B\n");
}

/* Two, three and four bytes each. */
static void test_table__utf8__characters_count_not_bytes(void **state)
{
    static const char *const cells[] = {
        "N",    "M", "gr\303\274n", "1", "\342\202\254\342\202\254", "2", "\360\237\230\200", "3",
        "abcd", "4"};
    (void)state;

    assert_table(2, cells, COUNT(cells),
                 "N      M\n"
                 "gr\303\274n   1\n"
                 "\342\202\254\342\202\254     2\n"
                 "\360\237\230\200      3\n"
                 "abcd   4\n");
}

/* Each is replaced by one character, so the columns stay straight. */
static void test_table__what_moves_a_terminal__is_replaced(void **state)
{
    static const char *const cells[] = {
        "NAME",  "X",        /* the head */
        "a\nb",  "new line", /* would be another row */
        "a\033", "escape",   /* would be a command */
        "\r\t",  "return",   /* would write over what stands there */
        "\x7f",  "delete",   "\302\233", "C1", "\342\200\256", "turns the direction",
        "\xff",  "no UTF-8"};
    (void)state;

    assert_table(2, cells, COUNT(cells),
                 "NAME   X\n"
                 "a" BAD "b    new line\n"
                 "a" BAD "     escape\n" BAD BAD "     return\n" BAD "      delete\n" BAD
                 "      C1\n" BAD "      turns the direction\n" BAD "      no UTF-8\n");
}

/* No byte that a terminal acts on comes through, whichever stands in a cell. */
static void test_table__every_byte__no_control_character_is_written(void **state)
{
    (void)state;

    for (unsigned byte = 1; byte < 256; byte++) {
        char *text = NULL;
        size_t size = 0;
        struct table t;
        const char cell[] = {'<', (char)byte, '>', '\0'};
        FILE *out = open_memstream(&text, &size);
        table_init(&t, 1);
        table_add(&t, cell);
        assert_int_equal(table_write(&t, out), RC_OK);
        assert_int_equal(fclose(out), 0);
        assert_ptr_equal(strchr(text, '\n'), text + size - 1);
        for (size_t i = 0; i + 1 < size; i++) {
            assert_true((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
        }
        bool is_kept = byte >= 0x20 && byte < 0x7f;
        assert_int_equal(size, is_kept ? 4 : 6);
        free(text);
        table_fini(&t);
    }
}

#define CELL_BYTES 512

/* A cell of n characters, each of these bytes. */
static void repeat(char out[CELL_BYTES], size_t n, const char *character)
{
    size_t size = strlen(character);

    for (size_t i = 0; i < n; i++) {
        (void)snprintf(out + i * size, CELL_BYTES - i * size, "%s", character);
    }
}

/* Characters of one to four bytes, and one that is replaced by another of three. */
static void test_table__wide_cells__cut_at_64_characters(void **state)
{
    static const char *const characters[] = {"a", "\303\274", "\342\202\254", "\360\237\230\200",
                                             "\033"};
    (void)state;

    for (size_t i = 0; i < COUNT(characters); i++) {
        const char *shown = *characters[i] == '\033' ? BAD : characters[i];
        char whole[CELL_BYTES];
        char longer[CELL_BYTES];
        char head[CELL_BYTES];
        char want[4 * CELL_BYTES];
        repeat(whole, 64, characters[i]);
        repeat(longer, 460 / strlen(characters[i]), characters[i]);
        const char *const cells[] = {whole, "x", longer, "y"};
        repeat(head, 63, shown);
        (void)snprintf(want, sizeof(want), "%s%s   x\n%s\342\200\246   y\n", head, shown, head);
        assert_table(2, cells, COUNT(cells), want);
    }
}

static void test_table_add_whole__wide_cell__is_not_cut(void **state)
{
    char address[CELL_BYTES];
    char want[2 * CELL_BYTES];
    char *text = NULL;
    size_t size = 0;
    struct table t;
    FILE *out = open_memstream(&text, &size);
    (void)state;

    repeat(address, 107, "a");
    table_init(&t, 1);
    table_add_whole(&t, address);
    assert_int_equal(table_write(&t, out), RC_OK);
    assert_int_equal(fclose(out), 0);
    (void)snprintf(want, sizeof(want), "%s\n", address);
    assert_string_equal(text, want);
    free(text);
    table_fini(&t);
}

/* More than it begins with. */
static void test_table__many_rows__all_written(void **state)
{
    char *text = NULL;
    size_t size = 0;
    struct table t;
    FILE *out = open_memstream(&text, &size);
    (void)state;

    table_init(&t, 2);
    for (unsigned i = 0; i < 5000; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "vm%04u", i);
        table_add(&t, name);
        table_add(&t, "x");
    }
    assert_int_equal(table_write(&t, out), RC_OK);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(size, 5000 * strlen("vm0000   x\n"));
    for (unsigned i = 0; i < 5000; i++) {
        char line[32];
        int n = snprintf(line, sizeof(line), "vm%04u   x\n", i);
        assert_memory_equal(text + i * (size_t)n, line, (size_t)n);
    }
    free(text);
    table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table__cells_of_any_width__columns_as_wide_as_the_widest),
        cmocka_unit_test(test_table__one_column__no_blanks),
        cmocka_unit_test(test_table__empty_cells__a_dash),
        cmocka_unit_test(test_table__no_cells__nothing),
        cmocka_unit_test(test_table__row_is_not_complete__left_out),
        cmocka_unit_test(test_table__utf8__characters_count_not_bytes),
        cmocka_unit_test(test_table__what_moves_a_terminal__is_replaced),
        cmocka_unit_test(test_table__every_byte__no_control_character_is_written),
        cmocka_unit_test(test_table__wide_cells__cut_at_64_characters),
        cmocka_unit_test(test_table_add_whole__wide_cell__is_not_cut),
        cmocka_unit_test(test_table__many_rows__all_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
