/* SPDX-License-Identifier: Apache-2.0 */
/* golden/kinds.txt and golden/envoy.txt: messages beside their JSON. What Go's protojson writes of
 * such messages, and Envoy leaves of them, was compared when they were made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/xds/pb_types_fixture.h"
#include "xds/pb_json.h"

#define LINE_BYTES 65536

struct golden {
    char about[LINE_BYTES];
    char type[LINE_BYTES];
    char json[LINE_BYTES];
    uint8_t message[LINE_BYTES / 2];
    size_t n;
};

/* Without its newline. False: the file is over. */
static bool read_line(FILE *f, char line[LINE_BYTES])
{
    if (fgets(line, LINE_BYTES, f) == NULL) {
        return false;
    }
    size_t n = strcspn(line, "\n");
    assert_int_equal(line[n], '\n');
    line[n] = '\0';
    return true;
}

static void read_hex(struct golden *g, const char *hex)
{
    g->n = 0;
    if (strcmp(hex, "-") == 0) {
        return;
    }
    for (; hex[0] != '\0'; hex += 2) {
        unsigned byte;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        g->message[g->n++] = (uint8_t)byte;
    }
}

/* The next block that is more than remarks. */
static bool read_golden(FILE *f, struct golden *g)
{
    static char line[LINE_BYTES];

    do {
        if (!read_line(f, line)) {
            return false;
        }
        if (line[0] == '#') {
            memcpy(g->about, line, sizeof(g->about));
        }
    } while (line[0] == '#' || line[0] == '\0');
    memcpy(g->type, line, sizeof(g->type));
    assert_true(read_line(f, line));
    read_hex(g, line);
    assert_true(read_line(f, g->json));
    return true;
}

/* n bytes where reading one more is noticed. Owned by the caller. */
static uint8_t *exactly(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);

    assert_non_null(copy);
    memcpy(copy, data, n);
    return copy;
}

static enum rc write_some(const struct pb_types *types, const struct golden *g, size_t n,
                          size_t max_bytes, char **json)
{
    uint8_t *message = exactly(g->message, n);
    size_t n_json = 0;
    FILE *out = open_memstream(json, &n_json);

    assert_non_null(out);
    enum rc rc = pb_json_write(types, g->type, message, n, max_bytes, out);
    assert_int_equal(fclose(out), 0);
    assert_in_range(n_json, 0, max_bytes);
    free(message);
    return rc;
}

static void check_whole(const struct pb_types *types, const struct golden *g)
{
    char *json = NULL;
    enum rc rc = write_some(types, g, g->n, SIZE_MAX, &json);

    if (strcmp(g->json, "!malformed") == 0) {
        assert_int_equal(rc, RC_PEER_MALFORMED);
    } else if (rc != RC_OK || strcmp(json, g->json) != 0) {
        print_error("%s:\n%s\nnot\n%s\n", g->about, json, g->json);
        fail();
    }
    free(json);
}

/* With each cut, and each limit: there is a result, and it is not more than may be. */
static void check_parts(const struct pb_types *types, const struct golden *g)
{
    size_t n_json = strlen(g->json);
    bool is_well = g->json[0] != '!';
    char *json = NULL;

    for (size_t n = 0; n < g->n; n++) {
        enum rc rc = write_some(types, g, n, SIZE_MAX, &json);
        assert_true(rc == RC_OK || rc == RC_PEER_MALFORMED);
        free(json);
    }
    for (size_t max = 0; is_well && max < n_json; max += 1 + max / 50) {
        assert_int_equal(write_some(types, g, g->n, max, &json), RC_FULL);
        assert_memory_equal(json, g->json, strlen(json));
        free(json);
    }
    if (is_well) {
        assert_int_equal(write_some(types, g, g->n, n_json, &json), RC_OK);
        free(json);
    }
}

static size_t check_file(const struct pb_types *types, const char *name)
{
    static struct golden g;
    char path[512];
    size_t n = 0;

    (void)snprintf(path, sizeof(path), "%s/%s", GOLDEN_DIR, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (; read_golden(f, &g); n++) {
        check_whole(types, &g);
        check_parts(types, &g);
    }
    assert_int_equal(fclose(f), 0);
    return n;
}

static void test_pb_json__every_kind__is_as_expected(void **state)
{
    struct pb_types *types = pb_types_of_kinds();
    (void)state;

    assert_in_range(check_file(types, "kinds.txt"), 90, 1000);
    pb_types_free(&types);
}

static void test_pb_json__messages_of_envoy__are_as_expected(void **state)
{
    struct pb_types *types = NULL;
    (void)state;

    assert_int_equal(pb_types_envoy(&types), RC_OK);
    assert_in_range(check_file(types, "envoy.txt"), 15, 1000);
    pb_types_free(&types);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pb_json__every_kind__is_as_expected),
        cmocka_unit_test(test_pb_json__messages_of_envoy__are_as_expected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
