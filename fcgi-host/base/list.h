/* SPDX-License-Identifier: MIT */
/* list.h - doubly linked, intrusive: the node lives in what is listed.
 * An unlinked node points at itself, so removing twice is harmless. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *prev;
};

#define LIST_OWNER(node, type, member) \
	((type *)(void *)((char *)(node)-offsetof(type, member)))

/* The body may remove `node`, nothing else of the list. */
#define LIST_EACH(node, head)                                             \
	for (struct list *node = (head)->next, *node##_next = node->next; \
	     node != (head); node = node##_next, node##_next = node->next)

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool
list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void
list_insert_before(struct list *at, struct list *node)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}

static inline void
list_add_last(struct list *head, struct list *node)
{
	list_insert_before(head, node);
}

static inline void
list_add_first(struct list *head, struct list *node)
{
	list_insert_before(head->next, node);
}

static inline void
list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

static inline struct list *
list_first(const struct list *head)
{
	return list_empty(head) ? NULL : head->next;
}

static inline struct list *
list_last(const struct list *head)
{
	return list_empty(head) ? NULL : head->prev;
}

#endif
