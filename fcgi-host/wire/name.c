/* SPDX-License-Identifier: MIT */
/* name.c - the rules about names, each written once. */

#include "wire/name.h"

static bool
is_function_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_' || c == '-';
}

struct span
name_function(struct span file)
{
	ptrdiff_t dot = span_find(file, '.');

	return dot < 0 ? file : span_take(file, (size_t)dot);
}

bool
name_is_tenant(struct span name)
{
	size_t first = span_starts(name, SPAN("~")) ? 1 : 0;

	for (size_t i = first; i < name.bytes; i++) {
		char c = name.data[i];

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			continue;
		if (c == '_' && i > 0)
			continue;
		if (i == first || c != '-')
			return false;
	}
	return name.bytes > first && name.bytes <= NAME_TENANT_MOST;
}

bool
name_is_function(struct span name)
{
	for (size_t i = 0; i < name.bytes; i++)
		if (!is_function_char(name.data[i]))
			return false;
	return name.bytes > 0 && name.bytes <= NAME_FUNCTION_MOST;
}

enum name_file
name_file(struct span file)
{
	static const struct span copies[] = { SPAN("~"), SPAN(".bak"),
		SPAN(".orig"), SPAN(".swp"), SPAN(".tmp") };
	bool good = name_is_function(name_function(file));

	if (file.bytes == 0 || file.bytes > NAME_FILE_MOST ||
	    file.data[0] == '.')
		return NAME_FILE_NEVER;
	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++)
		if (span_ends(file, copies[i]))
			return NAME_FILE_NEVER;
	if (span_ends(file, SPAN(".conf")))
		return good ? NAME_FILE_SETTINGS : NAME_FILE_NEVER;
	return good ? NAME_FILE_PROGRAM : NAME_FILE_MISNAMED;
}

bool
name_is_asked(struct span asked)
{
	for (size_t i = 0; i < asked.bytes; i++)
		if (!is_function_char(asked.data[i]) && asked.data[i] != '.')
			return false;
	return asked.bytes <= NAME_ASKED_MOST &&
	    name_file(asked) == NAME_FILE_PROGRAM;
}
