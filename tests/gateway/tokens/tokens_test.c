/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that are asked for, come, age, fail and are waited for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ev.h>

#include "gateway/tokens/tokens.h"

#define LIFE_S 3600.0

static char istio_ca[] = "istio-ca";
static char other[] = "other";
static char *const audiences[] = {istio_ca, NULL};
static char *const other_audiences[] = {other, NULL};
static const struct tokens_whose web = {"vms", "web", audiences};
static const struct tokens_whose db = {"vms", "db", audiences};

struct bench {
    struct worker *worker;
    struct tokens *tokens;
    struct token_clerk *clerk;
    int wakes;
};

/* Somebody who asks. */
struct asker {
    struct token_wait wait;
    struct tokens_answer answer;
    int answers;
};

static double now; /* of every test: set by setup */

static void wake(void *arg)
{
    struct bench *b = arg;
    b->wakes++;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    now = 1000;
    assert_non_null(b);
    assert_int_equal(worker_new(0, &b->worker), RC_OK);
    assert_int_equal(tokens_new(wake, b, now, &b->tokens), RC_OK);
    assert_int_equal(token_clerk_new(b->tokens, b->worker, &b->clerk), RC_OK);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    token_clerk_free(&b->clerk);
    tokens_free(&b->tokens);
    worker_free(&b->worker);
    free(b);
    return 0;
}

static void on_answer(struct token_wait *w)
{
    struct asker *a = (struct asker *)(void *)w;

    tokens_take_answer(w, now, &a->answer);
    a->answers++;
}

static enum tokens_outcome ask(struct bench *b, const struct tokens_whose *whose, struct asker *a)
{
    *a = (struct asker){.wait.on_answer = on_answer};
    return tokens_ask(b->clerk, whose, now, &a->wait, &a->answer);
}

static void run(struct bench *b)
{
    ev_run(b->worker->loop, EVRUN_NOWAIT);
}

static void put(struct bench *b, const char *token)
{
    struct token_account *account = tokens_take(b->tokens, now);

    assert_non_null(account);
    tokens_put(b->tokens, account, token, strlen(token), LIFE_S, now);
    run(b);
}

static void put_failure(struct bench *b, enum tokens_outcome outcome, const char *why, bool fresh)
{
    struct token_account *account = tokens_take(b->tokens, now);

    assert_non_null(account);
    assert_int_equal(tokens_put_failure(b->tokens, account,
                                        &(struct tokens_failure){.outcome = outcome, .why = why},
                                        now),
                     fresh);
    run(b);
}

/* As 429 or 503 with Retry-After, or of one account. */
static void put_busy(struct bench *b, double retry_after_s, bool of_all)
{
    const struct tokens_failure f = {.outcome = TOKENS_UNAVAILABLE,
                                     .why = "busy",
                                     .retry_after_s = retry_after_s,
                                     .of_all = of_all};
    struct token_account *account = tokens_take(b->tokens, now);

    assert_non_null(account);
    (void)tokens_put_failure(b->tokens, account, &f, now);
    (void)tokens_look(b->tokens, now);
    run(b);
}

/* There is a token, and this is it. */
static void assert_has(struct bench *b, const struct tokens_whose *whose, const char *token)
{
    struct asker a;

    assert_int_equal(ask(b, whose, &a), TOKENS_READY);
    assert_string_equal(a.answer.token, token);
    tokens_answer_fini(&a.answer);
}

static void test_tokens__first_who_asks__waits_and_gets_it(void **state)
{
    struct bench *b = *state;
    struct asker a;

    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    assert_int_equal(b->wakes, 1);
    struct token_account *account = tokens_take(b->tokens, now);
    assert_string_equal(tokens_whose(account)->ns, "vms");
    assert_string_equal(tokens_whose(account)->sa, "web");
    assert_string_equal(tokens_whose(account)->audiences[0], "istio-ca");
    assert_null(tokens_whose(account)->audiences[1]);
    run(b);
    assert_int_equal(a.answers, 0);
    tokens_put(b->tokens, account, "abcdef", 3, LIFE_S, now);
    run(b);

    assert_int_equal(a.answers, 1);
    assert_int_equal(a.answer.outcome, TOKENS_READY);
    assert_string_equal(a.answer.token, "abc");
    tokens_answer_fini(&a.answer);
}

static void test_tokens__many_of_one_account__share_one_request(void **state)
{
    struct bench *b = *state;
    struct asker all[20];

    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(ask(b, &web, &all[i]), TOKENS_WAITS);
    }
    assert_int_equal(b->wakes, 1);
    put(b, "t");

    assert_null(tokens_take(b->tokens, now));
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(all[i].answers, 1);
        assert_string_equal(all[i].answer.token, "t");
        tokens_answer_fini(&all[i].answer);
    }
    assert_has(b, &web, "t");
}

static void test_tokens__other_accounts_and_audiences__have_their_own(void **state)
{
    static const struct tokens_whose variants[] = {
        {"vms", "web", other_audiences}, {"vms", "db", audiences}, {"vm", "sweb", audiences}};
    struct bench *b = *state;
    struct asker a;

    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    put(b, "t");
    tokens_answer_fini(&a.answer);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ask(b, &variants[i], &a), TOKENS_WAITS);
        tokens_cancel(&a.wait);
    }
}

static void get(struct bench *b, const struct tokens_whose *whose, const char *token)
{
    struct asker a;

    assert_int_equal(ask(b, whose, &a), TOKENS_WAITS);
    put(b, token);
    tokens_answer_fini(&a.answer);
}

static void test_tokens__used_account__renewed_at_four_fifths(void **state)
{
    struct bench *b = *state;

    struct asker a;

    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    now += 0.1; /* who waited uses it */
    put(b, "old");
    tokens_answer_fini(&a.answer);
    now += 0.79 * LIFE_S;
    (void)tokens_look(b->tokens, now);
    assert_null(tokens_take(b->tokens, now));
    now += 0.02 * LIFE_S;
    (void)tokens_look(b->tokens, now);
    assert_has(b, &web, "old");
    put(b, "new");

    assert_has(b, &web, "new");
}

static void test_tokens__asked_late_in_its_life__given_and_renewed(void **state)
{
    struct bench *b = *state;

    get(b, &web, "old");
    now += 0.85 * LIFE_S;
    int wakes = b->wakes;
    assert_has(b, &web, "old");

    assert_int_equal(b->wakes, wakes + 1);
    assert_has(b, &web, "old");
    assert_int_equal(b->wakes, wakes + 1);
    put(b, "new");
    assert_has(b, &web, "new");
}

static void test_tokens__cannot_be_renewed__lives_to_its_end(void **state)
{
    struct bench *b = *state;
    struct asker a;

    get(b, &web, "old");
    now += 0.85 * LIFE_S;
    assert_has(b, &web, "old");
    put_failure(b, TOKENS_UNAVAILABLE, "away", true);
    now += 0.14 * LIFE_S;
    assert_has(b, &web, "old");
    put_failure(b, TOKENS_UNAVAILABLE, "away", false);
    now += 0.01 * LIFE_S - TOKENS_MARGIN_S + 1; /* too short to use */

    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    put_failure(b, TOKENS_UNAVAILABLE, "still away", false);
    assert_int_equal(a.answer.outcome, TOKENS_UNAVAILABLE);
    assert_string_equal(a.answer.why, "still away");
}

static void test_tokens__unused_account__not_renewed(void **state)
{
    struct bench *b = *state;
    struct tokens_stats s;

    get(b, &web, "old");
    now += 0.85 * LIFE_S;
    assert_has(b, &web, "old");
    now += 0.1;
    put(b, "second");
    now += 0.85 * LIFE_S;
    (void)tokens_look(b->tokens, now); /* "second" was never used */

    assert_null(tokens_take(b->tokens, now));
    now += 7200;
    (void)tokens_look(b->tokens, now);
    tokens_stats(b->tokens, now, &s);
    assert_int_equal(s.accounts, 0);
}

static void test_tokens__refused__known_at_once_and_asked_again_later(void **state)
{
    struct bench *b = *state;
    struct asker a;

    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    put_failure(b, TOKENS_REFUSED, "no service account \"web\"", true);
    assert_int_equal(a.answers, 1);
    assert_int_equal(a.answer.outcome, TOKENS_REFUSED);
    assert_string_equal(a.answer.why, "no service account \"web\"");

    now += 9;
    assert_int_equal(ask(b, &web, &a), TOKENS_REFUSED);
    assert_string_equal(a.answer.why, "no service account \"web\"");
    assert_null(tokens_take(b->tokens, now));
    now += 2;
    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    put_failure(b, TOKENS_REFUSED, "no service account \"web\"", false);
    now += 11;
    get(b, &web, "t");
    assert_has(b, &web, "t");
}

static void test_tokens__unavailable__pause_grows_to_its_limit(void **state)
{
    static const double pauses[] = {1, 2, 4, 8, 15, 15};
    struct bench *b = *state;
    struct asker a;

    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
        put_failure(b, TOKENS_UNAVAILABLE, "away", i == 0);
        now += pauses[i] - 0.1;
        assert_int_equal(ask(b, &web, &a), TOKENS_UNAVAILABLE);
        now += 0.2;
    }
}

static void test_tokens__server_wants_a_pause__the_account_is_left_alone_for_so_long(void **state)
{
    static const struct {
        double said, held;
    } rows[] = {{60, 60}, {0.5, 1}, {86400, TOKENS_RETRY_AFTER_MAX_S}};
    struct bench *b = *state;
    struct asker a;

    for (size_t i = 0; i < 3; i++) {
        tokens_reset(b->tokens);
        assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
        put_busy(b, rows[i].said, false);
        assert_int_equal(a.answer.outcome, TOKENS_UNAVAILABLE);
        now += rows[i].held - 0.1;
        assert_int_equal(ask(b, &web, &a), TOKENS_UNAVAILABLE);
        assert_null(tokens_take(b->tokens, now));
        get(b, &db, "t"); /* another account is another matter */
        tokens_reset(b->tokens);
        get(b, &web, "t");
    }
}

static void test_tokens__server_is_busy__nothing_is_requested_meanwhile(void **state)
{
    struct bench *b = *state;
    struct asker a;
    struct asker c;

    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    assert_int_equal(ask(b, &db, &c), TOKENS_WAITS);
    put_busy(b, 60, true);
    assert_int_equal(a.answers, 1);
    assert_int_equal(c.answers, 1); /* it would wait in vain */
    assert_string_equal(c.answer.why, "busy");

    now += 44;
    assert_int_equal(ask(b, &db, &c), TOKENS_UNAVAILABLE);
    assert_string_equal(c.answer.why, "busy");
    now += 2; /* near enough to the end of it */
    assert_int_equal(ask(b, &db, &c), TOKENS_WAITS);
    assert_null(tokens_take(b->tokens, now));
    assert_true(tokens_look(b->tokens, now) >= 1);
    now += 13.5;
    assert_null(tokens_take(b->tokens, now));
    assert_true(tokens_look(b->tokens, now) > 0.4);
    now += 0.6;
    assert_int_equal(tokens_look(b->tokens, now), 0);
    put(b, "t");
    assert_string_equal(c.answer.token, "t");
    tokens_answer_fini(&c.answer);
}

static void test_tokens__server_is_busy__a_short_pause_is_waited_for(void **state)
{
    struct bench *b = *state;
    struct asker a;
    struct asker c;

    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    assert_int_equal(ask(b, &db, &c), TOKENS_WAITS);
    put_busy(b, 3, true);
    assert_int_equal(c.answers, 0);
    assert_null(tokens_take(b->tokens, now));
    now += 3;
    put(b, "t");

    assert_int_equal(c.answers, 1);
    assert_string_equal(c.answer.token, "t");
    tokens_answer_fini(&c.answer);
}

static void test_tokens__server_is_busy__tokens_that_are_there_are_given(void **state)
{
    struct bench *b = *state;
    struct asker a;

    get(b, &web, "old");
    assert_int_equal(ask(b, &db, &a), TOKENS_WAITS);
    put_busy(b, 60, true);
    now += 59;
    assert_has(b, &web, "old");
}

static void test_tokens__reset_while_the_server_is_busy__the_other_one_is_asked(void **state)
{
    struct bench *b = *state;
    struct asker a;

    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    put_busy(b, 60, true);
    tokens_reset(b->tokens);

    get(b, &web, "t");
}

static void test_tokens__long_wait__answered(void **state)
{
    struct bench *b = *state;
    struct asker a;

    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    struct token_account *account = tokens_take(b->tokens, now);
    now += TOKENS_WAIT_S - 1;
    (void)tokens_look(b->tokens, now);
    run(b);
    assert_int_equal(a.answers, 0);
    now += 1;
    (void)tokens_look(b->tokens, now);
    run(b);

    assert_int_equal(a.answers, 1);
    assert_int_equal(a.answer.outcome, TOKENS_UNAVAILABLE);
    assert_string_equal(a.answer.why, "Kubernetes has not answered in time");
    tokens_put(b->tokens, account, "late", 4, LIFE_S, now);
    assert_has(b, &web, "late");
}

static void test_tokens__cancelled_before_and_after_the_answer__nothing_comes(void **state)
{
    struct bench *b = *state;
    struct asker a;
    struct asker c;
    struct asker d;

    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    assert_int_equal(ask(b, &web, &c), TOKENS_WAITS);
    assert_int_equal(ask(b, &web, &d), TOKENS_WAITS);
    tokens_cancel(&a.wait);
    struct token_account *account = tokens_take(b->tokens, now);
    tokens_put(b->tokens, account, "t", 1, LIFE_S, now); /* posted, not delivered */
    tokens_cancel(&c.wait);
    run(b);

    assert_int_equal(a.answers, 0);
    assert_int_equal(c.answers, 0);
    assert_int_equal(d.answers, 1);
    tokens_answer_fini(&d.answer);
    tokens_cancel(&a.wait);
}

static void test_tokens__rejected_by_istiod__the_next_gets_another(void **state)
{
    struct bench *b = *state;
    struct asker a;
    struct asker c;

    get(b, &web, "bad");
    assert_int_equal(ask(b, &web, &a), TOKENS_READY);
    tokens_reject(b->clerk, &web, a.answer.serial, now);
    assert_has(b, &web, "bad"); /* it is new: another would be refused, too */
    now += 6;
    tokens_reject(b->clerk, &db, a.answer.serial, now);
    tokens_reject(b->clerk, &web, a.answer.serial + 1, now);
    assert_has(b, &web, "bad");
    tokens_reject(b->clerk, &web, a.answer.serial, now);

    assert_int_equal(ask(b, &web, &c), TOKENS_WAITS);
    put(b, "good");
    assert_string_equal(c.answer.token, "good");
    tokens_answer_fini(&a.answer);
    tokens_answer_fini(&c.answer);
}

static void test_tokens__many_accounts__bounded_in_number_and_rate(void **state)
{
    struct bench *b = *state;
    struct token_account *taken[TOKENS_IN_FLIGHT_MAX];
    struct asker a[64];
    char names[64][8];
    struct tokens_whose whose = web;

    for (size_t i = 0; i < 64; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "a%zu", i);
        whose.sa = names[i];
        assert_int_equal(ask(b, &whose, &a[i]), TOKENS_WAITS);
    }
    for (size_t i = 0; i < TOKENS_IN_FLIGHT_MAX; i++) {
        taken[i] = tokens_take(b->tokens, now);
        assert_non_null(taken[i]);
    }
    assert_null(tokens_take(b->tokens, now));
    size_t done = 0;
    for (; taken[done % TOKENS_IN_FLIGHT_MAX] != NULL; done++) {
        tokens_put(b->tokens, taken[done % TOKENS_IN_FLIGHT_MAX], "t", 1, LIFE_S, now);
        taken[done % TOKENS_IN_FLIGHT_MAX] = tokens_take(b->tokens, now);
    }
    assert_int_equal(done + TOKENS_IN_FLIGHT_MAX - 1, TOKENS_PER_SECOND + 7);
    assert_true(tokens_look(b->tokens, now) > 0);
    now += 1;
    assert_non_null(tokens_take(b->tokens, now));
    run(b);
    tokens_close(b->tokens, now);
    run(b);

    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(a[i].answers, 1);
        tokens_answer_fini(&a[i].answer);
    }
}

static void test_tokens__too_many_accounts__unavailable_until_some_are_forgotten(void **state)
{
    struct bench *b = *state;
    struct tokens_whose whose = web;
    char name[16];
    struct asker a;

    whose.sa = name;
    for (size_t i = 0; i < TOKENS_ACCOUNTS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "a%zu", i);
        assert_int_equal(ask(b, &whose, &a), TOKENS_WAITS);
        tokens_cancel(&a.wait);
        struct token_account *account = tokens_take(b->tokens, now);
        assert_non_null(account);
        tokens_put(b->tokens, account, "t", 1, LIFE_S, now);
        now += 0.06;
    }
    assert_int_equal(ask(b, &web, &a), TOKENS_UNAVAILABLE);
    now += 3600;

    get(b, &web, "t");
}

static void test_tokens__reset__everybody_asks_again(void **state)
{
    struct bench *b = *state;
    struct asker a;

    get(b, &web, "old");
    assert_int_equal(ask(b, &db, &a), TOKENS_WAITS);
    put_failure(b, TOKENS_REFUSED, "no", true);
    tokens_reset(b->tokens);

    get(b, &web, "new");
    get(b, &db, "t");
}

static void test_tokens__request_given_up__who_waits_goes_on_waiting(void **state)
{
    struct bench *b = *state;
    struct asker a;

    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    struct token_account *account = tokens_take(b->tokens, now);
    tokens_put_back(b->tokens, account, now);
    tokens_reset(b->tokens);
    run(b);
    assert_int_equal(a.answers, 0);
    assert_int_equal(tokens_look(b->tokens, now), 0);
    put(b, "t");

    assert_int_equal(a.answers, 1);
    assert_string_equal(a.answer.token, "t");
    tokens_answer_fini(&a.answer);
}

static void test_tokens__request_given_up_at_the_end__nothing_is_wanted(void **state)
{
    struct bench *b = *state;
    struct asker a;

    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    struct token_account *account = tokens_take(b->tokens, now);
    tokens_close(b->tokens, now);
    tokens_put_back(b->tokens, account, now);
    run(b);

    assert_string_equal(a.answer.why, "xdsgate is stopping");
    assert_null(tokens_take(b->tokens, now));
}

static void test_tokens__closed__who_waits_and_who_asks_are_told(void **state)
{
    struct bench *b = *state;
    struct asker a;
    struct asker c;

    assert_int_equal(ask(b, &web, &a), TOKENS_WAITS);
    tokens_close(b->tokens, now);
    run(b);

    assert_int_equal(a.answer.outcome, TOKENS_UNAVAILABLE);
    assert_string_equal(a.answer.why, "xdsgate is stopping");
    assert_int_equal(ask(b, &web, &c), TOKENS_UNAVAILABLE);
    assert_null(tokens_take(b->tokens, now));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tokens__first_who_asks__waits_and_gets_it),
        TEST(test_tokens__many_of_one_account__share_one_request),
        TEST(test_tokens__other_accounts_and_audiences__have_their_own),
        TEST(test_tokens__used_account__renewed_at_four_fifths),
        TEST(test_tokens__asked_late_in_its_life__given_and_renewed),
        TEST(test_tokens__cannot_be_renewed__lives_to_its_end),
        TEST(test_tokens__unused_account__not_renewed),
        TEST(test_tokens__refused__known_at_once_and_asked_again_later),
        TEST(test_tokens__unavailable__pause_grows_to_its_limit),
        TEST(test_tokens__server_wants_a_pause__the_account_is_left_alone_for_so_long),
        TEST(test_tokens__server_is_busy__nothing_is_requested_meanwhile),
        TEST(test_tokens__server_is_busy__a_short_pause_is_waited_for),
        TEST(test_tokens__server_is_busy__tokens_that_are_there_are_given),
        TEST(test_tokens__reset_while_the_server_is_busy__the_other_one_is_asked),
        TEST(test_tokens__long_wait__answered),
        TEST(test_tokens__cancelled_before_and_after_the_answer__nothing_comes),
        TEST(test_tokens__rejected_by_istiod__the_next_gets_another),
        TEST(test_tokens__many_accounts__bounded_in_number_and_rate),
        TEST(test_tokens__too_many_accounts__unavailable_until_some_are_forgotten),
        TEST(test_tokens__reset__everybody_asks_again),
        TEST(test_tokens__request_given_up__who_waits_goes_on_waiting),
        TEST(test_tokens__request_given_up_at_the_end__nothing_is_wanted),
        TEST(test_tokens__closed__who_waits_and_who_asks_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
