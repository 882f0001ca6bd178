/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/check.h"
#include "core/net/worker.h"
#include "gateway/admin/metrics_internal.h"

/** A row of counter.def. */
struct row {
    const char *kind;
    const char *metric;
    const char *labels;
    const char *help;
};

static const struct row rows[COUNTER_COUNT] = {
#define COUNTER(name, knd, met, lab, hlp) [COUNTER_##name] = {#knd, met, lab, hlp},
#include "core/base/counter.def"
#undef COUNTER
};

void metrics_write_head(FILE *out, const char *metric, const char *kind, const char *help)
{
    (void)fprintf(out, "# HELP " METRICS_PREFIX "%s %s\n# TYPE " METRICS_PREFIX "%s %s\n", metric,
                  help, metric, kind);
}

void metrics_write_label_value(FILE *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\n') {
            (void)fputs("\\n", out);
            continue;
        }
        if (*c == '\\' || *c == '"') {
            (void)fputc('\\', out);
        }
        (void)fputc(*c, out);
    }
}

void metrics_write_labelled(FILE *out, const char *metric, const char *label, const char *value)
{
    (void)fprintf(out, METRICS_PREFIX "%s{%s=\"", metric, label);
    metrics_write_label_value(out, value);
    (void)fputs("\"} ", out);
}

void metrics_write_histogram(FILE *out, const char *metric, const char *label,
                             const struct histogram *h, const struct histogram_scale *scale)
{
    const char *comma = label[0] != '\0' ? "," : "";
    uint64_t so_far = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        so_far += h->buckets[i];
        (void)fprintf(out, METRICS_PREFIX "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", metric, label,
                      comma, (double)scale->bounds[i] / scale->per_second, so_far);
    }
    so_far += h->buckets[HISTOGRAM_BUCKETS];
    const char *open = label[0] != '\0' ? "{" : "";
    const char *close = label[0] != '\0' ? "}" : "";
    (void)fprintf(out, METRICS_PREFIX "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", metric, label,
                  comma, so_far);
    (void)fprintf(out, METRICS_PREFIX "%s_sum%s%s%s %.6f\n", metric, open, label, close,
                  (double)h->sum / scale->per_second);
    (void)fprintf(out, METRICS_PREFIX "%s_count%s%s%s %" PRIu64 "\n", metric, open, label, close,
                  so_far);
}

/* The sum over the workers of the value that stands at this offset in struct counters. */
static uint64_t sum(const struct metrics_input *in, size_t offset)
{
    uint64_t total = 0;

    for (size_t i = 0; i < in->n_workers; i++) {
        const char *base = (const char *)in->workers[i];
        total += counter_read((const uint64_t *)(const void *)(base + offset));
    }
    return total;
}

/* Signed: a gauge that ever went below zero is to be seen as such. */
static void write_counters(FILE *out, const struct metrics_input *in)
{
    const char *metric = "";

    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        const struct row *r = &rows[i];
        if (strcmp(r->metric, metric) != 0) {
            metric = r->metric;
            metrics_write_head(out, r->metric, r->kind, r->help);
        }
        const char *open = r->labels[0] != '\0' ? "{" : "";
        const char *close = r->labels[0] != '\0' ? "}" : "";
        uint64_t value = sum(in, offsetof(struct counters, v) + i * sizeof(uint64_t));
        (void)fprintf(out, METRICS_PREFIX "%s%s%s%s %" PRId64 "\n", r->metric, open, r->labels,
                      close, (int64_t)value);
    }
}

static void write_ends(FILE *out, const struct metrics_input *in, const char *metric,
                       const char *help, size_t offset)
{
    metrics_write_head(out, metric, "counter", help);
    for (size_t i = END_NONE + 1; i < END_COUNT; i++) {
        metrics_write_labelled(out, metric, "reason", end_label((enum end_reason)i));
        (void)fprintf(out, "%" PRIu64 "\n", sum(in, offset + i * sizeof(uint64_t)));
    }
}

static void write_turns(FILE *out, const struct metrics_input *in)
{
    static const char metric[] = "loop_turn_seconds";
    const size_t at = offsetof(struct counters, turns);
    struct histogram h = {.sum = sum(in, at + offsetof(struct histogram, sum))};

    for (size_t i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        h.buckets[i] = sum(in, at + offsetof(struct histogram, buckets) + i * sizeof(uint64_t));
    }
    metrics_write_head(out, metric, "histogram",
                       "Turns of the event loops, from the end of a wait for events to the next");
    metrics_write_histogram(out, metric, "", &h, &worker_turn_scale);
}

static void write_upstreams(FILE *out, const struct metrics_input *in)
{
    if (in->n_upstreams == 0) {
        return;
    }
    metrics_write_head(
        out, "upstream_usable", "gauge",
        "1 when some endpoint of the upstream takes connections, as far as is known");
    for (size_t i = 0; i < in->n_upstreams; i++) {
        metrics_write_labelled(out, "upstream_usable", "upstream", in->upstreams[i].name);
        (void)fprintf(out, "%d\n", in->upstreams[i].usable ? 1 : 0);
    }
    metrics_write_head(out, "upstream_new_streams_per_second", "gauge",
                       "New streams per second that the upstream is offered at most now");
    for (size_t i = 0; i < in->n_upstreams; i++) {
        metrics_write_labelled(out, "upstream_new_streams_per_second", "upstream",
                               in->upstreams[i].name);
        (void)fprintf(out, "%.3f\n", in->upstreams[i].new_streams_per_second);
    }
}

static bool any_discovered(const struct metrics_input *in)
{
    for (size_t i = 0; i < in->n_upstreams; i++) {
        if (in->upstreams[i].discovered) {
            return true;
        }
    }
    return false;
}

static void write_discovered(FILE *out, const struct metrics_upstream *u, const char *metric,
                             size_t value)
{
    if (u->discovered) {
        metrics_write_labelled(out, metric, "upstream", u->name);
        (void)fprintf(out, "%zu\n", value);
    }
}

static void write_discovery(FILE *out, const struct metrics_input *in)
{
    static const char current[] = "discovery_current";
    static const char addresses[] = "discovery_addresses";

    if (!any_discovered(in)) {
        return;
    }
    metrics_write_head(out, current, "gauge",
                       "1 when Kubernetes tells changes of the upstream's endpoints");
    for (size_t i = 0; i < in->n_upstreams; i++) {
        write_discovered(out, &in->upstreams[i], current, in->upstreams[i].addresses_current);
    }
    metrics_write_head(out, addresses, "gauge",
                       "Addresses of the upstream that Kubernetes has said");
    for (size_t i = 0; i < in->n_upstreams; i++) {
        write_discovered(out, &in->upstreams[i], addresses, in->upstreams[i].addresses);
    }
}

static void write_time(FILE *out, const char *metric, const char *label, const char *value,
                       int64_t at)
{
    metrics_write_labelled(out, metric, label, value);
    (void)fprintf(out, "%" PRId64 "\n", at);
}

static void write_client_roots(FILE *out, const struct metrics_input *in)
{
    static const char metric[] = "client_roots_expiry_timestamp_seconds";
    bool headed = false;

    for (size_t i = 0; i < in->n_certificates; i++) {
        const struct metrics_certificate *c = &in->certificates[i];
        if (c->roots_expiry_s != 0 && !headed) {
            metrics_write_head(
                out, metric, "gauge",
                "When the last of the listener's client roots expires, since unix epoch");
            headed = true;
        }
        if (c->roots_expiry_s != 0) {
            write_time(out, metric, "listener", c->listener, c->roots_expiry_s);
        }
    }
}

static void write_upstream_roots(FILE *out, const struct metrics_input *in)
{
    static const char metric[] = "upstream_roots_expiry_timestamp_seconds";
    bool headed = false;

    for (size_t i = 0; i < in->n_upstreams; i++) {
        const struct metrics_upstream *u = &in->upstreams[i];
        if (u->roots_expiry_s != 0 && !headed) {
            metrics_write_head(out, metric, "gauge",
                               "When the last of the upstream's roots expires, since unix epoch");
            headed = true;
        }
        if (u->roots_expiry_s != 0) {
            write_time(out, metric, "upstream", u->name, u->roots_expiry_s);
        }
    }
}

static void write_count(FILE *out, const char *metric, const char *label, const char *value,
                        size_t n)
{
    metrics_write_labelled(out, metric, label, value);
    (void)fprintf(out, "%zu\n", n);
}

/* What is known of the mesh's roots, beside those that are believed. */
static void write_missing_roots(FILE *out, const struct metrics_input *in)
{
    static const char client[] = "client_roots_missing";
    static const char upstream[] = "upstream_roots_missing";
    bool headed = false;

    if (in->n_certificates > 0) {
        metrics_write_head(out, client, "gauge",
                           "Roots that the mesh publishes and the listener does not believe");
    }
    for (size_t i = 0; i < in->n_certificates; i++) {
        write_count(out, client, "listener", in->certificates[i].listener,
                    in->certificates[i].roots_missing);
    }
    for (size_t i = 0; i < in->n_upstreams; i++) {
        const struct metrics_upstream *u = &in->upstreams[i];
        if (u->roots_expiry_s != 0 && !headed) {
            metrics_write_head(out, upstream, "gauge",
                               "Roots that the mesh publishes and the upstream does not believe");
            headed = true;
        }
        if (u->roots_expiry_s != 0) {
            write_count(out, upstream, "upstream", u->name, u->roots_missing);
        }
    }
}

static void write_roots(FILE *out, const struct metrics_input *in)
{
    if (in->cluster == NULL || !in->cluster->roots_watched) {
        return;
    }
    metrics_write_head(out, "mesh_roots_current", "gauge",
                       "Whether Kubernetes tells which roots the mesh publishes");
    (void)fprintf(out, METRICS_PREFIX "mesh_roots_current %d\n",
                  in->cluster->roots_current ? 1 : 0);
    if (in->cluster->roots_known) {
        write_missing_roots(out, in);
    }
}

static void write_certificates(FILE *out, const struct metrics_input *in)
{
    static const char metric[] = "certificate_expiry_timestamp_seconds";

    if (in->n_certificates > 0) {
        metrics_write_head(
            out, metric, "gauge",
            "When the first serving certificate of the listener expires, since unix epoch");
    }
    for (size_t i = 0; i < in->n_certificates; i++) {
        write_time(out, metric, "listener", in->certificates[i].listener,
                   in->certificates[i].expiry_s);
    }
    write_client_roots(out, in);
    write_upstream_roots(out, in);
}

static void write_reloads(FILE *out, const struct metrics_input *in)
{
    static const char success[] = "config_last_reload_success_timestamp_seconds";

    metrics_write_head(out, "reloads_total", "counter", "Reloads of the configuration");
    (void)fprintf(out, METRICS_PREFIX "reloads_total{result=\"ok\"} %" PRIu64 "\n", in->reloads_ok);
    (void)fprintf(out, METRICS_PREFIX "reloads_total{result=\"failed\"} %" PRIu64 "\n",
                  in->reloads_failed);
    metrics_write_head(out, success, "gauge",
                       "When the configuration in force was loaded, since unix epoch");
    (void)fprintf(out, METRICS_PREFIX "%s %" PRId64 "\n", success, in->last_reload_success_s);
}

static void write_cluster(FILE *out, const struct metrics_cluster *c)
{
    static const char requests[] = "token_requests_total";

    if (c->asked) {
        metrics_write_head(out, "kubernetes_reachable", "gauge",
                           "Whether Kubernetes has heard the last request, if only to refuse it");
        (void)fprintf(out, METRICS_PREFIX "kubernetes_reachable %d\n", c->reachable ? 1 : 0);
    }
    metrics_write_head(out, requests, "counter", "Requests for a token of a service account");
    (void)fprintf(out, METRICS_PREFIX "%s{result=\"ok\"} %" PRIu64 "\n", requests, c->requests_ok);
    (void)fprintf(out, METRICS_PREFIX "%s{result=\"failed\"} %" PRIu64 "\n", requests,
                  c->requests_failed);
    metrics_write_head(out, "tokens", "gauge", "Service accounts whose token can be used now");
    (void)fprintf(out, METRICS_PREFIX "tokens %" PRIu32 "\n", c->tokens);
}

void metrics_write(FILE *out, const struct metrics_input *in)
{
    CHECK(in->version != NULL);
    metrics_write_head(out, "build_info", "gauge", "Always 1; the label has the version");
    metrics_write_labelled(out, "build_info", "version", in->version);
    (void)fputs("1\n", out);
    write_counters(out, in);
    write_ends(out, in, "connections_ended_total", "Ended connections of VMs, by reason",
               offsetof(struct counters, conn_ends));
    write_ends(out, in, "streams_ended_total", "Ended streams of VMs, by reason",
               offsetof(struct counters, stream_ends));
    write_turns(out, in);
    write_upstreams(out, in);
    write_discovery(out, in);
    write_certificates(out, in);
    write_reloads(out, in);
    if (in->cluster != NULL) {
        write_cluster(out, in->cluster);
    }
    write_roots(out, in);
    if (in->vms != NULL) {
        metrics_write_vms(out, in->vms);
    }
    metrics_write_process(out, in->start_time_s);
}
