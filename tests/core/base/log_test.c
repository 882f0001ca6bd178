/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define FILE_MAX_BYTES (4 * 1024 * 1024)
#define LINE_MAX_BYTES 4096

struct fixture {
    char dir[64];
    char path[96];
    char old[96];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    snprintf(f->dir, sizeof(f->dir), "/tmp/log_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/log", f->dir);
    snprintf(f->old, sizeof(f->old), "%s/log.1", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    const struct log_opts defaults = {.format = LOG_TEXT, .level = LOG_INFO};

    assert_int_equal(log_setup(&defaults), RC_OK);
    unlink(f->path);
    unlink(f->old);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static void start(const struct fixture *f, enum log_format format, enum log_level level)
{
    const struct log_opts opts = {.format = format, .level = level, .file = f->path};
    assert_int_equal(log_setup(&opts), RC_OK);
}

/* The whole file as a string in a buffer that the next call overwrites. */
static char *read_log(const char *path)
{
    static char text[FILE_MAX_BYTES];
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    assert_true(n < sizeof(text) - 1);
    text[n] = '\0';
    fclose(file);
    return text;
}

/* One line with one field; a fresh site each time, so that no limit is met. */
static void write_field(struct log_field field)
{
    struct log_site site = {0};
    const struct log_field fields[] = {field, LOG_END};
    log_write(&site, LOG_INFO, "m", fields);
}

/* What follows the time stamp, which must be one: "2026-11-21T11:40:00.123Z". */
static const char *after_stamp(const char *line)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";

    for (size_t i = 0; i < sizeof(shape) - 1; i++) {
        if (shape[i] == 'd' ? !isdigit((unsigned char)line[i]) : line[i] != shape[i]) {
            fail_msg("no time stamp: %s", line);
        }
    }
    return line + sizeof(shape) - 1;
}

/* The text of the value behind ` k=` in the only line of the log, without the newline. */
static const char *only_value(const struct fixture *f)
{
    char *text = read_log(f->path);
    char *end = strchr(text, '\n');

    assert_non_null(end);
    assert_string_equal(end, "\n");
    *end = '\0';
    const char *rest = after_stamp(text);
    assert_int_equal(strncmp(rest, " INFO  m k=", 11), 0);
    return rest + 11;
}

/* ---- a small reader of JSON lines: objects of strings, integers, true and null ---- */

static const char *skip_json_string(const char *p)
{
    assert_int_equal(*p, '"');
    for (p++; *p != '"'; p++) {
        assert_true((unsigned char)*p >= 0x20);
        if (*p != '\\') {
            continue;
        }
        p++;
        if (*p == 'u') {
            for (int i = 0; i < 4; i++) {
                assert_true(isxdigit((unsigned char)*++p));
            }
        } else {
            assert_true(*p != '\0' && strchr("\"\\nrt", *p) != NULL);
        }
    }
    return p + 1;
}

static const char *skip_json_value(const char *p)
{
    if (*p == '"') {
        return skip_json_string(p);
    }
    if (strncmp(p, "true", 4) == 0 || strncmp(p, "null", 4) == 0) {
        return p + 4;
    }
    p += *p == '-' ? 1 : 0;
    assert_true(isdigit((unsigned char)*p));
    while (isdigit((unsigned char)*p)) {
        p++;
    }
    return p;
}

/* One object and a newline. Returns what follows. */
static const char *skip_json_line(const char *p)
{
    assert_int_equal(*p, '{');
    do {
        p = skip_json_string(p + 1);
        assert_int_equal(*p, ':');
        p = skip_json_value(p + 1);
    } while (*p == ',');
    assert_int_equal(strncmp(p, "}\n", 2), 0);
    return p + 2;
}

/* ---- tests ---- */

static void test_log__text__has_time_level_message_and_fields(void **state)
{
    struct fixture *f = *state;
    start(f, LOG_TEXT, LOG_DEBUG);

    log_event(LOG_INFO, "connection ended", LOG_S("reason", "peer closed"), LOG_I("bytes", -7),
              LOG_S("vm", "web.vms"));
    log_event(LOG_DEBUG, "a");
    log_event(LOG_WARNING, "b");
    log_event(LOG_ERROR, "c", LOG_I("n", INT64_MIN));

    static const char *const want[] = {
        " INFO  connection ended reason=\"peer closed\" bytes=-7 vm=web.vms",
        " DEBUG a",
        " WARN  b",
        " ERROR c n=-9223372036854775808",
    };
    char *line = read_log(f->path);
    for (size_t i = 0; i < COUNT(want); i++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        assert_string_equal(after_stamp(line), want[i]);
        line = end + 1;
    }
    assert_string_equal(line, "");
}

static void test_log__json__is_one_object_a_line(void **state)
{
    struct fixture *f = *state;
    start(f, LOG_JSON, LOG_DEBUG);

    log_event(LOG_WARNING, "a \"quoted\" message", LOG_S("reason", "a\\b\n\x01"), LOG_I("bytes", 9),
              LOG_S("none", NULL));
    log_event(LOG_DEBUG, "second");

    const char *text = read_log(f->path);
    assert_int_equal(strncmp(text, "{\"time\":\"", 9), 0);
    const char *rest = after_stamp(text + 9);
    static const char want[] = "\",\"level\":\"warning\",\"msg\":\"a \\\"quoted\\\" message\","
                               "\"reason\":\"a\\\\b\\n\\u0001\",\"bytes\":9,\"none\":null}\n";
    assert_int_equal(strncmp(rest, want, strlen(want)), 0);
    assert_string_equal(skip_json_line(skip_json_line(text)), "");
}

static void test_log__values_of_peers__cannot_forge_anything(void **state)
{
    static const struct {
        const char *value;
        size_t n;
        const char *text;
    } rows[] = {
        {"plain-value_1.2:3/4", 19, "plain-value_1.2:3/4"},
        {"", 0, "\"\""},
        {"a b", 3, "\"a b\""},
        {"a=b", 3, "\"a=b\""},
        {"a\"b", 3, "\"a\\\"b\""},
        {"a\\b", 3, "\"a\\\\b\""},
        {"a\nb\r\tc", 6, "\"a\\nb\\r\\tc\""},
        {"a\0b", 3, "\"a\\x00b\""},
        {"\x1b[2J", 4, "\"\\x1b[2J\""},
        {"\x7f", 1, "\"\\x7f\""},
        {"\xff\xfe", 2, "\"\\xff\\xfe\""},
        {"\xc3", 1, "\"\\xc3\""},
        {"\xc3\xa9", 2, "\"\xc3\xa9\""},
        {"\xe2\x82\xac", 3, "\"\xe2\x82\xac\""},
        {"\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\""},
        {"\xf0\x9f\x98", 3, "\"\\xf0\\x9f\\x98\""},
        {"\xc0\xaf", 2, "\"\\xc0\\xaf\""},          /* overlong */
        {"\xe0\x80\x8a", 3, "\"\\xe0\\x80\\x8a\""}, /* overlong newline */
        {"\xed\xa0\x80", 3, "\"\\xed\\xa0\\x80\""}, /* a surrogate */
        {"\xf4\x90\x80\x80", 4, "\"\\xf4\\x90\\x80\\x80\""},
        {"\xc2\x9b", 2, "\"\\x9b\""},       /* CSI of C1 */
        {"\xe2\x80\xa8", 3, "\"\\u2028\""}, /* a line separator */
        {"\xe2\x80\xae", 3, "\"\\u202e\""}, /* right to left */
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        unlink(f->path);
        start(f, LOG_TEXT, LOG_INFO);
        write_field(LOG_SN("k", rows[i].value, rows[i].n));
        assert_string_equal(only_value(f), rows[i].text);
    }
}

static void test_log__every_pair_of_bytes__is_good_json(void **state)
{
    struct fixture *f = *state;
    start(f, LOG_JSON, LOG_INFO);
    const unsigned step = 3;

    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = a % step; b < 256; b += step) {
            const char pair[2] = {(char)a, (char)b};
            write_field(LOG_SN("k", pair, 2));
        }
    }

    unsigned lines = 0;
    for (const char *p = read_log(f->path); *p != '\0'; lines++) {
        p = skip_json_line(p);
    }
    assert_true(lines > 256 * 256 / 4);
}

static void test_log__long_value__is_cut_visibly_and_leaves_room(void **state)
{
    struct fixture *f = *state;
    static char value[100000];
    struct log_site site[2] = {{0}, {0}};
    const struct log_field fields[] = {LOG_SN("long", value, sizeof(value)), LOG_I("after", 5),
                                       LOG_END};

    memset(value, 'x', sizeof(value));
    start(f, LOG_TEXT, LOG_INFO);
    log_write(&site[0], LOG_INFO, "m", fields);
    const char *text = read_log(f->path);
    assert_non_null(strstr(text, "xxx...\" after=5 truncated=true\n"));
    assert_true(strlen(text) <= 1200);

    unlink(f->path);
    start(f, LOG_JSON, LOG_INFO);
    log_write(&site[1], LOG_INFO, "m", fields);
    text = read_log(f->path);
    assert_non_null(strstr(text, "xxx...\",\"after\":5,\"truncated\":true}\n"));
    assert_string_equal(skip_json_line(text), "");
}

static void test_log__values_of_every_length__never_break_a_line(void **state)
{
    struct fixture *f = *state;
    static const char *const units[] = {"x", "\n", "\x01", "\xff", "\xe2\x82\xac"};
    char value[3000];

    for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
        for (size_t u = 0; u < COUNT(units); u++) {
            size_t unit = strlen(units[u]);
            unlink(f->path);
            start(f, (enum log_format)format, LOG_INFO);
            unsigned written = 0;
            for (size_t n = 150; n < 1100 && (n + 1) * unit < sizeof(value); n++, written++) {
                for (size_t i = 0; i < n; i++) {
                    memcpy(value + i * unit, units[u], unit);
                }
                write_field(LOG_SN("k", value, n * unit));
            }
            unsigned lines = 0;
            for (const char *p = read_log(f->path); *p != '\0'; lines++) {
                const char *end = strchr(p, '\n');
                assert_non_null(end);
                assert_true(end - p < 1200);
                p = format == LOG_JSON ? skip_json_line(p) : end + 1;
            }
            assert_int_equal(lines, written);
        }
    }
}

static void test_log__many_long_fields__the_line_stays_within_its_cap(void **state)
{
    struct fixture *f = *state;
    static char value[1500];
    struct log_field fields[40];

    memset(value, '\x02', sizeof(value));
    for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
        for (size_t n = 0; n < COUNT(fields); n++) {
            struct log_site site = {.suppressed = UINT32_MAX};
            for (size_t i = 0; i < n; i++) {
                fields[i] = LOG_SN("some_key", value, 20 + 37 * i);
            }
            fields[n] = LOG_END;
            unlink(f->path);
            start(f, (enum log_format)format, LOG_INFO);
            log_write(&site, LOG_INFO, "m", fields);
            const char *text = read_log(f->path);
            assert_true(strlen(text) <= LINE_MAX_BYTES);
            assert_ptr_equal(strchr(text, '\n') + 1, text + strlen(text));
            assert_non_null(strstr(text, "suppressed"));
            assert_true(strstr(text, "truncated") == NULL || n > 4);
            assert_true(strstr(text, "truncated") != NULL || n < 14);
            if (format == LOG_JSON) {
                assert_string_equal(skip_json_line(text), "");
            }
        }
    }
}

static void test_log__levels_below_the_set_one__are_not_written(void **state)
{
    struct fixture *f = *state;
    start(f, LOG_TEXT, LOG_WARNING);

    assert_false(log_enabled(LOG_SCOPE_RELAY, LOG_INFO));
    assert_true(log_enabled(LOG_SCOPE_RELAY, LOG_WARNING));
    log_event(LOG_INFO, "no");
    log_event(LOG_WARNING, "yes");

    assert_null(strstr(read_log(f->path), "no"));
    assert_non_null(strstr(read_log(f->path), "yes"));
}

static void test_log__level_of_one_scope__leaves_the_others(void **state)
{
    struct log_opts opts = {.level = LOG_WARNING};

    (void)state;
    assert_int_equal(log_setup(&opts), RC_OK);
    log_set_level(LOG_SCOPE_RELAY, LOG_DEBUG);
    assert_true(log_enabled(LOG_SCOPE_RELAY, LOG_DEBUG));
    assert_false(log_enabled(LOG_SCOPE_UPSTREAM, LOG_INFO));
    assert_int_equal(log_level_of(LOG_SCOPE_RELAY), LOG_DEBUG);
    log_set_level(LOG_SCOPES, LOG_ERROR);
    assert_false(log_enabled(LOG_SCOPE_RELAY, LOG_WARNING));
    assert_false(log_enabled(LOG_SCOPE_UPSTREAM, LOG_WARNING));
    log_set_level(LOG_SCOPE_ADMIN, LOG_DEBUG);
    assert_int_equal(log_setup(&opts), RC_OK); /* a reload */
    assert_int_equal(log_level_of(LOG_SCOPE_ADMIN), LOG_WARNING);
}

static void test_log__level_as_a_text__scope_and_level(void **state)
{
    static const char *const bad[] = {"",          "loud",         "relay",
                                      "=info",     "relay=",       "relai=info",
                                      "relay=inf", "relay=info=x", "relay =info"};
    enum log_scope scope = LOG_SCOPE_ADMIN;
    enum log_level level = LOG_INFO;

    (void)state;
    assert_int_equal(log_parse_level("debug", &scope, &level), RC_OK);
    assert_int_equal(scope, LOG_SCOPES);
    assert_int_equal(level, LOG_DEBUG);
    for (int i = 0; i < LOG_SCOPES; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "%s=%s", log_scope_name((enum log_scope)i),
                       log_level_name(LOG_ERROR));
        assert_int_equal(log_parse_level(text, &scope, &level), RC_OK);
        assert_int_equal(scope, i);
        assert_int_equal(level, LOG_ERROR);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(log_parse_level(bad[i], &scope, &level), RC_INVALID);
        assert_int_equal(level, LOG_ERROR); /* untouched */
    }
}

static void test_log__burst_of_one_site__is_cut_and_owned_up_to(void **state)
{
    struct fixture *f = *state;
    struct log_site site = {0};
    const struct log_field none[] = {LOG_END};
    start(f, LOG_TEXT, LOG_INFO);

    /* The second may change in the middle: only the sum is sure. */
    for (int i = 0; i < 10 * LOG_SITE_BURST; i++) {
        log_write(&site, LOG_INFO, "burst", none);
    }
    uint32_t left_out = site.suppressed;
    site.window_s = 0;
    log_write(&site, LOG_INFO, "next", none);

    const char *text = read_log(f->path);
    unsigned lines = 0;
    unsigned long long owned_up = 0;
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++) {
        lines++;
    }
    for (const char *p = text; (p = strstr(p, "suppressed=")) != NULL; p++) {
        owned_up += strtoull(p + strlen("suppressed="), NULL, 10);
    }
    assert_true(left_out > 0);
    assert_int_equal(lines + owned_up, 10 * LOG_SITE_BURST + 1);
    assert_non_null(strstr(text, " INFO  next suppressed="));
    assert_int_equal(site.suppressed, 0);
}

static void test_log__audit__knows_no_level_and_no_limit(void **state)
{
    struct fixture *f = *state;
    start(f, LOG_TEXT, LOG_ERROR);

    for (int i = 0; i < 10 * LOG_SITE_BURST; i++) {
        log_audit(LOG_INFO, "done", "kind", LOG_S("by", "somebody"), LOG_I("n", i));
    }
    log_audit(LOG_WARNING, "bare", "other");

    const char *text = read_log(f->path);
    for (int i = 0; i < 10 * LOG_SITE_BURST; i++) {
        char line[80];
        (void)snprintf(line, sizeof(line), " INFO  done audit=kind by=somebody n=%d\n", i);
        assert_non_null(strstr(text, line));
    }
    assert_non_null(strstr(text, " WARN  bare audit=other\n"));
    assert_null(strstr(text, "suppressed"));
}

static void test_log__reopen_after_rotation__writes_into_the_new_file(void **state)
{
    struct fixture *f = *state;
    start(f, LOG_TEXT, LOG_INFO);

    log_event(LOG_INFO, "first");
    assert_int_equal(rename(f->path, f->old), 0);
    log_event(LOG_INFO, "second");
    assert_int_equal(log_reopen(), RC_OK);
    log_event(LOG_INFO, "third");

    assert_non_null(strstr(read_log(f->old), "first"));
    assert_non_null(strstr(read_log(f->old), "second"));
    assert_null(strstr(read_log(f->old), "third"));
    assert_non_null(strstr(read_log(f->path), "third"));
}

static void test_log__file_that_cannot_be_opened__leaves_the_old_one(void **state)
{
    struct fixture *f = *state;
    const struct log_opts bad = {.format = LOG_JSON, .level = LOG_ERROR, .file = "/nowhere/at/all"};
    start(f, LOG_TEXT, LOG_INFO);

    assert_int_equal(log_setup(&bad), RC_NOT_FOUND);

    log_event(LOG_INFO, "still here");
    assert_non_null(strstr(read_log(f->path), " INFO  still here"));
}

static void test_log__standard_error__takes_lines_and_reopen_does_nothing(void **state)
{
    struct fixture *f = *state;
    const struct log_opts opts = {.format = LOG_TEXT, .level = LOG_INFO};
    int fd = open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int saved = dup(STDERR_FILENO);

    assert_true(fd >= 0 && saved >= 0);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    enum rc setup_rc = log_setup(&opts);
    enum rc reopen_rc = log_reopen();
    errno = 1234;
    log_event(LOG_INFO, "to stderr");
    int errno_after = errno;
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(saved);
    close(fd);

    assert_int_equal(setup_rc, RC_OK);
    assert_int_equal(reopen_rc, RC_OK);
    assert_int_equal(errno_after, 1234);
    assert_non_null(strstr(read_log(f->path), " INFO  to stderr\n"));
}

static void test_log__disk_is_full__caller_sees_no_error(void **state)
{
    const struct log_opts opts = {.format = LOG_TEXT, .level = LOG_INFO, .file = "/dev/full"};
    struct fixture *f = *state;
    assert_int_equal(log_setup(&opts), RC_OK);

    errno = 1234;
    log_event(LOG_INFO, "lost");
    int errno_after = errno;

    assert_int_equal(errno_after, 1234);
    start(f, LOG_TEXT, LOG_INFO);
    log_event(LOG_INFO, "found");
    assert_non_null(strstr(read_log(f->path), "found"));
}

#define THREADS 4
#define LINES_PER_THREAD 1000

static void *write_many(void *arg)
{
    const char *name = arg;

    for (int i = 0; i < LINES_PER_THREAD; i++) {
        struct log_site site = {0};
        const struct log_field fields[] = {LOG_S("name", name), LOG_I("i", i), LOG_END};
        log_write(&site, LOG_INFO, "from a thread", fields);
    }
    return NULL;
}

static unsigned count_whole_lines(const char *path)
{
    unsigned lines = 0;

    for (const char *p = read_log(path); *p != '\0'; lines++) {
        p = skip_json_line(p);
    }
    return lines;
}

static void test_log__threads_and_reopen_at_once__no_line_is_torn_or_lost(void **state)
{
    struct fixture *f = *state;
    static char name[THREADS][700];
    pthread_t threads[THREADS];
    start(f, LOG_JSON, LOG_INFO);

    for (size_t i = 0; i < THREADS; i++) {
        memset(name[i], (char)('a' + i), sizeof(name[i]) - 1);
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, name[i]), 0);
    }
    for (int i = 0; i < 200; i++) {
        if (i == 100) {
            assert_int_equal(rename(f->path, f->old), 0);
        }
        assert_int_equal(log_reopen(), RC_OK);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }

    unsigned in_old = count_whole_lines(f->old);
    assert_int_equal(in_old + count_whole_lines(f->path), THREADS * LINES_PER_THREAD);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_log__text__has_time_level_message_and_fields),
        LOG_TEST(test_log__json__is_one_object_a_line),
        LOG_TEST(test_log__values_of_peers__cannot_forge_anything),
        LOG_TEST(test_log__every_pair_of_bytes__is_good_json),
        LOG_TEST(test_log__long_value__is_cut_visibly_and_leaves_room),
        LOG_TEST(test_log__values_of_every_length__never_break_a_line),
        LOG_TEST(test_log__many_long_fields__the_line_stays_within_its_cap),
        LOG_TEST(test_log__levels_below_the_set_one__are_not_written),
        LOG_TEST(test_log__level_of_one_scope__leaves_the_others),
        LOG_TEST(test_log__level_as_a_text__scope_and_level),
        LOG_TEST(test_log__burst_of_one_site__is_cut_and_owned_up_to),
        LOG_TEST(test_log__audit__knows_no_level_and_no_limit),
        LOG_TEST(test_log__reopen_after_rotation__writes_into_the_new_file),
        LOG_TEST(test_log__file_that_cannot_be_opened__leaves_the_old_one),
        LOG_TEST(test_log__standard_error__takes_lines_and_reopen_does_nothing),
        LOG_TEST(test_log__disk_is_full__caller_sees_no_error),
        LOG_TEST(test_log__threads_and_reopen_at_once__no_line_is_torn_or_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
