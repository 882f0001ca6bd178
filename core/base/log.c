/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines. A line is built in a buffer on the stack and leaves with one write(2), so that lines
 * of several threads never mix and a signal cannot tear one.
 *
 * Invariants:
 *  - a line with its newline is at most LINE_BYTES long (PIPE_BUF: atomic on a pipe, too);
 *  - a value that does not fit is cut, and the line says truncated=true; JSON stays JSON;
 *  - the number of the log file's descriptor never changes once it is open. Opening again is a
 *    dup3() over it, so a writer in another thread can never write into a foreign descriptor.
 *
 * The state below is the one allowed mutable global of this module: a log that had to be passed
 * down to every function would be worse (style guide, rule zero).
 */
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/show.h"

#define LINE_BYTES 4096
/** What one value may take: a long one must not push the other fields out of the line. */
#define VALUE_BYTES 1024
/** Kept free for the end of the line: suppressed, truncated, brace and newline. */
#define TAIL_BYTES 64

static struct {
    int levels[LOG_SCOPES]; /* enum log_level; relaxed atomic */
    int format;             /* enum log_format; relaxed atomic */
    int fd;                 /* where lines go; relaxed atomic */
    pthread_mutex_t lock;   /* for the two below */
    char *path;             /* owned; NULL: standard error */
    int file_fd;            /* -1 until the first file, then constant */
} state = {.levels = {[0 ... LOG_SCOPES - 1] = LOG_INFO},
           .format = LOG_TEXT,
           .fd = STDERR_FILENO,
           .lock = PTHREAD_MUTEX_INITIALIZER,
           .file_fd = -1};

struct line {
    char buf[LINE_BYTES];
    size_t len;
    enum log_format format;
    bool truncated;
};

/* ---- setup ---- */

static int open_log(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

/* Put the open file fd under the constant number; takes fd over. Lock held. */
static enum rc adopt_fd(int fd)
{
    if (state.file_fd < 0) {
        state.file_fd = fd;
        return RC_OK;
    }
    int done = dup3(fd, state.file_fd, O_CLOEXEC);
    int err = errno;
    close(fd);
    return done < 0 ? rc_from_errno(err) : RC_OK;
}

static enum rc use_file(const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL) {
        return RC_NO_MEMORY;
    }
    int fd = open_log(path);
    if (fd < 0) {
        int err = errno;
        free(copy);
        errno = err;
        return rc_from_errno(err);
    }
    enum rc rc = adopt_fd(fd);
    if (rc != RC_OK) {
        free(copy);
        return rc;
    }
    free(state.path);
    state.path = copy;
    __atomic_store_n(&state.fd, state.file_fd, __ATOMIC_RELAXED);
    return RC_OK;
}

static void use_stderr(void)
{
    __atomic_store_n(&state.fd, STDERR_FILENO, __ATOMIC_RELAXED);
    if (state.file_fd >= 0) {
        /* A late writer may still have the old number; the old file must not stay open, though. */
        (void)dup3(STDERR_FILENO, state.file_fd, O_CLOEXEC);
    }
    free(state.path);
    state.path = NULL;
}

enum rc log_setup(const struct log_opts *opts)
{
    enum rc rc = RC_OK;

    pthread_mutex_lock(&state.lock);
    if (opts->file != NULL) {
        rc = use_file(opts->file);
    } else {
        use_stderr();
    }
    if (rc == RC_OK) {
        __atomic_store_n(&state.format, (int)opts->format, __ATOMIC_RELAXED);
        log_set_level(LOG_SCOPES, opts->level);
    }
    pthread_mutex_unlock(&state.lock);
    return rc;
}

enum rc log_reopen(void)
{
    enum rc rc = RC_OK;

    pthread_mutex_lock(&state.lock);
    if (state.path != NULL) {
        int fd = open_log(state.path);
        rc = fd < 0 ? rc_from_errno(errno) : adopt_fd(fd);
    }
    pthread_mutex_unlock(&state.lock);
    return rc;
}

/* ---- levels ---- */

static const char *const scope_names[] = {
#define LOG_SCOPE_ROW(name, word) word,
#include "core/base/log_scope.def"
#undef LOG_SCOPE_ROW
};

static const char *const level_names[] = {"debug", "info", "warning", "error"};
#define N_LEVELS (sizeof(level_names) / sizeof(*level_names))

bool log_enabled(enum log_scope scope, enum log_level level)
{
    return (int)level >= __atomic_load_n(&state.levels[scope], __ATOMIC_RELAXED);
}

void log_set_level(enum log_scope scope, enum log_level level)
{
    for (int i = 0; i < LOG_SCOPES; i++) {
        if (scope == LOG_SCOPES || (int)scope == i) {
            __atomic_store_n(&state.levels[i], (int)level, __ATOMIC_RELAXED);
        }
    }
}

enum log_level log_level_of(enum log_scope scope)
{
    return (enum log_level)__atomic_load_n(&state.levels[scope], __ATOMIC_RELAXED);
}

const char *log_scope_name(enum log_scope scope)
{
    return scope_names[scope];
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

/* Which of the names n letters are; n_names: none. */
static size_t find_name(const char *const *names, size_t n_names, const char *text, size_t n)
{
    size_t i = 0;

    while (i < n_names && (strlen(names[i]) != n || strncmp(names[i], text, n) != 0)) {
        i++;
    }
    return i;
}

enum rc log_parse_level(const char *text, enum log_scope *scope, enum log_level *level)
{
    const char *equals = strchr(text, '=');
    const char *word = equals != NULL ? equals + 1 : text;
    size_t s = LOG_SCOPES;
    size_t l = find_name(level_names, N_LEVELS, word, strlen(word));

    if (equals != NULL) {
        s = find_name(scope_names, LOG_SCOPES, text, (size_t)(equals - text));
    }
    if (l == N_LEVELS || (equals != NULL && s == LOG_SCOPES)) {
        return RC_INVALID;
    }
    *scope = (enum log_scope)s;
    *level = (enum log_level)l;
    return RC_OK;
}

/* ---- bytes into the line ---- */

/* All n bytes, when they end at or before limit. */
static bool put(struct line *l, size_t limit, const char *s, size_t n)
{
    if (limit < l->len || n > limit - l->len) {
        return false;
    }
    memcpy(l->buf + l->len, s, n);
    l->len += n;
    return true;
}

static bool put_text(struct line *l, size_t limit, const char *s)
{
    return put(l, limit, s, strlen(s));
}

/*
 * One character at s of at most n bytes, escaped, into out (13 bytes). *used is what it took of s.
 * Returns the number of bytes in out.
 */
static size_t escape_one(enum log_format format, const unsigned char *s, size_t n, char *out,
                         size_t *used)
{
    uint32_t c = 0;

    *used = show_decode(s, n, &c);
    if (*used == 0) {
        *used = 1;
        return (size_t)snprintf(out, 13, format == LOG_JSON ? "\\ufffd" : "\\x%02x", s[0]);
    }
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        return 2;
    }
    if (c == '\n' || c == '\r' || c == '\t') {
        out[0] = '\\';
        out[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
        return 2;
    }
    if (show_is_unsafe(c)) {
        bool narrow = format == LOG_TEXT && c < 0x100;
        return (size_t)snprintf(out, 13, narrow ? "\\x%02x" : "\\u%04x", (unsigned)c);
    }
    for (size_t i = 0; i < *used; i++) {
        out[i] = (char)s[i];
    }
    return *used;
}

/* n bytes, escaped, up to limit; what does not fit becomes "..." and marks the line. */
static void put_escaped(struct line *l, size_t limit, const char *s, size_t n)
{
    char one[13];
    size_t i = 0;
    size_t cut = l->len; /* where the mark still fits */

    while (i < n) {
        size_t used;
        size_t len = escape_one(l->format, (const unsigned char *)s + i, n - i, one, &used);
        if (!put(l, limit, one, len)) {
            l->len = cut;
            (void)put_text(l, limit, "...");
            l->truncated = true;
            return;
        }
        if (l->len + 3 <= limit) {
            cut = l->len;
        }
        i += used;
    }
}

static bool is_bare(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '=') {
            return false;
        }
    }
    return n > 0;
}

/* ---- fields ---- */

static bool put_key(struct line *l, size_t limit, const char *key)
{
    if (l->format == LOG_TEXT) {
        return put_text(l, limit, " ") && put_text(l, limit, key) && put_text(l, limit, "=");
    }
    return put_text(l, limit, ",\"") && put_text(l, limit, key) && put_text(l, limit, "\":");
}

/* Fields end before limit. False when not even the start of the value fits. */
static bool put_string(struct line *l, size_t limit, const char *s, size_t n)
{
    if (s == NULL) {
        return put_text(l, limit, l->format == LOG_JSON ? "null" : "-");
    }
    if (limit - l->len > VALUE_BYTES) {
        limit = l->len + VALUE_BYTES;
    }
    if (l->format == LOG_TEXT && is_bare(s, n) && n <= limit - l->len) {
        return put(l, limit, s, n);
    }
    /* Two quotes, the mark, and one character of the value. */
    if (limit - l->len < 2 + 3 + 6 || !put_text(l, limit, "\"")) {
        return false;
    }
    put_escaped(l, limit - 1, s, n);
    return put_text(l, limit, "\"");
}

static bool put_int(struct line *l, size_t limit, int64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%lld", (long long)v);
    return put(l, limit, text, (size_t)n);
}

/* The whole field or nothing of it. */
static bool put_field(struct line *l, size_t limit, const struct log_field *f)
{
    size_t start = l->len;
    bool done = put_key(l, limit, f->key);

    if (done && f->kind == LOG_FIELD_INT) {
        done = put_int(l, limit, f->num);
    } else if (done) {
        size_t n = f->kind == LOG_FIELD_STRN ? f->len : f->str != NULL ? strlen(f->str) : 0;
        done = put_string(l, limit, f->str, n);
    }
    if (!done) {
        l->len = start;
        l->truncated = true;
    }
    return done;
}

static const char *const level_text[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};

static void put_head(struct line *l, enum log_level level, const char *msg)
{
    size_t limit = LINE_BYTES - TAIL_BYTES;
    char stamp[CLOCK_TEXT_BYTES];
    char head[96];

    (void)clock_text_ms(clock_wall_ms(), stamp);
    if (l->format == LOG_TEXT) {
        snprintf(head, sizeof(head), "%s %s ", stamp, level_text[level]);
    } else {
        snprintf(head, sizeof(head), "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":\"", stamp,
                 level_names[level]);
    }
    (void)put_text(l, limit, head);
    put_escaped(l, l->len + VALUE_BYTES, msg, strlen(msg));
    if (l->format == LOG_JSON) {
        (void)put_text(l, limit, "\"");
    }
}

static void put_tail(struct line *l, uint32_t suppressed)
{
    if (suppressed > 0) {
        const struct log_field f = LOG_I("suppressed", suppressed);
        (void)put_field(l, LINE_BYTES, &f);
    }
    if (l->truncated) {
        (void)put_text(l, LINE_BYTES,
                       l->format == LOG_TEXT ? " truncated=true" : ",\"truncated\":true");
    }
    (void)put_text(l, LINE_BYTES, l->format == LOG_TEXT ? "\n" : "}\n");
}

/* ---- the limit of repeats ---- */

/* May the site write now? *suppressed is then what its line has to own up to. */
static bool site_admit(struct log_site *site, uint32_t *suppressed)
{
    uint64_t now = (uint64_t)clock_mono();
    uint64_t window = __atomic_load_n(&site->window_s, __ATOMIC_RELAXED);

    /* In a new second one thread starts the count; a line more or less does not matter. */
    if (window != now && __atomic_compare_exchange_n(&site->window_s, &window, now, false,
                                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        __atomic_store_n(&site->count, 0, __ATOMIC_RELAXED);
    }
    if (__atomic_fetch_add(&site->count, 1, __ATOMIC_RELAXED) >= LOG_SITE_BURST) {
        __atomic_fetch_add(&site->suppressed, 1, __ATOMIC_RELAXED);
        return false;
    }
    *suppressed = __atomic_exchange_n(&site->suppressed, 0, __ATOMIC_RELAXED);
    return true;
}

void log_write(struct log_site *site, enum log_level level, const char *msg,
               const struct log_field *fields)
{
    struct line l; /* buf is only read up to len */
    uint32_t suppressed = 0;
    int saved_errno = errno;

    if (site != NULL && !site_admit(site, &suppressed)) {
        return;
    }
    l.len = 0;
    l.truncated = false;
    l.format = (enum log_format)__atomic_load_n(&state.format, __ATOMIC_RELAXED);
    put_head(&l, level, msg);
    for (const struct log_field *f = fields; f->kind != LOG_FIELD_END; f++) {
        if (!put_field(&l, LINE_BYTES - TAIL_BYTES, f)) {
            break;
        }
    }
    put_tail(&l, suppressed);
    /* A log that cannot be written has nobody to be told; it must not stop the daemon either. */
    while (write(__atomic_load_n(&state.fd, __ATOMIC_RELAXED), l.buf, l.len) < 0 &&
           errno == EINTR) {
    }
    errno = saved_errno;
}
