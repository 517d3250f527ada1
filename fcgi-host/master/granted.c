/* SPDX-License-Identifier: MIT */
/* granted.c - whether the paths of the host that a cell was given still lead to
 * what they did. A service that makes its directory anew when it is restarted
 * would be lost to cells in use: what they see is the old one. */

#include <fcntl.h>
#include <stdlib.h>

#include "base/diag.h"

#include "config/option.h"
#include "config/terms.h"

#include "master/master.h"

struct granted_path {
	const char *path; /* borrowed from paths.items */
	bool there;
	uint32_t major;
	uint32_t minor;
	uint64_t inode;
};

static void granted_add(struct granted *, const struct strings *);
static void look_at(struct granted_path *);

void
granted_look(struct granted *g, const struct config *config,
    const struct terms *terms)
{
	*g = (struct granted){ 0 };
	granted_add(g, &config->cell_paths);
	granted_add(g, &terms->read);
	granted_add(g, &terms->write);
	if (g->paths.count == 0)
		return;
	g->items = diag_alloc(g->paths.count * sizeof(*g->items));
	for (size_t i = 0; i < g->paths.count; i++) {
		g->items[i].path = g->paths.items[i];
		look_at(&g->items[i]);
	}
}

/* One that is not there stays as it is: a cell without it could not be built, and
 * this one serves all that does not need it. */
const char *
granted_moved(const struct granted *g)
{
	for (size_t i = 0; i < g->paths.count; i++) {
		const struct granted_path *was = &g->items[i];
		struct granted_path is = { .path = was->path };

		look_at(&is);
		if (is.there &&
		    (!was->there || is.major != was->major ||
			is.minor != was->minor || is.inode != was->inode))
			return is.path;
	}
	return NULL;
}

void
granted_free(struct granted *g)
{
	strings_free(&g->paths);
	free(g->items);
	*g = (struct granted){ 0 };
}

static void
granted_add(struct granted *g, const struct strings *paths)
{
	for (size_t i = 0; i < paths->count; i++)
		if (strings_add(&g->paths, span_of(paths->items[i])) != 0)
			diag_fatal("no memory for the paths of a tenant");
}

/* What has to be asked of a server, or mounted first, is not waited for: the
 * whole host would. */
static void
look_at(struct granted_path *p)
{
	struct statx s;

	p->there =
	    statx(AT_FDCWD, p->path, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
		STATX_INO, &s) == 0;
	if (!p->there)
		return;
	p->major = s.stx_dev_major;
	p->minor = s.stx_dev_minor;
	p->inode = s.stx_ino;
}
