/* SPDX-License-Identifier: MIT */
/* If this fails, a cell is built of other steps than we think, or in an order
 * that does not hold. Pure: nothing is mounted here. */

#define _GNU_SOURCE 1
#include "rows.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "config/terms.h"

#include "cell/plan.h"
#include "cell/seccomp.h"

#define MADE_IN (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)
#define NAMESPACES (MADE_IN | CLONE_NEWCGROUP | CLONE_NEWNET)

/* ---- whole plans -------------------------------------------------------------- */

static const char limits[] = "limit core soft=0 hard=0\n"
			     "limit memlock soft=0 hard=0\n"
			     "limit msgqueue soft=0 hard=0\n"
			     "limit rtprio soft=0 hard=0\n"
			     "limit nice soft=0 hard=0\n"
			     "limit nofile soft=256 hard=4096\n";

static const char rules[] = "rules files signals sockets\n"
			    "allow /run/fcgi-host/spool open\n";

static const char mounts[] = "private /\n"
			     "root / size=1m,nr_inodes=16k,mode=755\n"
			     "system /usr\n"
			     "system /bin\n"
			     "system /sbin\n"
			     "system /lib\n"
			     "system /lib32\n"
			     "system /lib64\n"
			     "system /libx32\n"
			     "system /etc\n"
			     "system /run/systemd/resolve\n"
			     "system /var/cache/fontconfig\n"
			     "system /var/cache/ghostscript\n"
			     "system /var/lib/ghostscript\n"
			     "system /var/lib/aspell\n"
			     "system /var/lib/texmf\n"
			     "tmpfs /tmp size=67108864,nr_inodes=16384,"
			     "mode=1777\n"
			     "tmpfs /dev size=64k,nr_inodes=1k,mode=755\n"
			     "device /dev/null\n"
			     "device /dev/zero\n"
			     "device /dev/full\n"
			     "device /dev/random\n"
			     "device /dev/urandom\n"
			     "link /dev/fd -> /proc/self/fd\n"
			     "link /dev/stdin -> /proc/self/fd/0\n"
			     "link /dev/stdout -> /proc/self/fd/1\n"
			     "link /dev/stderr -> /proc/self/fd/2\n"
			     "link /dev/shm -> /tmp\n"
			     "link /var/tmp -> /tmp\n"
			     "proc /proc hidepid=2,subset=pid\n"
			     "maybe /run/fcgi-host/fn\n";

static const char pivot[] = "pivot\n"
			    "readonly /dev\n"
			    "readonly /\n"
			    "hostname acme\n";

static const char allow_own[] = "allow / read\n"
				"allow /dev all\n";

static const char allow_host[] = "allow /usr read\n"
				 "allow /bin read\n"
				 "allow /sbin read\n"
				 "allow /lib read\n"
				 "allow /lib32 read\n"
				 "allow /lib64 read\n"
				 "allow /libx32 read\n"
				 "allow /etc read\n"
				 "allow /run/systemd/resolve read\n"
				 "allow /var/cache/fontconfig read\n"
				 "allow /var/cache/ghostscript read\n"
				 "allow /var/lib/ghostscript read\n"
				 "allow /var/lib/aspell read\n"
				 "allow /var/lib/texmf read\n"
				 "allow /dev/null all\n"
				 "allow /dev/zero all\n"
				 "allow /dev/full all\n"
				 "allow /dev/random all\n"
				 "allow /dev/urandom all\n"
				 "allow /dev/shm write\n"
				 "allow /var/tmp write\n"
				 "allow /run/fcgi-host/fn read\n";

static const char allow_both[] = "allow /tmp write\n"
				 "allow /proc write\n";

static const struct whole {
	const char *sentence;
	uint64_t namespaces;
	bool root;
	bool of_root;
	const char *directory;
	const char *parts[20];
} wholes[] = {
	{ "root makes a cell for a tenant's user", NAMESPACES, true, false,
	    "/srv/functions/acme",
	    { "namespaces pid mount ipc uts\n"
	      "oom_score least=500\n"
	      "cgroup_root\n"
	      "network\n",
		rules, mounts,
		"tenant /srv/functions/acme\n"
		"data /srv/functions/acme/data\n",
		pivot, limits,
		"securebits\n"
		"bounding\n"
		"user user=1001 group=1002\n"
		"directory /srv/functions/acme\n"
		"capabilities\n"
		"no_new_privs\n"
		"hidden\n"
		"death signal=9\n"
		"umask mask=027\n",
		allow_own, allow_both,
		"allow /srv/functions/acme/data write\n" } },
	{ "of a directory that is root's, data/ is given away, without "
	  "namespaces too",
	    0, true, true, "/srv/functions/acme",
	    { "give /srv/functions/acme/data user=1001 group=1002\n"
	      "oom_score least=500\n",
		rules, limits,
		"securebits\n"
		"bounding\n"
		"user user=1001 group=1002\n"
		"capabilities\n"
		"no_new_privs\n"
		"hidden\n"
		"death signal=0\n"
		"subreaper\n"
		"umask mask=027\n",
		allow_host, "allow /srv/functions/acme read\n", allow_both,
		"allow /srv/functions/acme/data write\n" } },
	{ "an ordinary user's cell has a user namespace, and no change of user",
	    (NAMESPACES & ~CLONE_NEWNET) | CLONE_NEWUSER, false, true,
	    "/home/a/functions/acme",
	    { "ids user=1001 group=1002\n"
	      "namespaces user pid mount ipc uts\n"
	      "oom_score least=500\n"
	      "cgroup_root\n",
		rules, mounts,
		"tenant /home/a/functions/acme\n"
		"data /home/a/functions/acme/data\n",
		pivot, limits,
		"securebits\n"
		"bounding\n"
		"directory /home/a/functions/acme\n"
		"capabilities\n"
		"no_new_privs\n"
		"hidden\n"
		"death signal=9\n"
		"umask mask=027\n",
		allow_own, allow_both,
		"allow /home/a/functions/acme/data write\n" } },
	{ "without namespaces there is what is left, and it outlives master "
	  "for as long as it takes to end its processes",
	    0, false, true, "/home/a/functions/acme",
	    { "oom_score least=500\n", rules, limits,
		"no_new_privs\n"
		"hidden\n"
		"death signal=0\n"
		"subreaper\n"
		"umask mask=027\n",
		allow_host, "allow /home/a/functions/acme read\n", allow_both,
		"allow /home/a/functions/acme/data write\n" } },
	{ "a probe has no tenant", NAMESPACES | CLONE_NEWUSER, false, false,
	    NULL,
	    { "ids user=1001 group=1002\n"
	      "namespaces user pid mount ipc uts\n"
	      "oom_score least=500\n"
	      "cgroup_root\n"
	      "network\n",
		rules, mounts, pivot, limits,
		"securebits\n"
		"bounding\n"
		"capabilities\n"
		"no_new_privs\n"
		"hidden\n"
		"death signal=9\n"
		"umask mask=027\n",
		allow_own, allow_both } },
};

static const char *
printed(const struct plan_facts *facts, struct config *config)
{
	static struct buf text;
	struct plan *plan;

	config_settle(config);
	plan = plan_make(facts, config);
	buf_free(&text);
	buf_init(&text, 65536);
	plan_print(plan, &text);
	plan_free(&plan);
	assert_null(plan);
	return buf_string(&text);
}

static void
plan_is(void **state)
{
	const struct whole *w = *state;
	const struct plan_facts facts = {
		.tenant = "acme",
		.directory = w->directory,
		.uid = 1001,
		.gid = 1002,
		.namespaces = w->namespaces,
		.root = w->root,
		.of_root = w->of_root,
	};
	struct config *config = config_new();
	char expected[8192] = "";
	size_t bytes = 0;

	for (int i = 0; i < 20 && w->parts[i]; i++)
		bytes += (size_t)snprintf(expected + bytes,
		    sizeof(expected) - bytes, "%s", w->parts[i]);
	snprintf(expected + bytes, sizeof(expected) - bytes,
	    "restrict\nfilter rows=%zu\n", seccomp_rows());
	assert_string_equal(printed(&facts, config), expected);
	config_release(&config);
}

/* ---- what the administrator adds -------------------------------------------------- */

static char *some_paths[] = { (char *)(uintptr_t) "/srv/b/c",
	(char *)(uintptr_t) "/srv/a", (char *)(uintptr_t) "/srv/b" };
static char *targets[] = { (char *)(uintptr_t) "/usr/lib/cgi-bin",
	(char *)(uintptr_t) "/opt/cgi", (char *)(uintptr_t) "/usrlocal" };

static void
assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
}

static void
paths_come_before_what_is_in_them(void **state)
{
	const struct plan_facts facts = { .tenant = "acme",
		.directory = "/f/acme",
		.namespaces = NAMESPACES,
		.root = true };
	struct config *config = config_new();
	struct strings kept = config->cell_paths;

	(void)state;
	config->cell_paths = (struct strings){ some_paths, 3 };
	assert_has(printed(&facts, config),
	    "read /srv/a\nread /srv/b\nread /srv/b/c\n"
	    "maybe /run/fcgi-host/fn\ntenant /f/acme\n");
	config->cell_paths = kept;
	config_release(&config);
}

static struct config *
configured(const char *text)
{
	int fd = memfd_create("host.conf", MFD_CLOEXEC);
	struct config *config;
	struct buf errors;
	char name[32];

	assert_int_equal(fd_write_all(fd, span_of(text)), 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	buf_init(&errors, 65536);
	config = config_load(name, 1, &errors);
	if (!config)
		fail_msg("%s", buf_string(&errors));
	buf_free(&errors);
	fd_close(&fd);
	return config;
}

static void
grants_are_the_tenants_own(void **state)
{
	struct plan_facts facts = { .tenant = "git",
		.directory = "/f/git",
		.namespaces = NAMESPACES,
		.root = true };
	struct config *config =
	    configured("plans = ( { name = \"p\"; read = [ \"/srv/a\" ]; "
		       "tmp = \"1 MiB\"; limits = { files = 200; }; } );\n"
		       "tenants = ( { name = \"git\"; plan = \"p\"; "
		       "read = [ \"/srv/git\" ]; write = [ \"/srv/b\" ]; } "
		       ");");

	(void)state;
	assert_has(printed(&facts, config),
	    "read /srv/a\nread /srv/git\nmaybe /run/fcgi-host/fn\n"
	    "tenant /f/git\ndata /f/git/data\nwrite /srv/b\npivot\n");
	assert_has(printed(&facts, config), "tmpfs /tmp size=1048576,");
	assert_has(printed(&facts, config), "nofile soft=200 ");
	facts.tenant = "other";
	assert_null(strstr(printed(&facts, config), "/srv/"));
	config_release(&config);
}

static void
link_targets_are_shown_unless_they_are(void **state)
{
	const struct plan_facts facts = { .tenant = "acme",
		.directory = "/f/acme",
		.namespaces = NAMESPACES,
		.root = true };
	struct config *config = config_new();
	struct strings kept = config->link_targets;

	(void)state;
	config->link_targets = (struct strings){ targets, 3 };
	assert_has(printed(&facts, config),
	    "subset=pid\nmaybe /opt/cgi\nmaybe /usrlocal\n"
	    "maybe /run/fcgi-host/fn\ntenant");
	config->link_targets = kept;
	config_release(&config);
}

static void
a_cell_can_open_its_own_files(void **state)
{
	const struct plan_facts facts = { .tenant = "acme",
		.directory = "/f/acme",
		.namespaces = NAMESPACES,
		.root = true };
	struct config *config = config_new();

	(void)state;
	config->limits[LIMIT_files] = 1;
	config->maximum[LIMIT_files] = 2;
	assert_has(printed(&facts, config), "nofile soft=128 hard=128\n");
	config->maximum[LIMIT_files] = 200;
	assert_has(printed(&facts, config), "nofile soft=128 hard=200\n");
	config_release(&config);
}

static void
tmp_has_files_for_its_size(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *step;
	} rows[] = {
		{ 65536, "tmpfs /tmp size=65536,nr_inodes=256,mode" },
		{ 1048576, "tmpfs /tmp size=1048576,nr_inodes=256,mode" },
		{ 1052672, "tmpfs /tmp size=1052672,nr_inodes=257,mode" },
	};
	const struct plan_facts facts = { .tenant = "acme",
		.directory = "/f/acme",
		.namespaces = NAMESPACES,
		.root = true };
	struct config *config = config_new();

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		config->tmp_size = rows[i].bytes;
		assert_has(printed(&facts, config), rows[i].step);
	}
	config_release(&config);
}

static void
control_groups_come_before_all_else(void **state)
{
	const struct plan_facts facts = { .tenant = "acme",
		.directory = "/f/acme",
		.namespaces = NAMESPACES,
		.root = true,
		.of_root = true,
		.cgroups = span_make("memory\0pids", 12),
		.cgroup_fds = { 5, 6 } };
	struct config *config = config_new();
	struct plan *p = plan_make(&facts, config);

	(void)state;
	assert_memory_equal(printed(&facts, config),
	    "cgroup memory\ncgroup pids\n", 26);
	assert_int_equal(p->steps[0].resource, 5);
	assert_int_equal(p->steps[1].resource, 6);
	plan_free(&p);
	config_release(&config);
}

static void
no_network_is_a_rule_where_it_is_no_namespace(void **state)
{
	struct plan_facts facts = {
		.tenant = "acme", .directory = "/f/acme", .root = true
	};
	struct config *config = config_new();

	(void)state;
	assert_has(printed(&facts, config), "rules files signals sockets\n");
	config->tenant_network = NETWORK_NONE;
	assert_int_equal(config_settle(config), 0);
	assert_has(printed(&facts, config),
	    "rules files signals sockets tcp\n");
	facts.namespaces = NAMESPACES;
	assert_has(printed(&facts, config), "rules files signals sockets\n");
	config_release(&config);
}

/* One file of the host, and nothing where all of /usr is shown anyway. */
static void
python_is_shown_wherever_it_is(void **state)
{
	struct plan_facts facts = { .tenant = "acme",
		.directory = "/f/acme",
		.namespaces = NAMESPACES,
		.python = "/opt/libexec/fcgi-host-python",
		.root = true };
	struct config *config = config_new();

	(void)state;
	assert_has(printed(&facts, config),
	    "\nmaybe /opt/libexec/fcgi-host-python\ntenant /f/acme\n");
	facts.namespaces = 0;
	assert_has(printed(&facts, config),
	    "\nallow /opt/libexec/fcgi-host-python read\n");
	facts.python = "/usr/libexec/fcgi-host/fcgi-host-python";
	assert_null(strstr(printed(&facts, config), "python"));
	facts.namespaces = NAMESPACES;
	assert_null(strstr(printed(&facts, config), "python"));
	config_release(&config);
}

static void
notes_are_printed(void **state)
{
	struct plan_step step = { .op = PLAN_LIMIT,
		.options = (char *)(uintptr_t) "nofile",
		.first = 7,
		.second = UINT64_MAX,
		.note = "as it is" };
	struct buf text;

	(void)state;
	buf_init(&text, 256);
	plan_print_step(&step, &text);
	assert_string_equal(buf_string(&text),
	    "limit nofile soft=7 hard=unlimited (as it is)");
	buf_free(&text);
}

int
main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(paths_come_before_what_is_in_them),
		cmocka_unit_test(grants_are_the_tenants_own),
		cmocka_unit_test(link_targets_are_shown_unless_they_are),
		cmocka_unit_test(a_cell_can_open_its_own_files),
		cmocka_unit_test(tmp_has_files_for_its_size),
		cmocka_unit_test(control_groups_come_before_all_else),
		cmocka_unit_test(no_network_is_a_rule_where_it_is_no_namespace),
		cmocka_unit_test(python_is_shown_wherever_it_is),
		cmocka_unit_test(notes_are_printed),
	};
	int failed = RUN_ROWS(wholes, plan_is);

	failed += cmocka_run_group_tests(others, NULL, NULL);
	return failed != 0;
}
