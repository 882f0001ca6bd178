/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why does a VM not work? Each function looks at one place and adds what it finds to a report. All
 * block, for a bounded time; they change nothing anywhere. For the command line.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/rc.h"
#include "gateway/doctor/report.h"

struct config;

/** The VM that this machine is. */
struct doctor_vm_opts {
    const char *root; /**< borrowed; the files under this folder, an image; "": this machine */
    double timeout_s; /**< for each attempt to connect */
    bool without_network;
};

/** Is something here that belongs to a VM of a mesh? */
bool doctor_is_vm(const char *root);

/** Look at this VM: its files, its processes, its way to xdsgate and to the pods. RC_NO_MEMORY. */
enum rc doctor_vm(const struct doctor_vm_opts *o, struct doctor_report *r) MUST_USE;
