/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roots that the mesh publishes, held against what a generation believes: do they ask for a
 * reload, and are some of them missing? One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "certs/root_list.h"
#include "gateway/daemon/generation.h"

struct root_watch {
    struct root_list *last;  /**< shared (ref); at the last look */
    struct root_list *tried; /**< shared (ref); what a reload was for, whatever came of it */
    bool has_tried;          /**< ... and it is not in force */
    uint64_t told;           /**< which missing roots were said; 0: none */
};

/** Look again at what is published (borrowed; NULL: not known). true: it is the same as at the last
 * look. */
bool root_watch_is_quiet(struct root_watch *w, struct root_list *now);

/** Would g, which follows what is published, believe other roots if it were made now, and was that
 * not tried yet? Then it counts as tried. now: borrowed; NULL: not known. */
bool root_watch_try(struct root_watch *w, const struct generation *g, struct root_list *now);

/** Log the roots that are published (NULL: not known) and that a listener or an upstream of g does
 * not believe, when there are others than at the last call; and when there are none any more. */
void root_watch_tell(struct root_watch *w, const struct generation *g,
                     const struct root_list *published);

/** Free what it holds. */
void root_watch_fini(struct root_watch *w);
