/* SPDX-License-Identifier: MIT */
/* If this fails, fcgi-hostctl hangs, believes half an answer, or lets text of a
 * tenant move the operator's terminal. */
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "wire/fcgi.h"

#include "ctl/ctl.h"

enum { BODY_BYTES = 8 * 1024 * 1024, PATIENCE_S = 60 };

/* What our side got. */
static char text[4096];
static size_t text_bytes;
static char error_text[256];
static char body[BODY_BYTES];

static const char *
keep_stdout(void *arg, struct span bytes)
{
	(void)arg;
	assert_true(text_bytes + bytes.bytes < sizeof(text));
	memcpy(text + text_bytes, bytes.data, bytes.bytes);
	text_bytes += bytes.bytes;
	text[text_bytes] = '\0';
	return strstr(text, "stop") ? "enough" : NULL;
}

static void
keep_stderr(void *arg, struct span bytes)
{
	(void)arg;
	snprintf(error_text, sizeof(error_text), "%.*s", SPAN_ARGS(bytes));
}

/* clang-format off */
#define HEAD(type, id, bytes) "\1" type "\0" id "\0" bytes "\0\0"
#define END_OK HEAD("\3", "\1", "\10") "\0\0\0\7\0\0\0\0"
static const struct talk_row {
	const char *sentence;
	struct span answer;
	bool reads_first;	/* the peer reads all before it answers */
	int result;
	const char *out, *err, *reason;
} talks[] = {
	{ "a reply and its end", SPAN(HEAD("\6", "\1", "\5") "hello" END_OK),
	    true, 0, "hello", "", NULL },
	{ "stderr records are apart", SPAN(HEAD("\7", "\1", "\3") "err"
	    HEAD("\6", "\1", "\2") "ok" END_OK), true, 0, "ok", "err", NULL },
	{ "an answer may come before the body is read",
	    SPAN(HEAD("\6", "\1", "\3") "413" END_OK), false, 0, "413", "",
	    NULL },
	{ "a broken connection is no reply", SPAN(HEAD("\6", "\1", "\5")
	    "hello"), true, -1, "hello", "", "closed the connection" },
	{ "nothing is no reply", SPAN(""), true, -1, "", "",
	    "closed the connection" },
	{ "another request's record is no FastCGI of ours",
	    SPAN(HEAD("\6", "\2", "\5") "hello" END_OK), true, -1, "", "",
	    "does not speak" },
	{ "another version neither", SPAN("\2\6\0\1\0\5\0\0hello"), true, -1,
	    "", "", "does not speak" },
	{ "a request that is not taken is said",
	    SPAN(HEAD("\3", "\1", "\10") "\0\0\0\0\2\0\0\0"), true, -1, "", "",
	    "does not take" },
	{ "who wants no more gets no more", SPAN(HEAD("\6", "\1", "\4") "stop"
	    HEAD("\6", "\1", "\4") "more" END_OK), true, -1, "stop", "",
	    "enough" },
};
/* clang-format on */

/* Reads a request to its end, checking the body, then answers byte by byte. */
static void
play_peer(int fd, const struct talk_row *row)
{
	static char bytes[65536];
	struct fcgi_reader reader;
	struct span in, content;
	enum fcgi_event event;
	size_t body_bytes = 0;
	bool ended = !row->reads_first;
	ssize_t n;

	fcgi_reader_init(&reader);
	while (!ended && (n = read(fd, bytes, sizeof(bytes))) > 0) {
		in = span_make(bytes, (size_t)n);
		while ((event = fcgi_read(&reader, &in, &content)) !=
		    FCGI_NEED_MORE) {
			if (event == FCGI_BAD_VERSION)
				_exit(2);
			if (reader.record.type != FCGI_STDIN)
				continue;
			if (event == FCGI_CONTENT)
				body_bytes += content.bytes;
			ended |= event == FCGI_RECORD &&
			    reader.record.content_bytes == 0;
		}
	}
	if (row->reads_first && body_bytes != BODY_BYTES)
		_exit(3);
	for (size_t i = 0; i < row->answer.bytes; i++)
		if (write(fd, row->answer.data + i, 1) != 1)
			break;
	_exit(0);
}

static void
talk(void **state)
{
	const struct talk_row *row = *state;
	struct exchange x = { .on_stdout = keep_stdout,
		.on_stderr = keep_stderr,
		.params = SPAN("\1\1ab"),
		.body = span_make(body, sizeof(body)) };
	const char *reason = NULL;
	int pair[2], status;
	pid_t pid;

	text_bytes = 0;
	text[0] = error_text[0] = '\0';
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(pair[0]);
		play_peer(pair[1], row);
	}
	close(pair[1]);
	x.fd = pair[0];
	alarm(PATIENCE_S);
	assert_int_equal(exchange_run(&x, &reason), row->result);
	alarm(0);
	close(pair[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_string_equal(text, row->out);
	assert_string_equal(error_text, row->err);
	if (row->reason)
		assert_non_null(strstr(reason, row->reason));
	else
		assert_int_equal(x.app_status, 7);
}

/* What a host sends over the control socket. */
static const struct answer_row {
	const char *sentence;
	const char *parts[3];
	bool ends, failed;
	const char *remark;
	struct span junk; /* instead */
	int result;
	const char *out, *reason;
} answers[] = {
	{ "parts are one answer", { "one ", "two", NULL }, true, false, "",
	    { NULL, 0 }, 0, "one two", "" },
	{ "a failure has its reason", { "some", NULL }, true, true,
	    "no such tenant", { NULL, 0 }, CTL_FAILED, "some",
	    "no such tenant" },
	{ "a remark is no failure", { NULL }, true, false, "nothing yet",
	    { NULL, 0 }, 0, "", "nothing yet" },
	{ "an answer without end is none", { "some", NULL }, false, false, "",
	    { NULL, 0 }, CTL_FAILED, "some", "broke off" },
	{ "junk is none", { NULL }, false, false, "", { "junk", 4 }, CTL_FAILED,
	    "", "another version" },
	{ "a message that is not for us is none", { NULL }, false, false, "",
	    { "\1\0\0\0", 4 }, CTL_FAILED, "", "another version" },
};

/* The question of the one who connects; the connection stays open. */
static int
take_question(int listener)
{
	static char bytes[8192];
	struct pollfd come = { .fd = listener, .events = POLLIN };
	size_t none = 0;

	poll(&come, 1, -1);
	come.fd = accept(listener, NULL, NULL);
	poll(&come, 1, -1);
	if (come.fd < 0 ||
	    fd_receive(come.fd, bytes, sizeof(bytes), NULL, &none) <= 0)
		_exit(2);
	return come.fd;
}

static void
play_host(int listener, const struct answer_row *row)
{
	struct message_control_out out;
	struct message_control_end end = { row->failed, span_of(row->remark) };
	struct buf encoded;
	int fd = take_question(listener);

	buf_init(&encoded, 8192);
	for (size_t i = 0; row->parts[i]; i++) {
		out.bytes = span_of(row->parts[i]);
		buf_clear(&encoded);
		message_control_out_encode(&encoded, &out);
		fd_send(fd, buf_span(&encoded), NULL, 0);
	}
	buf_clear(&encoded);
	message_control_end_encode(&encoded, &end);
	if (row->ends)
		fd_send(fd, buf_span(&encoded), NULL, 0);
	if (row->junk.data)
		fd_send(fd, row->junk, NULL, 0);
	_exit(0);
}

static void
answer(void **state)
{
	const struct answer_row *row = *state;
	struct question q = question_of(VERB_STATUS);
	char directory[] = "/tmp/fcgi-host-ctl-XXXXXX", path[64];
	struct ctl ctl = { .run = directory };
	struct buf got;
	int listener, status;
	pid_t pid;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/control.sock", directory);
	listener = fd_listen_unix(path, SOCK_SEQPACKET, 0600, (gid_t)-1);
	assert_true(listener >= 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		play_host(listener, row);
	buf_init(&got, 4096);
	q.out = host_collect;
	q.arg = &got;
	assert_int_equal(host_ask(&ctl, &q), row->result);
	assert_string_equal(buf_string(&got), row->out);
	if (row->reason[0])
		assert_non_null(strstr(q.reason, row->reason));
	else
		assert_string_equal(q.reason, "");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	buf_free(&got);
	close(listener);
	unlink(path);
	rmdir(directory);
}

static void
without_a_host_the_reason_says_where_it_was_looked_for(void **state)
{
	struct question q = question_of(VERB_STATUS);
	struct ctl ctl = { .run = "/nonexistent" };

	(void)state;
	assert_int_equal(host_ask(&ctl, &q), CTL_FAILED);
	assert_non_null(strstr(q.reason, "/nonexistent/control.sock"));
	assert_non_null(strstr(q.reason, "--run"));
}

/* One that reads the question, or not even that, and says nothing. */
static const struct silent_row {
	const char *sentence;
	bool reads;
	int unread_ms, wait_ms;
	const char *reason;
} silences[] = {
	{ "a stopped gateway is known by the question it leaves unread", false,
	    1, -1, "the gateway does not answer (stopped or overloaded)" },
	{ "however short the wait", false, 60000, 1,
	    "the gateway does not answer (stopped or overloaded)" },
	{ "one that reads it may take its time, but not for ever", true, 2000,
	    3000, "the host does not answer" },
};

static void
silence(void **state)
{
	const struct silent_row *row = *state;
	char directory[] = "/tmp/fcgi-host-ctl-XXXXXX", path[64];
	struct question q = question_of(VERB_STATUS);
	struct ctl ctl = { .run = directory };
	int listener, status, ready[2];
	pid_t pid;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/control.sock", directory);
	listener = fd_listen_unix(path, SOCK_SEQPACKET, 0600, (gid_t)-1);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char byte;

		if (row->reads)
			take_question(listener);
		close(ready[1]);
		(void)!read(ready[0], &byte, 1); /* until the test is over */
		_exit(0);
	}
	close(ready[0]);
	q.unread_ms = row->unread_ms;
	q.wait_ms = row->wait_ms;
	alarm(PATIENCE_S);
	assert_int_equal(host_ask(&ctl, &q), CTL_FAILED);
	alarm(0);
	assert_string_equal(q.reason, row->reason);
	close(ready[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(listener);
	unlink(path);
	rmdir(directory);
}

static const struct words_row {
	const char *sentence;
	struct span raw;
	const char *words;
	bool line;
} words[] = {
	{ "text is text", SPAN("gr\xc3\xbc\xc3\x9f\n\tdich"),
	    "gr\xc3\xbc\xc3\x9f\n\tdich", false },
	{ "ESC is shown", SPAN("\x1b[2Jx"), "\\x1b[2Jx", false },
	{ "NUL, CR and DEL too", SPAN("a\0b\rc\x7f"), "a\\x00b\\x0dc\\x7f",
	    false },
	{ "C1 in UTF-8 too",
	    SPAN("\xc2\x9b"
		 "2J"),
	    "\\xc2\\x9b2J", false },
	{ "other bytes are the terminal's affair", SPAN("\xff\xc2"), "\xff\xc2",
	    false },
	{ "a part of a line has no line ends or tabs", SPAN("a\nb\tc"),
	    "a\\x0ab\\x09c", true },
	{ "and nothing else that moves", SPAN("\x1b\0\x7f"), "\\x1b\\x00\\x7f",
	    true },
	{ "its text is text", SPAN("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f",
	    true },
};

static void
words_row(void **state)
{
	const struct words_row *row = *state;
	char *out = NULL;
	size_t bytes;
	FILE *to = open_memstream(&out, &bytes);

	if (row->line)
		words_put_line(to, row->raw);
	else
		words_put(to, row->raw);
	fclose(to);
	assert_string_equal(out, row->words);
	free(out);
}

static const struct argument_row {
	const char *sentence;
	const char *argv[6];
	bool in_order;
	int first;
	bool flag;
	uint32_t count;
	const char *text;
	size_t list;
} arguments_rows[] = {
	{ "no options", { "v", "a" }, false, 1, false, 7, "", 0 },
	{ "options before operands", { "v", "-f", "-n", "3", "a" }, false, 4,
	    true, 3, "", 0 },
	{ "and behind them", { "v", "a", "--text", "x", "-f" }, false, 4, true,
	    7, "x", 0 },
	{ "with = too", { "v", "--text=x", "a" }, false, 2, false, 7, "x", 0 },
	{ "in order they end at the first operand",
	    { "v", "-f", "verb", "--nonsense" }, true, 2, true, 7, "", 0 },
	{ "a list grows", { "v", "-H", "a", "-H", "b" }, false, 5, false, 7, "",
	    2 },
	{ "-- ends them", { "v", "--", "-f" }, false, 2, false, 7, "", 0 },
	{ "an unknown one is wrong", { "v", "--nonsense" }, false, -1, false, 7,
	    "", 0 },
	{ "one without its value is wrong", { "v", "--text" }, false, -1, false,
	    7, "", 0 },
	{ "a number must be one", { "v", "-n", "-1" }, false, -1, false, 7, "",
	    0 },
	{ "and fit", { "v", "-n", "4294967296" }, false, -1, false, 7, "", 0 },
};

static void
argument_row(void **state)
{
	const struct argument_row *row = *state;
	bool flag = false;
	uint32_t number = 7;
	const char *value = "";
	struct argument_list list = { .count = 0 };
	const struct argument some[] = {
		{ 'f', "flag", ARGUMENT_FLAG, &flag, NULL, "" },
		{ 'n', NULL, ARGUMENT_COUNT, &number, "N", "" },
		{ 0 },
	};
	const struct argument more[] = {
		{ 0, "text", ARGUMENT_TEXT, &value, "T", "" },
		{ 'H', "header", ARGUMENT_LIST, &list, "H", "" },
		{ 0 },
	};
	char *argv[7] = { NULL };
	int argc = 0;

	for (; argc < 6 && row->argv[argc]; argc++)
		argv[argc] = (char *)(uintptr_t)row->argv[argc];
	assert_int_equal(arguments_read("v", some, more, row->in_order, argc,
			     argv),
	    row->first);
	assert_int_equal(flag, row->flag);
	assert_int_equal(number, row->count);
	assert_string_equal(value, row->text);
	assert_int_equal(list.count, row->list);
}

static void
tenants_have_their_form(void **state)
{
	(void)state;
	assert_int_equal(tenant_check("v", "acme-1_x"), 0);
	assert_int_equal(tenant_check("v", ""), CTL_USAGE);
	assert_int_equal(tenant_check("v", "-f"), CTL_USAGE);
	assert_int_equal(tenant_check("v", ".."), CTL_USAGE);
	assert_int_equal(tenant_check("v", "a/b"), CTL_USAGE);
	assert_int_equal(tenant_check("v", "Acme"), CTL_USAGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    without_a_host_the_reason_says_where_it_was_looked_for),
		cmocka_unit_test(tenants_have_their_form),
	};

	signal(SIGPIPE, SIG_IGN);
	return RUN_ROWS(talks, talk) + RUN_ROWS(answers, answer) +
	    RUN_ROWS(silences, silence) + RUN_ROWS(words, words_row) +
	    RUN_ROWS(arguments_rows, argument_row) +
	    cmocka_run_group_tests(tests, NULL, NULL);
}
