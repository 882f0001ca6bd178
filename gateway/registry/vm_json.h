/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs as JSON: docs/api.md says what each key means, docs/api.schema.json what it may be; a test
 * holds them together. Texts of VMs are made harmless (core/base/show.h), so that also who prints
 * them as they are is safe; < and & stay, so a page has to escape them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/doc/doc.h"
#include "gateway/registry/registry_read.h"

/** One VM as in the list: SUMMARY. out: owned by the caller. RC_OK; RC_NO_MEMORY. */
enum rc vm_json_summary(const struct vm_view *v, json_t **out) MUST_USE;

/** One VM with all that is known: DETAIL. As above. */
enum rc vm_json_detail(const struct vm_view *v, json_t **out) MUST_USE;

/**
 * The body of GET /api/v1/vms: all VMs, or what has changed.
 *
 * since   what `next` of a body before has said; 0, or too long ago: all VMs, and no `gone`.
 * now_ms  wall clock.
 * out, n  owned by the caller, free(); a NUL follows.
 * Returns RC_OK; RC_NO_MEMORY.
 */
enum rc vm_json_list(struct registry *r, uint64_t since, int64_t now_ms, char **out,
                     size_t *n) MUST_USE;

/** The body of GET /api/v1/vms/NAME: all that are meant by name (vm_name_means()). RC_OK;
 * RC_NOT_FOUND: nobody is; RC_NO_MEMORY. */
enum rc vm_json_find(struct registry *r, const char *name, int64_t now_ms, char **out,
                     size_t *n) MUST_USE;
