/* SPDX-License-Identifier: Apache-2.0 */
/* The process_* metrics that Prometheus client libraries have, read from /proc/self (proc(5)). */
#include "gateway/admin/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/** Fields of /proc/self/stat behind the name, counted from its state (0). */
enum { STAT_UTIME = 11, STAT_STIME = 12, STAT_RSS_PAGES = 21, STAT_FIELDS = 22 };

static void write_row(FILE *out, const char *name, const char *kind, const char *help)
{
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n%s ", name, help, name, kind, name);
}

/* The first line of a small file; false when there is none. */
static bool read_line(const char *path, char *line, size_t size)
{
    FILE *f = fopen(path, "re");

    if (f == NULL) {
        return false;
    }
    bool ok = fgets(line, (int)size, f) != NULL;
    (void)fclose(f);
    return ok;
}

/* The name in parentheses may itself hold blanks and parentheses. */
static bool read_stat(uint64_t *fields)
{
    char line[1024];

    if (!read_line("/proc/self/stat", line, sizeof(line))) {
        return false;
    }
    char *at = strrchr(line, ')');
    if (at == NULL || strlen(at) < 4) {
        return false;
    }
    at += 3; /* ") S" */
    for (int i = 1; i < STAT_FIELDS; i++) {
        char *end = at;
        fields[i] = (uint64_t)strtoll(at, &end, 10);
        if (end == at) {
            return false;
        }
        at = end;
    }
    return true;
}

static bool count_fds(unsigned *n)
{
    DIR *d = opendir("/proc/self/fd");

    if (d == NULL) {
        return false;
    }
    *n = 0;
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        *n += e->d_name[0] != '.';
    }
    (void)closedir(d);
    *n -= 1; /* the folder itself was open */
    return true;
}

static void write_stat(FILE *out)
{
    uint64_t fields[STAT_FIELDS] = {0};
    double ticks = (double)sysconf(_SC_CLK_TCK);

    if (!read_stat(fields)) {
        return;
    }
    write_row(out, "process_cpu_seconds_total", "counter",
              "Total user and system CPU time spent in seconds");
    (void)fprintf(out, "%.2f\n", (double)(fields[STAT_UTIME] + fields[STAT_STIME]) / ticks);
    write_row(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes");
    (void)fprintf(out, "%" PRIu64 "\n", fields[STAT_RSS_PAGES] * (uint64_t)sysconf(_SC_PAGESIZE));
}

void metrics_write_process(FILE *out, double start_time_s)
{
    struct rlimit files;
    unsigned n_fds = 0;

    write_row(out, "process_start_time_seconds", "gauge",
              "Start time of the process since unix epoch in seconds");
    (void)fprintf(out, "%.3f\n", start_time_s);
    write_stat(out);
    if (count_fds(&n_fds)) {
        write_row(out, "process_open_fds", "gauge", "Number of open file descriptors");
        (void)fprintf(out, "%u\n", n_fds);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        write_row(out, "process_max_fds", "gauge", "Maximum number of open file descriptors");
        (void)fprintf(out, "%" PRIu64 "\n", (uint64_t)files.rlim_cur);
    }
}
