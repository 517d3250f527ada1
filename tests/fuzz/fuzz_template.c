/* SPDX-License-Identifier: MIT */
/* fuzz_template.c - any packet as FORK and as FORKED: what is taken is written again
 * as the same bytes, lies inside the packet and keeps its promises. */
#include "fuzz.h"

#include "wire/template.h"

static void
check_env(struct span env, struct span packet)
{
	size_t count, nuls = 0;

	assert(env.bytes == 0 ||
	    (env.data > packet.data &&
		env.data + env.bytes == packet.data + packet.bytes &&
		env.data[env.bytes - 1] == '\0'));
	must(template_variables(env, &count));
	for (size_t i = 0; i < env.bytes; i++)
		nuls += env.data[i] == '\0';
	assert(count == nuls && count <= TEMPLATE_VARIABLES_MOST);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span packet = span_make(data, bytes);
	struct template_forked forked;
	struct template_fork order;
	struct buf again;

	buf_init(&again, bytes > 0 ? bytes : 1);
	if (template_fork_decode(packet, &order) == 0) {
		check_env(order.env, packet);
		must(template_fork_encode(&again, &order));
		must_equal(buf_span(&again), packet);
		assert(template_forked_decode(packet, &forked) != 0);
	} else if (template_forked_decode(packet, &forked) == 0) {
		assert(forked.pid > 1 || (forked.pid == -1 && forked.error));
		must(template_forked_encode(&again, &forked));
		must_equal(buf_span(&again), packet);
	}
	buf_free(&again);
	return 0;
}
