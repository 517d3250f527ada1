/* SPDX-License-Identifier: MIT */
/* apart.c - what functions must not be granted: the host's own directories, and
 * those of the machine of which a cell has its own. Compares what paths lead to
 * now; who can change a link on the way is not asked here. */

#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"

#include "config/options.h"

/* What such a directory is in shows it, and is refused as well. */
struct ground {
	const char *path; /* canonical; NULL: there is none */
	bool below;	  /* what is in it, too */
	const char *why;
};

/* A single device may be needed, and data of one tenant by another. */
static const struct ground of_machine[] = {
	{ "/dev", false,
	    "a cell has its own; name the single devices that are meant" },
	{ "/proc", true,
	    "a cell has its own; this one shows the processes of the host" },
	{ "/sys", true,
	    "it shows devices and control groups of the machine, which cells "
	    "do not have" },
};

enum {
	MACHINE = sizeof(of_machine) / sizeof(of_machine[0]),
	GROUNDS = MACHINE + 4,
};

static void check_grants(struct option_file *, const struct ground *,
    const char *list, const struct grants *);
static void check_paths(struct option_file *, const struct ground *,
    const char *group, const char *name, const struct strings *);
static const char *refusal(const struct ground *, const char *path);
static bool within(const char *path, const char *directory);
static char *canonical(const char *path);

void
apart_check(struct option_file *f, const struct config *c,
    const struct grants *tenants, const struct config_places *given)
{
	const struct ground of_host[] = {
		{ canonical(given && given->functions ? given->functions :
							c->functions),
		    false, "the functions of all tenants are there" },
		{ canonical(given && given->run ? given->run : c->run), true,
		    "the run directory of the host is there" },
		{ canonical(given && given->log ? given->log : c->log), true,
		    "the log of the host is there" },
		{ canonical(given ? given->state : NULL), true,
		    "the state directory of the host is there" },
	};
	struct ground grounds[GROUNDS];

	memcpy(grounds, of_machine, sizeof(of_machine));
	memcpy(grounds + MACHINE, of_host, sizeof(of_host));
	option_file_at(f, config_options[CONFIG_ROW_cell_paths].path, 0, NULL);
	check_paths(f, grounds, "cell", "paths", &c->cell_paths);
	check_grants(f, grounds, CONFIG_PLANS, &c->plans);
	check_grants(f, grounds, CONFIG_TENANTS, tenants);
	for (size_t i = MACHINE; i < GROUNDS; i++)
		free((char *)grounds[i].path);
}

static void
check_grants(struct option_file *f, const struct ground *grounds,
    const char *list, const struct grants *grants)
{
	for (size_t i = 0; i < grants->count; i++) {
		const struct grant *g = &grants->items[i];

		option_file_at(f, list, i, "read");
		check_paths(f, grounds, list, "read", &g->read);
		option_file_at(f, list, i, "write");
		check_paths(f, grounds, list, "write", &g->write);
	}
}

/* The errors stand at the last option_file_at(). */
static void
check_paths(struct option_file *f, const struct ground *grounds,
    const char *group, const char *name, const struct strings *paths)
{
	char shown[OPTION_SHOWN_MOST + 8];

	for (size_t i = 0; i < paths->count; i++) {
		const char *why = refusal(grounds, paths->items[i]);

		if (why)
			option_file_say(f, NULL,
			    "%s.%s has \"%s\", which functions must not see: "
			    "%s",
			    group, name,
			    option_file_shown(paths->items[i], shown), why);
	}
}

static const char *
refusal(const struct ground *grounds, const char *path)
{
	char *meant = canonical(path);
	const char *why = NULL;

	for (size_t i = 0; meant && !why && i < GROUNDS; i++)
		if (grounds[i].path &&
		    (within(grounds[i].path, meant) ||
			(grounds[i].below && within(meant, grounds[i].path))))
			why = grounds[i].why;
	free(meant);
	return why;
}

/* Is it that directory, or below it? Both are canonical. */
static bool
within(const char *path, const char *directory)
{
	size_t bytes = strcmp(directory, "/") == 0 ? 0 : strlen(directory);

	return strncmp(path, directory, bytes) == 0 &&
	    (path[bytes] == '/' || path[bytes] == '\0');
}

/* Without links, as far as it is there already; the rest as it is written. NULL:
 * there is no such option. The caller frees. */
static char *
canonical(const char *path)
{
	char *above, *slash, *real, *whole, *from, *to;

	if (!path || path[0] != '/')
		return NULL;
	above = diag_strdup(path);
	while (!(real = realpath(above, NULL)) &&
	    (slash = strrchr(above, '/')) != above)
		*slash = '\0';
	if (!real) /* nothing of it is there */
		whole = diag_strdup(path);
	else if (asprintf(&whole, "%s%s", real, path + strlen(above)) < 0)
		diag_fatal("no memory");
	free(real);
	free(above);
	for (from = to = whole; *from; from++)
		if (from[0] != '/' || (from[1] != '/' && from[1] != '\0'))
			*to++ = *from;
	if (to == whole)
		*to++ = '/';
	*to = '\0';
	return whole;
}
