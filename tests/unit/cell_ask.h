/* SPDX-License-Identifier: MIT */
/* cell_ask.h - a tenant's directory, a resolver that looks into it, and its last
 * answer; new for each test. */
#ifndef CELL_ASK_H
#define CELL_ASK_H

#define _GNU_SOURCE 1
#include "cell_place.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"

#include "config/settings.h"

#include "cell/resolve.h"

enum { FILES_MOST = 6, STRANGER = 4242 };

#define SCRIPT "#!/bin/sh\n"

static const char *python = "/usr/libexec/fcgi-host/fcgi-host-python";
static struct config *config;
static struct resolve *resolver;
static struct resolution got;
static char outside_path[PATH_MAX]; /* a directory in link_targets */

/* The time of the questions: long after every file was made. */
static uint64_t now_ms;

static inline void
begin(void)
{
	struct resolve_place place;
	char name[] = "/tmp/fcgi-host-outside-XXXXXX";

	place_make();
	assert_non_null(mkdtemp(name));
	assert_int_equal(chmod(name, 0755), 0);
	assert_non_null(realpath(name, outside_path));
	config = config_new();
	free(config->link_targets.items[0]);
	config->link_targets.items[0] = diag_strdup(outside_path);
	place = (struct resolve_place){
		.directory_fd = place_fd,
		.directory = place_path,
		.uid = geteuid(),
		.gid = getegid(),
		.python = python,
	};
	resolver = resolve_new(&place, config);
	resolution_init(&got);
	now_ms = clock_unix_ms() + 3600 * 1000;
}

static inline void
end(void)
{
	resolution_free(&got);
	resolve_free(&resolver);
	assert_null(resolver);
	config_release(&config);
	place_remove();
	nftw(outside_path, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void
ask(const char *name)
{
	resolve_name(resolver, span_of(name), now_ms, &got);
}

/* "a*b": begins with a, ends with b. */
static inline void
assert_says(const char *text, const char *pattern)
{
	const char *star = strchr(pattern, '*');
	size_t before = star ? (size_t)(star - pattern) : 0;
	size_t after = star ? strlen(star + 1) : 0;

	if (!star)
		assert_string_equal(text, pattern);
	else if (strncmp(text, pattern, before) != 0 ||
	    strlen(text) < before + after ||
	    strcmp(text + strlen(text) - after, star + 1) != 0)
		fail_msg("\"%s\" is not like \"%s\"", text, pattern);
}

static inline int
each_begin(void **state)
{
	(void)state;
	begin();
	return 0;
}

static inline int
each_end(void **state)
{
	(void)state;
	end();
	return 0;
}

#define ONE(function) \
	cmocka_unit_test_setup_teardown(function, each_begin, each_end)

#endif
