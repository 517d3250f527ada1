/* SPDX-License-Identifier: MIT */
/* fuzz_state_orders.c - JSON bodies: what comes out is within the limits and good
 * for a store, what is refused has a problem and a sentence. */
#include "fuzz.h"

#include "state/key.h"
#include "state/orders.h"

static const struct orders_limits limits = {
	.checks = 8, .ops = 16, .keys = 8, .value = 256
};

static void
check_op(const struct store_op *op)
{
	assert(key_check(op->key) == KEY_OK);
	assert(op->kind != STORE_DELETE_RANGE);
	assert(op->value.bytes <= limits.value);
	assert(op->kind != STORE_SET || op->value.data != NULL);
	assert(op->type.data == NULL || type_good(op->type));
	if (op->has_least && op->has_most)
		assert(op->least <= op->most);
	if (op->expiry == STORE_AT || op->expiry == STORE_FOR ||
	    op->expiry == STORE_FOR_NEW)
		assert(op->expires_ms > 0);
}

static void
check(const struct orders *o, int result)
{
	if (result != 0) {
		assert(o->problem == PROBLEM_BAD_JSON ||
		    o->problem == PROBLEM_BAD_KEY ||
		    o->problem == PROBLEM_TOO_LARGE ||
		    o->problem == PROBLEM_UNSUPPORTED_OPERATION);
		assert(o->why[0] != '\0');
		assert(o->problem != PROBLEM_TOO_LARGE || o->size > o->limit);
		return;
	}
	assert(o->check_count <= limits.checks && o->op_count <= limits.ops &&
	    o->key_count <= limits.keys);
	for (size_t i = 0; i < o->check_count; i++) {
		const struct store_check *check = &o->checks[i];

		assert(key_check(check->key) == KEY_OK);
		assert((check->kind == STORE_VERSION) ==
		    (check->version_count == 1));
	}
	for (size_t i = 0; i < o->op_count; i++)
		check_op(&o->ops[i]);
	for (size_t i = 0; i < o->key_count; i++)
		assert(key_check(o->keys[i]) == KEY_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span body = span_make(data, bytes);
	struct orders orders;

	orders_init(&orders);
	check(&orders, orders_read_atomic(&orders, body, &limits));
	check(&orders, orders_read_many(&orders, body, &limits));
	check(&orders, orders_read_counter(&orders, SPAN("k"), body));
	orders_free(&orders);
	return 0;
}
