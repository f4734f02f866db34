/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Doubly linked lists whose links live inside the elements.
 *
 * A head is a link that is its own neighbour when the list is empty. A link that is in no
 * list is its own neighbour too, so removing it twice is harmless.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

/* The element of @type whose @member is the link @link. */
#define list_entry(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list *head)
{
	head->prev = head->next = head;
}

static inline bool list_is_empty(const struct list *head)
{
	return head->next == head;
}

static inline void list_insert_before(struct list *at, struct list *link)
{
	link->prev = at->prev;
	link->next = at;
	at->prev->next = link;
	at->prev = link;
}

static inline void list_append(struct list *head, struct list *link)
{
	list_insert_before(head, link);
}

static inline void list_prepend(struct list *head, struct list *link)
{
	list_insert_before(head->next, link);
}

static inline void list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

/* Visit every link; the one visited must not be removed. */
#define list_for_each(link, head) \
	for (struct list *link = (head)->next; link != (head); link = link->next)

/* Visit every link; the one visited may be removed. */
#define list_for_each_safe(link, head)                                                     \
	for (struct list *link = (head)->next, *link##_next_ = link->next; link != (head); \
	     link = link##_next_, link##_next_ = link->next)
