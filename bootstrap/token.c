/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/token.h"

#include <stdio.h>
#include <string.h>

#include "certs/jwt.h"

enum rc token_read_claims(const char *token, size_t n, json_t **out)
{
    char text[JWT_MAX_BYTES];
    size_t n_text = 0;
    struct doc_error err;

    *out = NULL;
    if (jwt_read_claims(token, n, text, &n_text) != RC_OK) {
        return RC_OK;
    }
    enum rc rc = doc_parse_json(text, n_text, &err, out);
    explicit_bzero(text, sizeof(text));
    return rc == RC_INVALID ? RC_OK : rc;
}

const char *token_subject(const char *ns, const char *account, char *buf)
{
    (void)snprintf(buf, TOKEN_SUBJECT_BYTES, "system:serviceaccount:%s:%s", ns, account);
    return buf;
}

const char *token_other_subject(const json_t *claims, const char *expected)
{
    const char *subject = doc_text(claims, "sub", NULL);

    return subject != NULL && strcmp(subject, expected) != 0 ? subject : NULL;
}

int64_t token_until(const json_t *claims)
{
    const json_t *exp = doc_at(claims, "exp", NULL);

    if (!json_is_integer(exp)) {
        return INT64_MAX;
    }
    return json_integer_value(exp) > 0 ? json_integer_value(exp) : 0;
}

int64_t token_made_ahead(const json_t *claims, int64_t now_s)
{
    static const char *const dates[] = {"nbf", "iat"};
    int64_t latest = now_s;

    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        const json_t *date = doc_at(claims, dates[i], NULL);
        int64_t at = json_is_integer(date) ? json_integer_value(date) : 0;
        latest = at > latest ? at : latest;
    }
    return latest - now_s;
}
