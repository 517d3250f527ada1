/* SPDX-License-Identifier: MIT */
/* store.c - what all storages have in common: names, keys and numbers. */
#include "state/store.h"

const char *
store_status_word(enum store_status status)
{
#define STORE_STATUS_WORD(name, word) word,
	static const char *const words[] = {
		STORE_STATUS_EACH(STORE_STATUS_WORD)
	};
#undef STORE_STATUS_WORD
	return status < STORE_STATUSES ? words[status] : "?";
}

bool
store_tenant_name_good(struct span name)
{
	if (name.bytes < 1 || name.bytes > STORE_TENANT_MOST)
		return false;
	for (size_t i = 0; i < name.bytes; i++) {
		char c = name.data[i];

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			continue;
		if (i == 0 || (c != '-' && c != '_'))
			return false;
	}
	return true;
}

bool
store_key_good(struct span key)
{
	return key.bytes >= 1 && key.bytes <= STORE_KEY_MOST &&
	    !memchr(key.data, 0, key.bytes);
}

int
store_number(struct span text, int64_t *number)
{
	bool minus = text.bytes > 0 && text.data[0] == '-';
	struct span digits = span_skip(text, minus);
	uint64_t most = minus ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
	uint64_t value;

	if (digits.bytes < 1 || digits.bytes > 19)
		return -1;
	if (digits.data[0] == '0' && (digits.bytes > 1 || minus))
		return -1;
	if (span_number(digits, most, &value) < 0)
		return -1;
	*number = minus ? (int64_t)(0 - value) : (int64_t)value;
	return 0;
}
