/* SPDX-License-Identifier: MIT */
/* json_text.c - JSON is UTF-8, what tenants call their files need not be. */

#include <stdlib.h>

#include "wire/json_text.h"

json_t *
json_text(struct span text)
{
	json_t *value = json_stringn(text.bytes ? text.data : "", text.bytes);
	char *copy;

	if (value || !(copy = span_dup(text)))
		return value;
	for (size_t i = 0; i < text.bytes; i++)
		if ((unsigned char)copy[i] >= 0x80)
			copy[i] = '?';
	value = json_stringn(copy, text.bytes);
	free(copy);
	return value;
}
