/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at a bearer token. Everything here works on hostile bytes: no allocation, no recursion,
 * every read bounded, and the JSON grammar (RFC 8259) is held strictly, so that what is odd is
 * refused, not guessed.
 *
 * The JSON reader is a pull scanner over the decoded part. It walks the members of the top-level
 * object and steps over every value that is not asked for, keeping one bit per nesting level
 * (object or array).
 */
#include "certs/jwt.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/** "system:serviceaccount:NAMESPACE:ACCOUNT". */
#define JWT_SUBJECT_BYTES (32 + SPIFFE_NS_BYTES + SPIFFE_SA_BYTES)

/** Nesting of a claim; Kubernetes uses 3. One bit of a uint32_t each. */
#define JSON_MAX_DEPTH 32

/** Beyond every date and below every overflow: numbers are cut off here. */
#define EXP_MAX INT64_C(1000000000000000)

struct json {
    const char *p;
    const char *end;
};

/* A string as it stands between its quotes, escapes and all; checked. */
struct json_string {
    const char *p;
    const char *end;
};

/* ---- base64url ---- */

static int base64url_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/*
 * Decode n characters without padding (RFC 7515 2). out holds 3/4 n bytes, or is NULL to check
 * only. *n_out is the number of bytes.
 */
static bool base64url_decode(const char *s, size_t n, char *out, size_t *n_out)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t len = 0;

    if (n == 0 || n % 4 == 1) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        int v = base64url_value(s[i]);
        if (v < 0) {
            return false;
        }
        bits = (bits << 6 | (uint32_t)v) & 0xffffU;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            if (out != NULL) {
                out[len] = (char)(bits >> n_bits & 0xff);
            }
            len++;
        }
    }
    *n_out = len;
    return true;
}

/* ---- JSON ---- */

static void skip_space(struct json *j)
{
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r')) {
        j->p++;
    }
}

/* Blanks, then exactly c. */
static bool take_char(struct json *j, char c)
{
    skip_space(j);
    if (j->p == j->end || *j->p != c) {
        return false;
    }
    j->p++;
    return true;
}

static bool peek_char(struct json *j, char *c)
{
    skip_space(j);
    if (j->p == j->end) {
        return false;
    }
    *c = *j->p;
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four digits behind "\u"; -1 when they are none. */
static int32_t read_hex4(const char *p, const char *end)
{
    int32_t v = 0;

    if (end - p < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(p[i]);
        if (digit < 0) {
            return -1;
        }
        v = v * 16 + digit;
    }
    return v;
}

/* Length of the escape at p (behind the backslash), or 0. */
static size_t escape_length(const char *p, const char *end)
{
    if (p == end) {
        return 0;
    }
    if (*p == 'u') {
        return read_hex4(p + 1, end) < 0 ? 0 : 5;
    }
    return *p != '\0' && strchr("\"\\/bfnrt", *p) != NULL ? 1 : 0;
}

static bool take_string(struct json *j, struct json_string *out)
{
    if (!take_char(j, '"')) {
        return false;
    }
    out->p = j->p;
    while (j->p < j->end) {
        unsigned char c = (unsigned char)*j->p;
        if (c == '"') {
            out->end = j->p++;
            return true;
        }
        if (c < 0x20) {
            return false;
        }
        j->p++;
        if (c == '\\') {
            size_t n = escape_length(j->p, j->end);
            if (n == 0) {
                return false;
            }
            j->p += n;
        }
    }
    return false;
}

/* One character of a checked string; -1 for one that is not ASCII: no name we look for has any. */
static int next_ascii(struct json_string *s)
{
    static const char from[] = "bfnrt";
    static const char to[] = "\b\f\n\r\t";
    unsigned char c = (unsigned char)*s->p++;

    if (c != '\\') {
        return c < 0x80 ? c : -1;
    }
    c = (unsigned char)*s->p++;
    if (c == 'u') {
        int32_t code = read_hex4(s->p, s->end);
        s->p += 4;
        return code < 0x80 ? (int)code : -1;
    }
    const char *hit = strchr(from, c);
    return hit != NULL ? to[hit - from] : c;
}

/* Does the decoded string equal text, which is ASCII? */
static bool string_is(struct json_string s, const char *text)
{
    for (; s.p < s.end; text++) {
        int c = next_ascii(&s);
        if (c <= 0 || c != (unsigned char)*text) {
            return false;
        }
    }
    return *text == '\0';
}

static size_t take_digits(struct json *j)
{
    const char *start = j->p;
    while (j->p < j->end && *j->p >= '0' && *j->p <= '9') {
        j->p++;
    }
    return (size_t)(j->p - start);
}

static bool take_one_of(struct json *j, char a, char b)
{
    if (j->p == j->end || (*j->p != a && *j->p != b)) {
        return false;
    }
    j->p++;
    return true;
}

/* int [frac] [exp] of RFC 8259 6. */
static bool take_number(struct json *j)
{
    (void)take_one_of(j, '-', '-');
    const char *start = j->p;
    size_t n = take_digits(j);
    if (n == 0 || (n > 1 && *start == '0')) {
        return false;
    }
    if (take_one_of(j, '.', '.') && take_digits(j) == 0) {
        return false;
    }
    if (take_one_of(j, 'e', 'E')) {
        (void)take_one_of(j, '+', '-');
        return take_digits(j) > 0;
    }
    return true;
}

static bool take_word(struct json *j, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(j->end - j->p) < n || memcmp(j->p, word, n) != 0) {
        return false;
    }
    j->p += n;
    return true;
}

/* A value that is no object and no array. */
static bool take_scalar(struct json *j, char first)
{
    struct json_string s;

    switch (first) {
    case '"':
        return take_string(j, &s);
    case 't':
        return take_word(j, "true");
    case 'f':
        return take_word(j, "false");
    case 'n':
        return take_word(j, "null");
    default:
        return take_number(j);
    }
}

static bool take_key(struct json *j)
{
    struct json_string key;
    return take_string(j, &key) && take_char(j, ':');
}

/* The open objects and arrays on the way to where the scanner is. */
struct nesting {
    uint32_t objects; /* bit 0: the innermost is an object */
    unsigned depth;
};

/* Step into the container that starts here; *empty when it ended at once. */
static bool open_container(struct json *j, struct nesting *nest, bool *empty)
{
    bool object = *j->p++ == '{';

    if (nest->depth == JSON_MAX_DEPTH) {
        return false;
    }
    *empty = take_char(j, object ? '}' : ']');
    if (*empty) {
        return true;
    }
    nest->objects = nest->objects << 1 | (object ? 1U : 0U);
    nest->depth++;
    return !object || take_key(j);
}

/* Behind a complete value: close what ends here, and go to the next value if there is one. */
static bool after_value(struct json *j, struct nesting *nest)
{
    while (nest->depth > 0) {
        bool object = (nest->objects & 1U) != 0;
        if (take_char(j, ',')) {
            return !object || take_key(j);
        }
        if (!take_char(j, object ? '}' : ']')) {
            return false;
        }
        nest->objects >>= 1;
        nest->depth--;
    }
    return true;
}

/* Step over any value. */
static bool skip_value(struct json *j)
{
    struct nesting nest = {0};
    char c;

    do {
        bool complete = true;
        if (!peek_char(j, &c)) {
            return false;
        }
        if (c == '{' || c == '[') {
            if (!open_container(j, &nest, &complete)) {
                return false;
            }
        } else if (!take_scalar(j, c)) {
            return false;
        }
        if (complete && !after_value(j, &nest)) {
            return false;
        }
    } while (nest.depth > 0);
    return true;
}

/* ---- claims ---- */

struct claims {
    char sub[JWT_SUBJECT_BYTES]; /* "": absent, no string, or no name of an account */
    bool has_sub;
    bool has_exp;
    int64_t exp; /* whole seconds, cut off at EXP_MAX */
    bool has_aud;
    bool aud_fits;
};

/* Whole seconds; a fraction is dropped. An exponent is refused: nobody writes dates like that. */
static bool read_exp(struct json *j, struct claims *out)
{
    char c;

    if (!peek_char(j, &c) || (c != '-' && (c < '0' || c > '9'))) {
        return false;
    }
    const char *p = j->p;
    if (!take_number(j)) {
        return false;
    }
    bool negative = *p == '-';
    int64_t v = 0;
    for (p += negative ? 1 : 0; p < j->p && *p >= '0' && *p <= '9'; p++) {
        v = v < EXP_MAX ? v * 10 + (*p - '0') : v;
    }
    for (; p < j->p; p++) {
        if (*p == 'e' || *p == 'E') {
            return false;
        }
    }
    out->exp = negative ? -v : v;
    return true;
}

/* Printable ASCII that fits; anything else is no name of an account. */
static void copy_name(struct json_string s, char *out, size_t size)
{
    size_t n = 0;

    for (; s.p < s.end && n + 1 < size; n++) {
        int c = next_ascii(&s);
        if (c <= 0x20 || c >= 0x7f) {
            break;
        }
        out[n] = (char)c;
    }
    out[s.p < s.end || n + 1 >= size ? 0 : n] = '\0';
}

static bool read_sub(struct json *j, struct claims *out)
{
    struct json_string s;
    char c;

    if (!peek_char(j, &c) || c != '"') {
        return skip_value(j);
    }
    if (!take_string(j, &s)) {
        return false;
    }
    copy_name(s, out->sub, sizeof(out->sub));
    return true;
}

static bool is_expected(struct json_string s, const char *const *audiences)
{
    for (; *audiences != NULL; audiences++) {
        if (string_is(s, *audiences)) {
            return true;
        }
    }
    return false;
}

/* A string, or an array of strings. */
static bool read_aud(struct json *j, const char *const *audiences, struct claims *out)
{
    struct json_string s;
    bool array = take_char(j, '[');

    if (array && take_char(j, ']')) {
        return true;
    }
    do {
        if (!take_string(j, &s)) {
            return false;
        }
        out->aud_fits = out->aud_fits || is_expected(s, audiences);
    } while (array && take_char(j, ','));
    return !array || take_char(j, ']');
}

static bool read_member(struct json *j, const char *const *audiences, struct claims *out)
{
    struct json_string key;

    if (!take_string(j, &key) || !take_char(j, ':')) {
        return false;
    }
    if (string_is(key, "exp")) {
        bool first = !out->has_exp;
        out->has_exp = true;
        return first && read_exp(j, out);
    }
    if (string_is(key, "aud")) {
        bool first = !out->has_aud;
        out->has_aud = true;
        return first && read_aud(j, audiences, out);
    }
    if (string_is(key, "sub")) {
        bool first = !out->has_sub;
        out->has_sub = true;
        return first && read_sub(j, out);
    }
    return skip_value(j);
}

/* One object, and nothing behind it. */
static bool read_claims(const char *text, size_t n, const char *const *audiences,
                        struct claims *out)
{
    struct json j = {text, text + n};

    *out = (struct claims){0};
    if (!take_char(&j, '{')) {
        return false;
    }
    if (!take_char(&j, '}')) {
        do {
            if (!read_member(&j, audiences, out)) {
                return false;
            }
        } while (take_char(&j, ','));
        if (!take_char(&j, '}')) {
            return false;
        }
    }
    skip_space(&j);
    return j.p == j.end;
}

/* The first part is any JSON object. */
static bool is_object(const char *text, size_t n)
{
    struct json j = {text, text + n};
    char c;

    if (!peek_char(&j, &c) || c != '{' || !skip_value(&j)) {
        return false;
    }
    skip_space(&j);
    return j.p == j.end;
}

/* ---- the token ---- */

static enum rc deny(const char **why, const char *text)
{
    *why = text;
    return RC_PEER_DENIED;
}

static bool split_token(const char *token, size_t n, const char *part[3], size_t part_n[3])
{
    for (int i = 0; i < 3; i++) {
        const char *dot = memchr(token, '.', n);
        if ((dot == NULL) != (i == 2)) {
            return false;
        }
        part[i] = token;
        part_n[i] = dot == NULL ? n : (size_t)(dot - token);
        if (dot != NULL) {
            n -= part_n[i] + 1;
            token = dot + 1;
        }
    }
    return true;
}

/* The claims of a whole token, a.b.c, of at most JWT_MAX_BYTES. */
static enum rc read_token(const char *token, size_t n, const char *const *audiences,
                          struct claims *out, const char **why)
{
    char text[JWT_MAX_BYTES];
    size_t n_text;
    size_t n_signature;
    const char *part[3];
    size_t part_n[3];

    if (!split_token(token, n, part, part_n) ||
        !base64url_decode(part[2], part_n[2], NULL, &n_signature)) {
        return deny(why, "the token is not a JWT");
    }
    if (!base64url_decode(part[0], part_n[0], text, &n_text) || !is_object(text, n_text)) {
        return deny(why, "the token is not a JWT");
    }
    if (!base64url_decode(part[1], part_n[1], text, &n_text) ||
        !read_claims(text, n_text, audiences, out)) {
        return deny(why, "the claims of the token are malformed");
    }
    if (!out->has_exp) {
        return deny(why, "the token has no expiry");
    }
    return RC_OK;
}

/* The claims of the value of an authorization header. */
static enum rc read_bearer(const char *value, size_t n, const char *const *audiences,
                           struct claims *out, const char **why)
{
    static const char scheme[] = "Bearer ";
    const size_t n_scheme = sizeof(scheme) - 1;

    if (n < n_scheme || memcmp(value, scheme, n_scheme) != 0) {
        return deny(why, "authorization is not a Bearer token");
    }
    if (n > JWT_MAX_BYTES) {
        return deny(why, "the token is too long");
    }
    return read_token(value + n_scheme, n - n_scheme, audiences, out, why);
}

enum rc jwt_look(const char *value, size_t n, const char *const *audiences, int64_t now,
                 const char **why)
{
    struct claims claims;

    TRY(read_bearer(value, n, audiences, &claims, why));
    if (claims.exp < now - JWT_LEEWAY_S) {
        return deny(why, "the token has expired");
    }
    if (!claims.aud_fits) {
        return deny(why, "the token is for another audience");
    }
    return RC_OK;
}

enum rc jwt_read_expiry(const char *token, size_t n, int64_t *until, const char **why)
{
    static const char *const nobody[] = {NULL};
    struct claims claims;

    if (n > JWT_MAX_BYTES) {
        return deny(why, "the token is too long");
    }
    TRY(read_token(token, n, nobody, &claims, why));
    *until = claims.exp;
    return RC_OK;
}

enum rc jwt_read_account(const char *value, size_t n, struct spiffe_id *out, int64_t *until)
{
    static const char prefix[] = "system:serviceaccount:";
    static const char *const nobody[] = {NULL};
    const size_t n_prefix = sizeof(prefix) - 1;
    struct claims claims;
    struct spiffe_id id;
    char uri[SPIFFE_URI_BYTES];
    const char *why;

    TRY(read_bearer(value, n, nobody, &claims, &why));
    const char *ns = claims.sub + n_prefix;
    const char *sa = strncmp(claims.sub, prefix, n_prefix) == 0 ? strchr(ns, ':') : NULL;
    if (sa == NULL) {
        return RC_PEER_DENIED;
    }
    int len = snprintf(uri, sizeof(uri), "spiffe://any/ns/%.*s/sa/%s", (int)(sa - ns), ns, sa + 1);
    if (len < 0 || (size_t)len >= sizeof(uri) || spiffe_parse(uri, (size_t)len, &id) != RC_OK) {
        return RC_PEER_DENIED;
    }
    id.trust_domain[0] = '\0';
    *out = id;
    *until = claims.exp;
    return RC_OK;
}

enum rc jwt_read_claims(const char *token, size_t n, char *out, size_t *n_out)
{
    const char *part[3];
    size_t part_n[3];

    if (n > JWT_MAX_BYTES || !split_token(token, n, part, part_n) ||
        !base64url_decode(part[1], part_n[1], out, n_out)) {
        return RC_PEER_DENIED;
    }
    return RC_OK;
}
