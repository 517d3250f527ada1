/* SPDX-License-Identifier: MIT */
/* If this fails, the examples in conf/ or the help describe another program. */
#include "config_files.h"

static void
check_file(const char *path, void (*print)(struct buf *))
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct buf printed;
	char *text;
	ssize_t bytes;

	if (fd < 0)
		fail_msg("%s is not there; tests run in the top folder", path);
	buf_init(&printed, 1024 * 1024);
	print(&printed);
	text = calloc(1, buf_bytes(&printed) + 2);
	bytes = read(fd, text, buf_bytes(&printed) + 1);
	assert_true(bytes > 0);
	assert_string_equal(text, buf_string(&printed));
	free(text);
	fd_close(&fd);
	buf_free(&printed);
}

static void
test_every_option(void)
{
	check_file("conf/every-option.conf", config_print_file);
}

static void
test_function(void)
{
	check_file("conf/function.conf", settings_print_file);
}

/* Takes "#" off all lines that are no prose. */
static void
uncomment(const struct buf *printed, struct buf *text, unsigned *options)
{
	struct span rest = buf_span(printed), line;

	*options = 0;
	while (rest.bytes > 0) {
		line = span_cut(&rest, '\n');
		assert_true(line.bytes <= 79);
		if (span_starts(line, SPAN("#")) &&
		    !span_starts(line, SPAN("# "))) {
			line = span_skip(line, 1);
			*options += span_ends(line, SPAN(";")) &&
			    !span_starts(line, SPAN("}"));
		}
		buf_put(text, line);
		buf_put_byte(text, '\n');
	}
}

static void
test_uncommented(void)
{
	struct buf printed, text, errors, bytes, standard_bytes;
	struct config *c, *standard;
	unsigned options, rows = 2 * LIMITS + 2;

#define OPTION(...) rows++;
#include "config/options.def"
#undef OPTION
	buf_init(&printed, 1024 * 1024);
	buf_init(&text, 1024 * 1024);
	buf_init(&errors, 65536);
	buf_init(&bytes, CONFIG_BYTES_MOST);
	buf_init(&standard_bytes, CONFIG_BYTES_MOST);
	config_print_file(&printed);
	uncomment(&printed, &text, &options);
	assert_int_equal(options, rows);
	c = load(buf_span(&text), &errors);
	if (!c)
		fail_msg("%s", buf_string(&errors));
	standard = load(SPAN(""), &errors);
	assert_int_equal(config_encode(c, &bytes), 0);
	assert_int_equal(config_encode(standard, &standard_bytes), 0);
	assert_int_equal(buf_bytes(&bytes), buf_bytes(&standard_bytes));
	assert_memory_equal(buf_span(&bytes).data,
	    buf_span(&standard_bytes).data, buf_bytes(&bytes));
	config_release(&c);
	config_release(&standard);
	buf_free(&printed);
	buf_free(&text);
	buf_free(&errors);
	buf_free(&bytes);
	buf_free(&standard_bytes);
}

static void
test_uncommented_function(void)
{
	struct config *c = config_new();
	struct settings *s = settings_draft(config_terms(c, SPAN_NONE));
	struct buf printed, text, errors, bytes;
	unsigned options, rows = LIMITS;
	int fd;

#define WORDS(...)
#define SETTING(...) rows++;
#include "config/settings.def"
#undef SETTING
#undef WORDS
	buf_init(&printed, 1024 * 1024);
	buf_init(&text, 1024 * 1024);
	buf_init(&errors, 65536);
	buf_init(&bytes, SETTINGS_BYTES_MOST);
	settings_print_file(&printed);
	uncomment(&printed, &text, &options);
	assert_int_equal(options, rows);
	fd = file_in_memory(buf_span(&text));
	if (settings_read(s, config_terms(c, SPAN_NONE), fd, "function.conf",
		PROGRAM_CGI, &errors) != 0)
		fail_msg("%s", buf_string(&errors));
	settings_settle(s, PROGRAM_CGI);
	assert_int_equal(settings_encode(s, config_terms(c, SPAN_NONE), &bytes),
	    0);
	assert_int_equal(buf_bytes(&bytes), 0);
	fd_close(&fd);
	settings_release(&s);
	config_release(&c);
	buf_free(&printed);
	buf_free(&text);
	buf_free(&errors);
	buf_free(&bytes);
}

static void
test_start(void)
{
	struct buf errors;
	struct config *c;

	buf_init(&errors, 65536);
	c = config_load("conf/fcgi-host.conf", 1, &errors);
	if (!c)
		fail_msg("%s", buf_string(&errors));
	config_release(&c);
	buf_free(&errors);
}

/* Each option is named once, with its default, and no line begins a request
 * that roff does not know. */
static void
test_people(void)
{
	struct buf help, man;
	struct span rest;

	buf_init(&help, 1024 * 1024);
	buf_init(&man, 1024 * 1024);
	config_print_help(&help);
	config_print_man(&man);
	settings_print_man(&man);
#define OPTION(member, path, ...)                               \
	assert_non_null(strstr(buf_string(&help), path " = ")); \
	assert_non_null(strstr(buf_string(&man), ".B " path "\n"));
#include "config/options.def"
#undef OPTION
	assert_non_null(strstr(buf_string(&help), "limits.time = \"10s\"  "));
	assert_non_null(strstr(buf_string(&help),
	    "  tenants.slots = slots.tenant  "));
	assert_non_null(strstr(buf_string(&man), ".B maximum.memory\n"));
	rest = buf_span(&man);
	while (rest.bytes > 0) {
		struct span line = span_cut(&rest, '\n');

		if (span_starts(line, SPAN(".")))
			assert_true(span_equal(line, SPAN(".TP")) ||
			    span_equal(line, SPAN(".br")) ||
			    span_starts(line, SPAN(".B ")));
		assert_false(span_starts(line, SPAN("'")));
	}
	buf_free(&help);
	buf_free(&man);
}

static const struct story {
	const char *sentence;
	void (*test)(void);
} stories[] = {
	{ "conf/every-option.conf is what --print-config prints",
	    test_every_option },
	{ "conf/function.conf is what the settings are", test_function },
	{ "every option uncommented is the configuration without a file",
	    test_uncommented },
	{ "every setting uncommented is a function without a file",
	    test_uncommented_function },
	{ "conf/fcgi-host.conf is a configuration", test_start },
	{ "help and man page name every option", test_people },
};

static void
run_story(void **state)
{
	((const struct story *)*state)->test();
}

int
main(void)
{
	int failed;

	directory_make();
	failed = RUN_ROWS(stories, run_story);
	directory_remove();
	return failed;
}
