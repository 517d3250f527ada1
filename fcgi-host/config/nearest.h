/* SPDX-License-Identifier: MIT */
/* nearest.h - which known name was probably meant. Pure. */
#ifndef CONFIG_NEAREST_H
#define CONFIG_NEAREST_H

#include <stddef.h>

/* The candidate with the least edit distance (Damerau-Levenshtein), or NULL
 * when none is nearer than a third of the word's length plus one. */
const char *nearest(const char *word, const char *const *candidates,
    size_t count);

#endif
