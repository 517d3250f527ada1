/* SPDX-License-Identifier: MIT */
/* fuzz_settings_read.c - a file of settings: it is read, or there is an error of
 * at least one whole line with the file's name; what is read is within the
 * maxima and survives its bytes. */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "config/settings.h"

enum { ERRORS_MOST = 64 * 1024 };

static void
check_errors(struct span errors)
{
	assert(errors.bytes > 0 && span_ends(errors, SPAN("\n")));
	while (errors.bytes > 0) {
		struct span line = span_cut(&errors, '\n');

		assert(span_starts(line, SPAN("x.conf:")));
		for (size_t i = 0; i < line.bytes; i++)
			assert((unsigned char)line.data[i] >= 0x20);
	}
}

static void
check_settings(const struct settings *s, const struct config *config)
{
	struct settings *again;
	struct buf first, second;

	for (int i = 0; i < LIMITS; i++)
		assert(s->limits[i] <= config->maximum[i]);
	buf_init(&first, SETTINGS_BYTES_MOST);
	buf_init(&second, SETTINGS_BYTES_MOST);
	must(settings_encode(s, config_terms(config, SPAN_NONE), &first));
	again =
	    settings_decode(buf_span(&first), config_terms(config, SPAN_NONE));
	assert(again != NULL);
	must(settings_encode(again, config_terms(config, SPAN_NONE), &second));
	must_equal(buf_span(&first), buf_span(&second));
	settings_release(&again);
	buf_free(&first);
	buf_free(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct config *config = config_new();
	struct settings *s = settings_draft(config_terms(config, SPAN_NONE));
	unsigned program = PROGRAM_CGI + bytes % PROGRAM_PYTHON;
	int fd = memfd_create("x.conf", MFD_CLOEXEC);
	struct buf errors;

	assert(fd >= 0);
	must(fd_write_all(fd, span_make(data, bytes)));
	buf_init(&errors, ERRORS_MOST);
	if (settings_read(s, config_terms(config, SPAN_NONE), fd, "x.conf",
		program, &errors) == 0) {
		assert(buf_bytes(&errors) == 0);
		settings_settle(s, program);
		check_settings(s, config);
	} else {
		check_errors(buf_span(&errors));
	}
	buf_free(&errors);
	fd_close(&fd);
	settings_release(&s);
	config_release(&config);
	return 0;
}
