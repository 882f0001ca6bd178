/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the VM's side share. */
#pragma once

#include "gateway/doctor/doctor.h"

/** The address that the VM announces: vm_address.c. */
void vm_look_at_address(const struct doctor_vm_opts *o, struct doctor_report *r);

/** Folders that a reboot empties, after all that says who the VM is; sockets without a listener,
 * processes: vm_left.c. */
void vm_look_at_folders(const struct doctor_vm_opts *o, struct doctor_report *r);
void vm_look_at_sockets(struct doctor_report *r);
void vm_look_at_processes(const struct doctor_vm_opts *o, struct doctor_report *r);

/** Rules of Istio's that are in the kernel, while no agent runs; as root: vm_iptables.c. */
void vm_look_at_rules(const struct doctor_vm_opts *o, struct doctor_report *r);

/** Where Envoy sends requests to: vm_pods.c. */
void vm_look_at_pods(const struct doctor_vm_opts *o, struct doctor_report *r);
