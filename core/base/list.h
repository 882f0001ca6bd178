/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive doubly linked list. A node is either on exactly one list or linked to itself, so that
 * list_del() may be called on a node that is on none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next; /**< borrowed; itself when empty or unlinked */
    struct list *prev; /**< borrowed */
};

#define LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/** Walk with a spare pointer, so that the current node may be unlinked inside. */
#define LIST_FOREACH_SAFE(pos, spare, head) \
    for (pos = (head)->next, spare = pos->next; pos != (head); pos = spare, spare = pos->next)

static inline void list_init(struct list *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_add_tail(struct list *head, struct list *n)
{
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}

static inline void list_del(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

/** The first node taken off the list, or NULL. */
static inline struct list *list_pop(struct list *head)
{
    struct list *n = head->next;
    if (n == head) {
        return NULL;
    }
    list_del(n);
    return n;
}
