/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: what is asked for, what is said, and the exit code that scripts see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/daemon/cli.h"

#define MAX_ARGS 8

struct said {
    struct cli cli;
    enum cli_exit exit;
    bool go_on;
    char *out; /**< owned */
    char *err; /**< owned */
};

/* line: words separated by single blanks. Strings of the answer live in static storage until the
 * next call. */
static void parse(struct said *s, const char *line)
{
    static char words[256];
    char *argv[MAX_ARGS + 1] = {NULL};
    int argc = 0;
    size_t n = 0;
    assert_true(strlen(line) < sizeof(words));
    memcpy(words, line, strlen(line) + 1);
    for (char *w = words; w != NULL && argc < MAX_ARGS;) {
        argv[argc++] = w;
        w = strchr(w, ' ');
        if (w != NULL) {
            *w++ = '\0';
        }
    }
    *s = (struct said){.exit = CLI_EXIT_UNREACHABLE};
    FILE *out = open_memstream(&s->out, &n);
    FILE *err = open_memstream(&s->err, &n);
    assert_non_null(out);
    assert_non_null(err);
    s->go_on = cli_parse(argc, argv, out, err, &s->cli, &s->exit);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(fclose(err), 0);
}

static void fini(struct said *s)
{
    free(s->out);
    free(s->err);
}

static void test_cli__good_lines__understood(void **state)
{
    static const struct {
        const char *line;
        enum cli_command command;
        const char *config;
        bool json;
    } cases[] = {
        {"xdsgate run --config a.yaml", CLI_RUN, "a.yaml", false},
        {"xdsgate run --config=a.yaml", CLI_RUN, "a.yaml", false},
        {"xdsgate check -c a.yaml", CLI_CHECK, "a.yaml", false},
        {"xdsgate check -ca.yaml", CLI_CHECK, "a.yaml", false},
        {"xdsgate version", CLI_VERSION, NULL, false},
        {"xdsgate --version", CLI_VERSION, NULL, false},
        {"xdsgate version -o json", CLI_VERSION, NULL, true},
        {"xdsgate version --output=json", CLI_VERSION, NULL, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct said s;
        parse(&s, cases[i].line);
        assert_true(s.go_on);
        assert_int_equal(s.cli.command, cases[i].command);
        assert_int_equal(s.cli.json, cases[i].json);
        if (cases[i].config != NULL) {
            assert_string_equal(s.cli.config_path, cases[i].config);
        } else {
            assert_null(s.cli.config_path);
        }
        assert_string_equal(s.out, "");
        assert_string_equal(s.err, "");
        fini(&s);
    }
}

static void test_cli__bad_lines__exit_2_with_a_reason(void **state)
{
    static const struct {
        const char *line;
        const char *reason;
    } cases[] = {
        {"xdsgate", "Usage: xdsgate COMMAND"},
        {"xdsgate vm list", "unknown command 'vm'"},
        {"xdsgate ", "unknown command ''"},
        {"xdsgate -x", "unknown option '-x'"},
        {"xdsgate run", "--config FILE is missing"},
        {"xdsgate check", "--config FILE is missing"},
        {"xdsgate check --config", "'--config' needs a value"},
        {"xdsgate check -c", "'-c' needs a value"},
        {"xdsgate check -c a b", "unexpected argument 'b'"},
        {"xdsgate check a.yaml", "unexpected argument 'a.yaml'"},
        {"xdsgate check --colour -c a", "'--colour'"},
        {"xdsgate check -x -c a", "unknown option '-x'"},
        {"xdsgate version -o yaml", "unknown output format 'yaml'"},
        {"xdsgate version -c a", "unknown option '-c'"},
        {"xdsgate run -o json", "unknown option '-o'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct said s;
        parse(&s, cases[i].line);
        assert_false(s.go_on);
        assert_int_equal(s.exit, CLI_EXIT_USAGE);
        assert_string_equal(s.out, "");
        if (strstr(s.err, cases[i].reason) == NULL) {
            print_error("%s: %s", cases[i].line, s.err);
        }
        assert_non_null(strstr(s.err, cases[i].reason));
        fini(&s);
    }
}

static void test_cli__help__everywhere_on_standard_output(void **state)
{
    static const char *const lines[] = {"xdsgate --help", "xdsgate run --help",
                                        "xdsgate check --help", "xdsgate version --help",
                                        "xdsgate check -c a --help"};
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct said s;
        parse(&s, lines[i]);
        assert_false(s.go_on);
        assert_int_equal(s.exit, CLI_EXIT_OK);
        assert_int_equal(strncmp(s.out, "Usage: xdsgate ", 15), 0);
        assert_string_equal(s.err, "");
        fini(&s);
    }
}

static void test_cli__version__text_and_json(void **state)
{
    char *text = NULL;
    size_t n = 0;
    (void)state;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    cli_write_version(out, false);
    cli_write_version(out, true);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text,
                        "xdsgate " XDSGATE_VERSION "\n{\"version\": \"" XDSGATE_VERSION "\"}\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli__good_lines__understood),
        cmocka_unit_test(test_cli__bad_lines__exit_2_with_a_reason),
        cmocka_unit_test(test_cli__help__everywhere_on_standard_output),
        cmocka_unit_test(test_cli__version__text_and_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
