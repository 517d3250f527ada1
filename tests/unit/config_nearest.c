/* SPDX-License-Identifier: MIT */
/* If this fails, a typing error in a configuration is answered with a name that
 * was not meant, or a variable is refused or taken that should not be. */
#include "rows.h"

#include <string.h>

#include "base/span.h"
#include "config/env_name.h"
#include "config/nearest.h"

static const char *const names[] = { "slots.host", "slots.tenant", "drain",
	"queue.host", "cpu", "log", "logs.keep", "functions" };

static const struct word {
	const char *sentence;
	const char *word;
	const char *meant; /* NULL: none */
} words[] = {
	{ "the word itself", "drain", "drain" },
	{ "two letters swapped", "darin", "drain" },
	{ "a letter missing", "functons", "functions" },
	{ "a letter too many", "draain", "drain" },
	{ "a wrong letter", "slots.hast", "slots.host" },
	{ "three mistakes in a long word", "sluts.tennat", "slots.tenant" },
	{ "a third of a short word is one letter", "lag", "log" },
	{ "two letters of three are another word", "lad", NULL },
	{ "a word of one letter is like nothing", "x", NULL },
	{ "no word is like nothing", "", NULL },
	{ "another word is like nothing", "bananas", NULL },
	{ "a word that goes on and on is like nothing",
	    "drainxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	    NULL },
};

static void
run_word(void **state)
{
	const struct word *row = *state;
	const char *found = nearest(row->word, names, COUNT(names));

	if (row->meant)
		assert_string_equal(found ? found : "(none)", row->meant);
	else
		assert_null(found);
}

static const struct variable {
	const char *sentence;
	struct span name;
	bool refused;
} variables[] = {
	{ "own names are fine", SPAN("DATABASE_URL"), false },
	{ "small letters are fine", SPAN("http_proxy"), false },
	{ "a leading _ is fine", SPAN("_X9"), false },
	{ "git's are fine", SPAN("GIT_PROJECT_ROOT"), false },
	{ "PATH is fine", SPAN("PATH"), false },
	{ "a name that only begins like one is fine", SPAN("IFSX"), false },
	{ "a name that only ends like one is fine", SPAN("MY_LD_PRELOAD"),
	    false },
	{ "no name", SPAN(""), true },
	{ "a digit in front", SPAN("9X"), true },
	{ "a blank", SPAN("A B"), true },
	{ "a NUL", SPAN("A\0B"), true },
	{ "a =", SPAN("A=B"), true },
	{ "bash's functions", SPAN("BASH_FUNC_ls%%"), true },
	{ "LD_PRELOAD", SPAN("LD_PRELOAD"), true },
	{ "LD_LIBRARY_PATH", SPAN("LD_LIBRARY_PATH"), true },
	{ "GCONV_PATH", SPAN("GCONV_PATH"), true },
	{ "GLIBC_TUNABLES", SPAN("GLIBC_TUNABLES"), true },
	{ "BASH_ENV", SPAN("BASH_ENV"), true },
	{ "ENV", SPAN("ENV"), true },
	{ "IFS", SPAN("IFS"), true },
	{ "HTTP_PROXY", SPAN("HTTP_PROXY"), true },
	{ "AUTH_TYPE", SPAN("AUTH_TYPE"), true },
	{ "CONTENT_LENGTH", SPAN("CONTENT_LENGTH"), true },
	{ "CONTENT_TYPE", SPAN("CONTENT_TYPE"), true },
	{ "GATEWAY_INTERFACE", SPAN("GATEWAY_INTERFACE"), true },
	{ "PATH_INFO", SPAN("PATH_INFO"), true },
	{ "PATH_TRANSLATED", SPAN("PATH_TRANSLATED"), true },
	{ "QUERY_STRING", SPAN("QUERY_STRING"), true },
	{ "REMOTE_ADDR", SPAN("REMOTE_ADDR"), true },
	{ "REMOTE_USER", SPAN("REMOTE_USER"), true },
	{ "REQUEST_METHOD", SPAN("REQUEST_METHOD"), true },
	{ "REQUEST_URI", SPAN("REQUEST_URI"), true },
	{ "SCRIPT_NAME", SPAN("SCRIPT_NAME"), true },
	{ "SCRIPT_FILENAME", SPAN("SCRIPT_FILENAME"), true },
	{ "SERVER_NAME", SPAN("SERVER_NAME"), true },
	{ "SERVER_PROTOCOL", SPAN("SERVER_PROTOCOL"), true },
	{ "REDIRECT_STATUS", SPAN("REDIRECT_STATUS"), true },
	{ "FN_TENANT", SPAN("FN_TENANT"), true },
	{ "TRACEPARENT", SPAN("TRACEPARENT"), true },
};

static void
run_variable(void **state)
{
	const struct variable *row = *state;

	assert_int_equal(env_name_refused(row->name) != NULL, row->refused);
}

int
main(void)
{
	int failed = RUN_ROWS(words, run_word);

	return failed + RUN_ROWS(variables, run_variable);
}
