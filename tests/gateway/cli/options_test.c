/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: what is asked for, what is said, and the exit code that scripts see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/cli/options.h"

#define MAX_ARGS 12

/* What the commands below were run with. */
static struct {
    int runs;
    char name[32];
    const char *config;
    bool flag;
    int word;
    uint32_t count;
    double seconds;
    struct option_texts texts;
    size_t n_args;
    const char *arg;
    const char *first_of_argv;
} seen;

struct opts {
    const char *config;
    bool flag;
    int word;
    uint32_t count;
    double seconds;
    struct option_texts texts;
};

static int see(const struct command_line *line)
{
    const struct opts *o = line->opts;

    seen.runs++;
    (void)snprintf(seen.name, sizeof(seen.name), "%s", line->command->name);
    seen.config = o->config;
    seen.flag = o->flag;
    seen.word = o->word;
    seen.count = o->count;
    seen.seconds = o->seconds;
    seen.texts = o->texts;
    seen.n_args = line->n_args;
    seen.arg = line->n_args > 0 ? line->args[0] : NULL;
    seen.first_of_argv = line->argv[1];
    return EXIT_CODE_NO;
}

static void init(void *opts)
{
    struct opts *o = opts;

    o->count = 7;
    o->flag = true;
}

#define AT(field) offsetof(struct opts, field)

static const struct option_word words[] = {{"json", 1}, {"yaml", 2}, {NULL, 0}};
static const struct option_row rows[] = {
    {.name = "config",
     .letter = 'c',
     .value = "FILE",
     .kind = OPTION_TEXT,
     .offset = AT(config),
     .help = "the configuration",
     .required = true},
    {.name = "flag", .kind = OPTION_FLAG, .offset = AT(flag), .help = "a flag"},
    {.name = "output",
     .letter = 'o',
     .value = "json",
     .kind = OPTION_WORD,
     .offset = AT(word),
     .help = "as JSON",
     .words = words},
    {.name = "count",
     .value = "N",
     .kind = OPTION_COUNT,
     .offset = AT(count),
     .min = 1,
     .max = 9,
     .help = "a number"},
    {.name = "validityOfTheCertificate",
     .value = "DURATION",
     .kind = OPTION_SECONDS,
     .offset = AT(seconds),
     .min = 60,
     .max = 8640000,
     .help = "how long"},
    {.name = "name",
     .letter = 'n',
     .value = "NAME",
     .kind = OPTION_TEXTS,
     .offset = AT(texts),
     .help = "names"},
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct command check = {.name = "check",
                                     .usage = "--config FILE",
                                     .summary = "check",
                                     .rows = rows,
                                     .n_rows = N_ROWS,
                                     .opts_bytes = sizeof(struct opts),
                                     .run = see,
                                     .more = "More.\n"};
static const struct command create = {.name = "thing create",
                                      .usage = "NAME",
                                      .summary = "make",
                                      .min_args = 1,
                                      .max_args = 1,
                                      .args_name = "NAME",
                                      .rows = rows + 1,
                                      .n_rows = N_ROWS - 1,
                                      .opts_bytes = sizeof(struct opts),
                                      .init = init,
                                      .run = see,
                                      .more = ""};
static const struct command list = {.name = "thing list",
                                    .usage = "",
                                    .summary = "list them",
                                    .opts_bytes = sizeof(struct opts),
                                    .run = see,
                                    .more = "",
                                    .rows = rows,
                                    .n_rows = 0};
static const struct command *const commands[] = {&check, &create, &list, NULL};

struct said {
    int exit;
    char *out; /**< owned */
    char *err; /**< owned */
};

/* line: words separated by single blanks; they live in static storage until the next call. */
static void say(struct said *s, const char *line)
{
    static char line_words[256];
    char *argv[MAX_ARGS + 1] = {NULL};
    int argc = 0;
    size_t n = 0;
    assert_true(strlen(line) < sizeof(line_words));
    memcpy(line_words, line, strlen(line) + 1);
    for (char *w = line_words; w != NULL && argc < MAX_ARGS;) {
        argv[argc++] = w;
        w = strchr(w, ' ');
        if (w != NULL) {
            *w++ = '\0';
        }
    }
    memset(&seen, 0, sizeof(seen));
    FILE *out = open_memstream(&s->out, &n);
    FILE *err = open_memstream(&s->err, &n);
    assert_non_null(out);
    assert_non_null(err);
    s->exit = command_main(commands, argc, argv, out, err);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(fclose(err), 0);
}

static void fini(struct said *s)
{
    free(s->out);
    free(s->err);
}

/* The command ran; its exit code came back. */
static void runs(const char *line)
{
    struct said s;

    say(&s, line);
    if (seen.runs != 1) {
        print_error("%s: %s", line, s.err);
    }
    assert_int_equal(seen.runs, 1);
    assert_int_equal(s.exit, EXIT_CODE_NO);
    assert_string_equal(s.out, "");
    assert_string_equal(s.err, "");
    fini(&s);
}

static void test_command__good_lines__run_with_their_options(void **state)
{
    static const char *const lines[] = {
        "xdsgate check --config a.yaml",     "xdsgate check --config=a.yaml",
        "xdsgate check -c a.yaml",           "xdsgate check -ca.yaml",
        "xdsgate check -c b.yaml -c a.yaml",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        runs(lines[i]);
        assert_string_equal(seen.name, "check");
        assert_string_equal(seen.config, "a.yaml");
        assert_false(seen.flag);
    }
}

static void test_command__two_words__found_with_arguments_anywhere(void **state)
{
    (void)state;
    runs("xdsgate thing create --count 3 web --flag=false");
    assert_string_equal(seen.name, "thing create");
    assert_string_equal(seen.arg, "web");
    assert_int_equal(seen.n_args, 1);
    assert_int_equal(seen.count, 3);
    assert_false(seen.flag);
    assert_string_equal(seen.first_of_argv, "thing");
    runs("xdsgate thing list");
    assert_string_equal(seen.name, "thing list");
}

static void test_options__defaults__of_init(void **state)
{
    (void)state;
    runs("xdsgate thing create web");
    assert_int_equal(seen.count, 7);
    assert_true(seen.flag);
    assert_int_equal(seen.word, 0);
}

static void test_options__kinds__understood(void **state)
{
    static const struct {
        const char *value;
        double seconds;
    } times[] = {{"60", 60}, {"90s", 90}, {"5m", 300}, {"24h", 86400}, {"90d", 7776000}};
    (void)state;
    runs("xdsgate check -c a --flag -o yaml --count 9 -n a,b --name=c");
    assert_true(seen.flag);
    assert_int_equal(seen.word, 2);
    assert_int_equal(seen.count, 9);
    assert_int_equal(seen.texts.n, 3);
    assert_string_equal(seen.texts.items[0], "a");
    assert_string_equal(seen.texts.items[1], "b");
    assert_string_equal(seen.texts.items[2], "c");
    runs("xdsgate check -c a --flag=true");
    assert_true(seen.flag);
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        char line[96];
        (void)snprintf(line, sizeof(line), "xdsgate check -c a --validityOfTheCertificate %s",
                       times[i].value);
        runs(line);
        assert_true(seen.seconds == times[i].seconds);
    }
}

static void test_command__bad_lines__exit_2_with_a_reason(void **state)
{
    static const struct {
        const char *line;
        const char *reason;
    } cases[] = {
        {"xdsgate", "Usage: xdsgate COMMAND"},
        {"xdsgate vm list", "unknown command 'vm'"},
        {"xdsgate ", "unknown command ''"},
        {"xdsgate -x", "unknown option '-x'"},
        {"xdsgate chec", "unknown command 'chec'"},
        {"xdsgate thing", "Usage: xdsgate thing COMMAND"},
        {"xdsgate thing make", "unknown command 'make'"},
        {"xdsgate check", "--config FILE is missing"},
        {"xdsgate check --config", "'--config' needs a value"},
        {"xdsgate check -c", "'-c' needs a value"},
        {"xdsgate check -c a b", "unexpected argument 'b'"},
        {"xdsgate check a.yaml", "unexpected argument 'a.yaml'"},
        {"xdsgate check --config= ", "--config: '' is empty"},
        {"xdsgate check --colour -c a", "'--colour'"},
        {"xdsgate check -x -c a", "unknown option '-x'"},
        {"xdsgate check -c a -o xml", "--output: 'xml' is not known; it may be json, yaml"},
        {"xdsgate check -c a --flag=1", "--flag: '1' is neither true nor false"},
        {"xdsgate check -c a --count 10", "--count: '10' is out of range: 1 to 9"},
        {"xdsgate check -c a --count 0", "--count: '0' is out of range"},
        {"xdsgate check -c a --count 99999999999999999999", "is no whole number"},
        {"xdsgate check -c a --count 3x", "--count: '3x' is no whole number"},
        {"xdsgate check -c a --count -3", "--count: '-3' is no whole number"},
        {"xdsgate check -c a -n a,,b", "--name: '' is empty"},
        {"xdsgate check -c a --validityOfTheCertificate 5y", "'5y' is no duration"},
        {"xdsgate check -c a --validityOfTheCertificate 5s",
         "is out of range: 60 to 8640000 seconds"},
        {"xdsgate thing create", "NAME is missing"},
        {"xdsgate thing create a b", "unexpected argument 'b'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct said s;
        say(&s, cases[i].line);
        assert_int_equal(seen.runs, 0);
        assert_int_equal(s.exit, EXIT_CODE_USAGE);
        assert_string_equal(s.out, "");
        if (strstr(s.err, cases[i].reason) == NULL) {
            print_error("%s: %s", cases[i].line, s.err);
        }
        assert_non_null(strstr(s.err, cases[i].reason));
        fini(&s);
    }
}

static void test_options__too_many_texts__refused(void **state)
{
    char line[256] = "xdsgate check -c a -n ";
    struct said s;
    (void)state;
    for (size_t i = 0; i < OPTION_TEXTS_MAX + 1; i++) {
        size_t n = strlen(line);
        (void)snprintf(line + n, sizeof(line) - n, "%sx", i > 0 ? "," : "");
    }
    say(&s, line);
    assert_int_equal(s.exit, EXIT_CODE_USAGE);
    assert_non_null(strstr(s.err, "is one too many"));
    fini(&s);
}

static void test_command__help__everywhere_on_standard_output(void **state)
{
    static const struct {
        const char *line;
        const char *has;
    } cases[] = {
        {"xdsgate --help", "  thing create    make\n"},
        {"xdsgate check --help", "Usage: xdsgate check --config FILE\n\nCheck.\n\n"
                                 "  -c, --config FILE     the configuration\n"},
        {"xdsgate check --help", "\n      --validityOfTheCertificate DURATION\n"
                                 "                        how long\n"},
        {"xdsgate check -c a --help", "More.\n"},
        {"xdsgate thing --help", "  thing list      list them\n"},
        {"xdsgate thing create --help", "Usage: xdsgate thing create NAME\n"},
        {"xdsgate thing list --help", "Usage: xdsgate thing list\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct said s;
        say(&s, cases[i].line);
        assert_int_equal(s.exit, EXIT_CODE_OK);
        assert_int_equal(strncmp(s.out, "Usage: xdsgate ", 15), 0);
        if (strstr(s.out, cases[i].has) == NULL) {
            print_error("%s: %s", cases[i].line, s.out);
        }
        assert_non_null(strstr(s.out, cases[i].has));
        assert_string_equal(s.err, "");
        fini(&s);
    }
}

static void test_command__group_help__only_its_commands(void **state)
{
    struct said s;
    (void)state;
    say(&s, "xdsgate thing --help");
    assert_null(strstr(s.out, "  check"));
    fini(&s);
}

static void test_command__version__a_line(void **state)
{
    struct said s;
    (void)state;
    say(&s, "xdsgate --version");
    assert_int_equal(s.exit, EXIT_CODE_OK);
    assert_string_equal(s.out, "xdsgate " XDSGATE_VERSION "\n");
    fini(&s);
}

static void test_command__answer_not_written__an_error(void **state)
{
    char *argv[] = {(char[]){"xdsgate"}, (char[]){"--version"}, NULL};
    char *said = NULL;
    size_t n = 0;
    (void)state;
    FILE *full = fopen("/dev/full", "w");
    FILE *err = open_memstream(&said, &n);
    assert_non_null(full);
    assert_non_null(err);
    assert_int_equal(command_main(commands, 2, argv, full, err), EXIT_CODE_NO);
    (void)fclose(full);
    assert_int_equal(fclose(err), 0);
    assert_non_null(strstr(said, "standard output"));
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command__good_lines__run_with_their_options),
        cmocka_unit_test(test_command__two_words__found_with_arguments_anywhere),
        cmocka_unit_test(test_options__defaults__of_init),
        cmocka_unit_test(test_options__kinds__understood),
        cmocka_unit_test(test_command__bad_lines__exit_2_with_a_reason),
        cmocka_unit_test(test_options__too_many_texts__refused),
        cmocka_unit_test(test_command__help__everywhere_on_standard_output),
        cmocka_unit_test(test_command__group_help__only_its_commands),
        cmocka_unit_test(test_command__version__a_line),
        cmocka_unit_test(test_command__answer_not_written__an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
