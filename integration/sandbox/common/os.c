/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clock, log and files of the sandbox programs. The log's name and level are the one piece of
 * state that belongs to the process: rule zero, a parameter in every function would say nothing.
 */
#include "integration/sandbox/common/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "integration/sandbox/common/text.h"

#define FILE_MAX_BYTES (16 * 1024 * 1024)

static const char *log_program = "sandbox";
static bool log_verbose;

int64_t os_now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t os_wall_s(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec;
}

uint64_t os_random_below(uint64_t bound)
{
    uint64_t v = 0;

    if (bound == 0 || getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v)) {
        return 0;
    }
    return v % bound;
}

static void log_line(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

static void log_line(const char *fmt, va_list ap)
{
    struct timespec ts;
    struct tm tm;
    char when[32];
    char line[2048];

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    (void)gmtime_r(&ts.tv_sec, &tm);
    (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    (void)fprintf(stderr, "%s.%03ldZ %s: %s\n", when, ts.tv_nsec / 1000000, log_program, line);
}

void log_open(const char *program, const char *what_it_is_not, bool verbose)
{
    log_program = program;
    log_verbose = verbose;
    log_info("%s", what_it_is_not);
}

void log_info(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_line(fmt, ap);
    va_end(ap);
}

void log_debug(const char *fmt, ...)
{
    va_list ap;

    if (!log_verbose) {
        return;
    }
    va_start(ap, fmt);
    log_line(fmt, ap);
    va_end(ap);
}

char *file_read(const char *path)
{
    struct text t = {0};
    char part[4096];
    FILE *f = fopen(path, "re");
    size_t n;

    if (f == NULL) {
        return NULL;
    }
    while (t.len < FILE_MAX_BYTES && (n = fread(part, 1, sizeof(part), f)) > 0) {
        text_add_n(&t, part, n);
    }
    if (ferror(f) || t.len >= FILE_MAX_BYTES) {
        text_fini(&t);
        (void)fclose(f);
        return NULL;
    }
    (void)fclose(f);
    return text_take(&t);
}

static bool write_all(int fd, const char *s, size_t n)
{
    while (n > 0) {
        ssize_t r = write(fd, s, n);

        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r <= 0) {
            return false;
        }
        s += r;
        n -= (size_t)r;
    }
    return true;
}

bool file_write(const char *path, const char *text, mode_t mode)
{
    struct text tmp = {0};
    bool ok = false;
    int fd;

    text_addf(&tmp, "%s.new", path);
    fd = open(text_str(&tmp), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd >= 0) {
        ok = write_all(fd, text, strlen(text));
        ok = close(fd) == 0 && ok;
        ok = ok && rename(text_str(&tmp), path) == 0;
    }
    text_fini(&tmp);
    return ok;
}
