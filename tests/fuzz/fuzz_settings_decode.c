/* SPDX-License-Identifier: MIT */
/* fuzz_settings_decode.c - settings from a cell: what is decoded is within the
 * host's maxima and is encoded to bytes that mean the same; so for the host's
 * own configuration. */
#include "fuzz.h"

#include "config/env_name.h"
#include "config/settings.h"

static struct config *config;

static void
check_env(const struct strings *env)
{
	size_t bytes = 0;

	for (size_t i = 0; i < env->count; i++) {
		struct span rest = span_of(env->items[i]);

		bytes += rest.bytes + 1;
		assert(env_name_refused(span_cut(&rest, '=')) == NULL);
		assert(rest.data != NULL);
	}
	assert(bytes <= SETTINGS_ENV_MOST);
}

static void
check_settings(struct span input)
{
	struct settings *s = settings_decode(input,
			    config_terms(config, SPAN_NONE)),
			*again;
	struct buf first, second;

	if (!s)
		return;
	for (int i = 0; i < LIMITS; i++)
		assert(s->limits[i] <= config->maximum[i] &&
		    (s->limits[i] > 0 || config->limits[i] == 0));
	assert(s->concurrency <= config->slots_function_most);
	assert(s->start <= START_FORK && s->protocol <= PROTOCOL_FASTCGI);
	assert(s->body <= BODY_STREAM && s->state <= STATE_NONE);
	check_env(&s->env);

	buf_init(&first, SETTINGS_BYTES_MOST);
	buf_init(&second, SETTINGS_BYTES_MOST);
	must(settings_encode(s, config_terms(config, SPAN_NONE), &first));
	assert(buf_bytes(&first) <= input.bytes);
	again =
	    settings_decode(buf_span(&first), config_terms(config, SPAN_NONE));
	assert(again != NULL);
	must(settings_encode(again, config_terms(config, SPAN_NONE), &second));
	must_equal(buf_span(&first), buf_span(&second));
	settings_release(&again);
	settings_release(&s);
	buf_free(&first);
	buf_free(&second);
}

static void
check_config(struct span input)
{
	struct config *c = config_decode(input), *again;
	struct buf first, second;

	if (!c)
		return;
	assert(c->slots_host >= 1 && c->slots_host <= 65536);
	buf_init(&first, CONFIG_BYTES_MOST);
	buf_init(&second, CONFIG_BYTES_MOST);
	if (config_encode(c, &first) == 0) {
		again = config_decode(buf_span(&first));
		assert(again != NULL);
		must(config_encode(again, &second));
		must_equal(buf_span(&first), buf_span(&second));
		config_release(&again);
	}
	config_release(&c);
	buf_free(&first);
	buf_free(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct span input = span_make(data, bytes);

	config = config_new();
	check_settings(input);
	check_config(input);
	config_release(&config);
	return 0;
}
