/* SPDX-License-Identifier: MIT */
/* store.c - what all storages have in common: names, keys and numbers. */
#include "state/store.h"
#include "base/clock.h"
#include "wire/name.h"

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
	return name_is_tenant(name);
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

uint64_t
store_expires(const struct store_op *op, bool is_new, uint64_t old_ms,
    uint64_t now_ms)
{
	uint64_t in = op->expires_ms;
	uint64_t then =
	    in > STORE_TIME_MOST - now_ms ? STORE_TIME_MOST : now_ms + in;

	switch (op->expiry) {
	case STORE_AT:
		return in > STORE_TIME_MOST ? STORE_TIME_MOST : in;
	case STORE_FOR:
		return then;
	case STORE_KEEP:
		return is_new ? 0 : old_ms;
	case STORE_FOR_NEW:
		return is_new ? then : old_ms;
	case STORE_FOREVER:
		break;
	}
	return 0;
}

#define DEFAULT(field, value) \
	if (!config->field)   \
	config->field = (value)

void
store_config_defaults(struct store_config *config)
{
	DEFAULT(threads, 2);
	DEFAULT(handles_most, 1024);
	DEFAULT(queue_most, 65536);
	DEFAULT(quota_bytes, UINT64_C(256) << 20);
	DEFAULT(value_most, UINT64_C(1) << 20);
	DEFAULT(page_bytes_most, UINT64_C(4) << 20);
	DEFAULT(log_commits_most, 10000);
	DEFAULT(log_ms, UINT64_C(24) * 3600 * 1000);
	DEFAULT(idem_ms, UINT64_C(24) * 3600 * 1000);
	DEFAULT(idle_ms, UINT64_C(60) * 1000);
	DEFAULT(unix_ms, clock_unix_ms);
	DEFAULT(steady_ms, clock_ms);
}

enum store_status
store_batch_good(const struct store_batch *batch, uint64_t value_most,
    size_t *op)
{
	*op = 0;
	if (batch->idem_key.bytes > STORE_IDEM_MOST ||
	    batch->idem_print.bytes > STORE_PRINT_MOST)
		return STORE_TOO_LARGE;
	for (size_t i = 0; i < batch->check_count; i++)
		if (!store_key_good(batch->checks[i].key))
			return STORE_BAD_NAME;
	for (size_t i = 0; i < batch->op_count; i++) {
		const struct store_op *o = &batch->ops[i];

		*op = i;
		if (o->kind == STORE_DELETE_RANGE ?
			o->key.bytes > STORE_KEY_MOST || o->limit < 1 :
			!store_key_good(o->key))
			return STORE_BAD_NAME;
		if (o->type.bytes > STORE_TYPE_MOST ||
		    o->value.bytes > value_most)
			return STORE_TOO_LARGE;
	}
	return STORE_OK;
}

uint64_t
store_clock_now(struct store_clock *clock, uint64_t unix_ms, uint64_t steady_ms)
{
	uint64_t own = clock->unix_ms + (steady_ms - clock->steady_ms);

	clock->unix_ms = unix_ms > own ? unix_ms : own;
	clock->steady_ms = steady_ms;
	return clock->unix_ms;
}
