/* SPDX-License-Identifier: Apache-2.0 */
/* How a metric is written. Included in this folder only. */
#pragma once

#include <stdio.h>

#define METRICS_PREFIX "xdsgate_"

struct histogram;
struct histogram_scale;
struct metrics_vms;

/** HELP and TYPE, once for each metric. */
void metrics_write_head(FILE *out, const char *metric, const char *kind, const char *help);

/** "xdsgate_metric{label="value"} ", where the value of the sample follows. */
void metrics_write_labelled(FILE *out, const char *metric, const char *label, const char *value);

/** The samples of a histogram, in seconds. label: "type=\"CDS\""; "": it has none. */
void metrics_write_histogram(FILE *out, const char *metric, const char *label,
                             const struct histogram *h, const struct histogram_scale *scale);

/** The metrics of VMs and of what passes on their streams. */
void metrics_write_vms(FILE *out, const struct metrics_vms *v);
