/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Node that a VM sends with its first request (envoy.config.core.v3.Node), as istio-agent and
 * Envoy write it on a VM: what is in the metadata, how it is nested, how long it is. Everything but
 * name and address is the same for all VMs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/net/addr.h"

/** Where the VMs are, as their certificate says. */
#define NODE_NAMESPACE "vms"
#define NODE_SERVICE_ACCOUNT "vm"

/** How long a Node may be asked for: without a single extension it has some bytes less. */
#define NODE_BYTES_MIN 3000
#define NODE_BYTES_MAX 65536

/** The address that VM number i connects from: 127.(16+i/62500).(i/250%250).(i%250+1). */
void node_address(uint32_t vm, struct addr *out);

/**
 * Write the Node of a VM: as many of Envoy's extensions are in it as make it `bytes` long or a
 * little shorter (NODE_BYTES_MIN .. NODE_BYTES_MAX). Written again with the length that it has got,
 * it is the same. Returns that length.
 */
size_t node_write(uint32_t vm, size_t bytes, uint8_t out[NODE_BYTES_MAX]);

/** Bytes of the beginning of a Node that say whose it is. */
#define NODE_HEAD_BYTES 28

/** Whose it is; false: it begins as none of ours. */
bool node_whose(const uint8_t head[NODE_HEAD_BYTES], uint32_t *vm);
