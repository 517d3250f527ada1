/* SPDX-License-Identifier: MIT */
/* cgroup_find.c - from what the kernel says of mounts and of this process to
 * the hierarchies of control groups and our place in each. Pure. A controller is
 * either in a hierarchy of version 1 or in that of version 2, never in both. */

#include <stdio.h>
#include <string.h>

#include "master/cgroup.h"

static const char *const kind_names[CGROUP_KINDS] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_PIDS] = "pids",
	[CGROUP_CPU] = "cpu",
};

static bool mount_read(struct span line, struct cgroup_found *,
    struct span *root);
static unsigned kinds_among(struct span controllers);
static struct span own_group(struct span membership, bool unified,
    unsigned kinds);
static bool own_below(struct cgroup_found *, struct span own, struct span root);

const char *
cgroup_kind_name(enum cgroup_kind kind)
{
	return kind_names[kind];
}

/* Of two mounts of the same hierarchy the first one counts. */
size_t
cgroup_find(struct span mountinfo, struct span membership,
    struct cgroup_found found[CGROUP_KINDS + 1])
{
	unsigned kinds = 0;
	bool unified = false;
	size_t count = 0;

	while (mountinfo.bytes > 0 && count <= CGROUP_KINDS) {
		struct cgroup_found *f = &found[count];
		struct span root;

		if (!mount_read(span_cut(&mountinfo, '\n'), f, &root) ||
		    (f->unified ? unified : (f->kinds & ~kinds) == 0) ||
		    !own_below(f, own_group(membership, f->unified, f->kinds),
			root))
			continue;
		unified |= f->unified;
		kinds |= f->kinds;
		count++;
	}
	return count;
}

/* proc(5): id, parent, device, root, mount point, options, optional fields, a
 * hyphen, type, source, options of the file system. Blanks are written as
 * octals; a place with such a name is none of ours. */
static bool
mount_read(struct span line, struct cgroup_found *f, struct span *root)
{
	struct span field[5], type, rest = line;

	for (int i = 0; i < 5; i++)
		field[i] = span_cut(&rest, ' ');
	while (rest.bytes > 0 && !span_equal(span_cut(&rest, ' '), SPAN("-")))
		;
	type = span_cut(&rest, ' ');
	span_cut(&rest, ' ');
	*f = (struct cgroup_found){ .unified =
					span_equal(type, SPAN("cgroup2")) };
	if (!f->unified && !span_equal(type, SPAN("cgroup")))
		return false;
	if (!f->unified && (f->kinds = kinds_among(rest)) == 0)
		return false;
	*root = field[3];
	if (span_find(field[4], '\\') >= 0 ||
	    field[4].bytes >= sizeof(f->mount))
		return false;
	snprintf(f->mount, sizeof(f->mount), "%.*s", SPAN_ARGS(field[4]));
	return true;
}

static unsigned
kinds_among(struct span controllers)
{
	unsigned kinds = 0;

	while (controllers.bytes > 0) {
		struct span one = span_cut(&controllers, ',');

		for (int kind = 0; kind < CGROUP_KINDS; kind++)
			if (span_equal(one, span_of(kind_names[kind])))
				kinds |= 1U << kind;
	}
	return kinds;
}

/* cgroups(7): "4:memory:/path", version 2 "0::/path". */
static struct span
own_group(struct span membership, bool unified, unsigned kinds)
{
	while (membership.bytes > 0) {
		struct span path = span_cut(&membership, '\n');
		struct span number = span_cut(&path, ':');
		struct span controllers = span_cut(&path, ':');

		if (unified ? span_equal(number, SPAN("0")) :
			      (kinds_among(controllers) & kinds) != 0)
			return path;
	}
	return SPAN("/");
}

/* Only a part of the hierarchy may be mounted, as in a container: then its root
 * is not "/", and may be no part of our path at all. */
static bool
own_below(struct cgroup_found *f, struct span own, struct span root)
{
	if (span_equal(root, SPAN("/")))
		root = SPAN_NONE;
	if (root.bytes > own.bytes ||
	    (root.bytes > 0 && !span_equal(span_take(own, root.bytes), root)) ||
	    (root.bytes > 0 && own.bytes > root.bytes &&
		own.data[root.bytes] != '/'))
		own = SPAN_NONE;
	else
		own = span_skip(own, root.bytes);
	if (own.bytes == 1)
		own = SPAN_NONE;
	return snprintf(f->own, sizeof(f->own), "%s%.*s", f->mount,
		   SPAN_ARGS(own)) < (int)sizeof(f->own);
}
