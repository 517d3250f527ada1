/* SPDX-License-Identifier: MIT */
/* random.h - unpredictable bytes from the kernel, many for one system call. For
 * one thread of a process. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>

void random_take(void *to, size_t bytes); /* the process ends without */

#endif
