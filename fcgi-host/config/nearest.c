/* SPDX-License-Identifier: MIT */
/* nearest.c - the edit distance that counts what fingers do: a letter too
 * many, one missing, a wrong one, two swapped. Names are short, so is this. */

#include <string.h>

#include "config/nearest.h"

enum { NAME_MOST = 64 }; /* nobody mistypes a longer one */

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Row by row of the usual table; swapping looks two rows back. */
static size_t
distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
	size_t rows[3][NAME_MOST + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2], *kept;

	for (size_t j = 0; j <= b_bytes; j++)
		above[j] = j;
	for (size_t i = 1; i <= a_bytes; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_bytes; j++) {
			size_t wrong = a[i - 1] != b[j - 1];

			row[j] = least(above[j - 1] + wrong,
			    least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		kept = before;
		before = above;
		above = row;
		row = kept;
	}
	return above[b_bytes];
}

const char *
nearest(const char *word, const char *const *candidates, size_t count)
{
	size_t bytes = strlen(word);
	size_t best = bytes / 3 + 1; /* has to be below it */
	const char *found = NULL;

	if (bytes > NAME_MOST)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t candidate_bytes = strlen(candidates[i]);
		size_t d;

		if (candidate_bytes > NAME_MOST)
			continue;
		d = distance(word, bytes, candidates[i], candidate_bytes);
		if (d < best) {
			best = d;
			found = candidates[i];
		}
	}
	return found;
}
