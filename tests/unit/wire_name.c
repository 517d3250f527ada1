/* SPDX-License-Identifier: MIT */
/* If this fails, a file is served that its author meant as a copy, or one that
 * he put there as a function is not. */
#include "rows.h"

#include "wire/name.h"

static const struct file_row {
	const char *sentence;
	struct span file;
	enum name_file kind;
	struct span function;
	bool asked;
} files[] = {
	{ "a name alone is a function", SPAN("hello"), NAME_FILE_PROGRAM,
	    SPAN("hello"), true },
	{ "case, digits, _ and - are", SPAN("-A_z-09"), NAME_FILE_PROGRAM,
	    SPAN("-A_z-09"), true },
	{ "an extension is not its name", SPAN("report.py"), NAME_FILE_PROGRAM,
	    SPAN("report"), true },
	{ "its name ends at the first dot", SPAN("tool.v2.sh"),
	    NAME_FILE_PROGRAM, SPAN("tool"), true },
	{ "an extension may be empty", SPAN("hello."), NAME_FILE_PROGRAM,
	    SPAN("hello"), true },
	{ "an extension of other characters is no URL", SPAN("hello.a b"),
	    NAME_FILE_PROGRAM, SPAN("hello"), false },
	{ "nor is one with a NUL", SPAN("hello.a\0b"), NAME_FILE_PROGRAM,
	    SPAN("hello"), false },
	{ "settings are no function", SPAN("hello.conf"), NAME_FILE_SETTINGS,
	    SPAN("hello"), false },
	{ "nor are those of the tenant", SPAN("tenant.conf"),
	    NAME_FILE_SETTINGS, SPAN("tenant"), false },
	{ "nor those of a whole file name", SPAN("report.py.conf"),
	    NAME_FILE_SETTINGS, SPAN("report"), false },
	{ "settings of nothing there can be are nothing", SPAN("a b.conf"),
	    NAME_FILE_NEVER, SPAN("a b"), false },
	{ "conf alone is a name", SPAN("conf"), NAME_FILE_PROGRAM, SPAN("conf"),
	    true },
	{ "an editor's copy is none", SPAN("hello~"), NAME_FILE_NEVER,
	    SPAN("hello~"), false },
	{ "nor with an extension before", SPAN("hello.sh~"), NAME_FILE_NEVER,
	    SPAN("hello"), false },
	{ "nor .bak", SPAN("hello.bak"), NAME_FILE_NEVER, SPAN("hello"),
	    false },
	{ "nor .orig", SPAN("hello.orig"), NAME_FILE_NEVER, SPAN("hello"),
	    false },
	{ "nor .swp", SPAN("hello.sh.swp"), NAME_FILE_NEVER, SPAN("hello"),
	    false },
	{ "nor .tmp", SPAN("hello.tmp"), NAME_FILE_NEVER, SPAN("hello"),
	    false },
	{ "bak inside a name is harmless", SPAN("hello.bak.sh"),
	    NAME_FILE_PROGRAM, SPAN("hello"), true },
	{ "a dotfile is nothing", SPAN(".hello"), NAME_FILE_NEVER, SPAN(""),
	    false },
	{ "nor is the directory", SPAN("."), NAME_FILE_NEVER, SPAN(""), false },
	{ "nor the one above", SPAN(".."), NAME_FILE_NEVER, SPAN(""), false },
	{ "nor no name", SPAN(""), NAME_FILE_NEVER, SPAN(""), false },
	{ "a blank is a mistake that is told", SPAN("my report.py"),
	    NAME_FILE_MISNAMED, SPAN("my report"), false },
	{ "so is an umlaut", SPAN("gr\xc3\xbc\xc3\x9f"), NAME_FILE_MISNAMED,
	    SPAN("gr\xc3\xbc\xc3\x9f"), false },
	{ "so is a newline", SPAN("hello\n"), NAME_FILE_MISNAMED,
	    SPAN("hello\n"), false },
	{ "a slash is in no name", SPAN("a/b"), NAME_FILE_MISNAMED, SPAN("a/b"),
	    false },
};

static void
test_file(void **state)
{
	const struct file_row *row = *state;

	assert_int_equal(name_file(row->file), row->kind);
	assert_true(span_equal(name_function(row->file), row->function));
	assert_int_equal(name_is_asked(row->file), row->asked);
}

static const struct length_row {
	const char *sentence;
	size_t name, extension; /* characters, the dot is one of the latter */
	enum name_file kind;
	bool asked;
} lengths[] = {
	{ "a function's name has up to 63 characters", 63, 0, NAME_FILE_PROGRAM,
	    true },
	{ "but not 64", 64, 0, NAME_FILE_MISNAMED, false },
	{ "nor with an extension", 64, 3, NAME_FILE_MISNAMED, false },
	{ "what is asked has up to 127", 63, 64, NAME_FILE_PROGRAM, true },
	{ "a file may have more", 63, 65, NAME_FILE_PROGRAM, false },
	{ "up to 255", 63, 192, NAME_FILE_PROGRAM, false },
	{ "which is all that a file system gives", 63, 193, NAME_FILE_NEVER,
	    false },
};

static void
test_length(void **state)
{
	const struct length_row *row = *state;
	struct span file;
	char text[512];

	memset(text, 'a', sizeof(text));
	text[row->name] = '.';
	file = span_make(text, row->name + row->extension);
	assert_int_equal(name_file(file), row->kind);
	assert_int_equal(name_is_asked(file), row->asked);
	assert_int_equal(name_is_function(span_make(text, row->name)),
	    row->name <= 63);
}

int
main(void)
{
	return RUN_ROWS(files, test_file) + RUN_ROWS(lengths, test_length);
}
