/* SPDX-License-Identifier: Apache-2.0 */
/* What the taps have counted, and how the VMs are. */
#include <inttypes.h>

#include "gateway/admin/metrics.h"
#include "gateway/admin/metrics_internal.h"

/* A counter of each type. */
static void write_types(FILE *out, const struct tally *t, const char *metric, const char *help,
                        size_t offset)
{
    metrics_write_head(out, metric, "counter", help);
    for (size_t i = 0; i < TALLY_TYPES; i++) {
        const char *base = (const char *)&t->types[i];
        metrics_write_labelled(out, metric, "type", xds_type_name((enum xds_type)i));
        (void)fprintf(out, "%" PRIu64 "\n", *(const uint64_t *)(const void *)(base + offset));
    }
}

static void write_rules(FILE *out, const char *metric, const char *help, const uint64_t *values)
{
    metrics_write_head(out, metric, "counter", help);
    for (size_t i = 0; i < RULES; i++) {
        metrics_write_labelled(out, metric, "rule", rule_label((enum rule)i));
        (void)fprintf(out, "%" PRIu64 "\n", values[i]);
    }
}

static void write_acks(FILE *out, const struct tally *t)
{
    static const char metric[] = "xds_push_to_ack_seconds";

    metrics_write_head(out, metric, "histogram",
                       "From a response of istiod to the VM's ACK or NACK of it");
    for (size_t i = 0; i < XDS_TYPES; i++) {
        char label[64];
        (void)snprintf(label, sizeof(label), "type=\"%s\"", xds_type_name((enum xds_type)i));
        metrics_write_histogram(out, metric, label, &t->types[i].push_to_ack, &tally_ack_scale);
    }
}

static void write_unread(FILE *out, const struct tally *t)
{
    static const char metric[] = "xds_unread_messages_total";

    metrics_write_head(out, metric, "counter",
                       "Messages of ADS streams that could not be read: compressed or malformed");
    (void)fprintf(out, METRICS_PREFIX "%s{direction=\"up\"} %" PRIu64 "\n", metric, t->unread_up);
    (void)fprintf(out, METRICS_PREFIX "%s{direction=\"down\"} %" PRIu64 "\n", metric,
                  t->unread_down);
}

static void write_reconnects(FILE *out, const struct tally *t)
{
    static const char metric[] = "vm_reconnects_total";

    metrics_write_head(out, metric, "counter",
                       "VMs that came back, by how their ADS stream before had ended");
    for (size_t i = END_NONE + 1; i < END_COUNT; i++) {
        metrics_write_labelled(out, metric, "reason", end_label((enum end_reason)i));
        (void)fprintf(out, "%" PRIu64 "\n", t->reconnects[i]);
    }
}

static void write_vms(FILE *out, const struct metrics_vms *v)
{
    metrics_write_head(out, "vms", "gauge", "VMs that are known, by state");
    for (size_t i = 0; i < v->n_states; i++) {
        metrics_write_labelled(out, "vms", "state", v->states[i].name);
        (void)fprintf(out, "%" PRIu64 "\n", v->states[i].n);
    }
    metrics_write_head(out, "vms_connected", "gauge",
                       "VMs with a stream, by the health they report");
    for (size_t i = 0; i < v->n_healths; i++) {
        metrics_write_labelled(out, "vms_connected", "health", v->healths[i].name);
        (void)fprintf(out, "%" PRIu64 "\n", v->healths[i].n);
    }
    metrics_write_head(out, "vms_not_synced", "gauge",
                       "Connected VMs for which some type is STALE or in ERROR");
    (void)fprintf(out, METRICS_PREFIX "vms_not_synced{state=\"STALE\"} %" PRIu64 "\n", v->stale);
    (void)fprintf(out, METRICS_PREFIX "vms_not_synced{state=\"ERROR\"} %" PRIu64 "\n", v->error);
    if (v->first_expiry_s > 0) {
        metrics_write_head(
            out, "vm_certificate_first_expiry_timestamp_seconds", "gauge",
            "When the first certificate of a connected VM expires, since unix epoch");
        (void)fprintf(out,
                      METRICS_PREFIX "vm_certificate_first_expiry_timestamp_seconds %" PRId64 "\n",
                      v->first_expiry_s);
    }
}

static void write_config(FILE *out, const struct config_store_stats *c)
{
    static const char lost[] = "vm_config_lost_total";

    metrics_write_head(out, "vm_config_budget_bytes", "gauge",
                       "Memory for the configuration of VMs: registry.keep_config");
    (void)fprintf(out, METRICS_PREFIX "vm_config_budget_bytes %" PRIu64 "\n", c->budget);
    metrics_write_head(out, "vm_config_bytes", "gauge", "How much of it is in use");
    (void)fprintf(out, METRICS_PREFIX "vm_config_bytes %" PRIu64 "\n", c->bytes);
    metrics_write_head(out, "vm_config_vms", "gauge", "VMs of which configuration is kept");
    (void)fprintf(out, METRICS_PREFIX "vm_config_vms %" PRIu64 "\n", c->vms);
    metrics_write_head(out, lost, "counter",
                       "How often the configuration of a VM, of one type, was kept no longer");
    for (size_t i = 0; i < CONFIG_LOSSES; i++) {
        metrics_write_labelled(out, lost, "reason", config_loss_name((enum config_loss)i));
        (void)fprintf(out, "%" PRIu64 "\n", c->losses[i]);
    }
}

void metrics_write_vms(FILE *out, const struct metrics_vms *v)
{
    const struct tally *t = &v->tally;

    write_types(out, t, "xds_requests_total", "Requests of VMs on ADS streams, by type",
                offsetof(struct tally_type, requests));
    write_types(out, t, "xds_request_bytes_total", "Bytes of these requests",
                offsetof(struct tally_type, request_bytes));
    write_types(out, t, "xds_responses_total", "Responses of istiod on ADS streams, by type",
                offsetof(struct tally_type, responses));
    write_types(out, t, "xds_response_bytes_total", "Bytes of these responses",
                offsetof(struct tally_type, response_bytes));
    write_types(out, t, "xds_acks_total", "Responses that VMs acknowledged",
                offsetof(struct tally_type, acks));
    write_types(out, t, "xds_nacks_total", "Responses that VMs rejected",
                offsetof(struct tally_type, nacks));
    write_acks(out, t);
    write_unread(out, t);
    write_reconnects(out, t);
    write_rules(out, "registration_refused_total", "Streams of VMs that a rule refused or ended",
                t->refused);
    write_rules(out, "registration_dropped_total", "Requests of VMs that a rule left out",
                t->dropped);
    write_rules(out, "registration_reported_total",
                "Broken rules that let pass, because they only report", t->reported);
    metrics_write_head(out, "certificates_issued_total", "counter",
                       "Certificates that istiod has issued to VMs");
    (void)fprintf(out, METRICS_PREFIX "certificates_issued_total %" PRIu64 "\n", t->certificates);
    write_vms(out, v);
    write_config(out, &v->config);
}
