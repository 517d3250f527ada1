/* SPDX-License-Identifier: MIT */
/* replay.c - runs a fuzzer over files, without libFuzzer and with any compiler:
 * each file of the folders and files named, and every beginning of it, since
 * cut-off input is what parsers meet most. Fails when there was no file. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fuzz.h"

enum {
	FILE_MOST = 1024 * 1024,
	BEGINNINGS_MOST = 2048, /* of files up to this many bytes */
};

static size_t file_count;

/* Each time in memory of its own size, so that a sanitizer sees a read
 * behind the end. */
static void
run(const char *bytes, size_t count)
{
	uint8_t *copy = malloc(count > 0 ? count : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, bytes, count);
	LLVMFuzzerTestOneInput(copy, count);
	free(copy);
}

static int
replay_file(const char *path)
{
	static char bytes[FILE_MOST];
	FILE *f = fopen(path, "rb");
	size_t count;
	bool failed;

	if (f == NULL) {
		fprintf(stderr, "replay: cannot open %s: %s\n", path,
		    strerror(errno));
		return -1;
	}
	count = fread(bytes, 1, sizeof(bytes), f);
	failed = ferror(f) || !feof(f);
	fclose(f);
	if (failed) {
		fprintf(stderr, "replay: cannot read all of %s\n", path);
		return -1;
	}
	if (getenv("FUZZ_VERBOSE") != NULL)
		fprintf(stderr, "replay: %s\n", path);
	run(bytes, count);
	for (size_t i = 0; count <= BEGINNINGS_MOST && i < count; i++)
		run(bytes, i);
	file_count++;
	return 0;
}

static int
replay(const char *path)
{
	struct dirent **entries;
	struct stat st;
	int count, result = 0;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return replay_file(path);
	count = scandir(path, &entries, NULL, alphasort);
	if (count < 0) {
		fprintf(stderr, "replay: cannot list %s: %s\n", path,
		    strerror(errno));
		return -1;
	}
	for (int i = 0; i < count; i++) {
		char child[4096];

		if (entries[i]->d_name[0] != '.') {
			snprintf(child, sizeof(child), "%s/%s", path,
			    entries[i]->d_name);
			if (replay_file(child) != 0)
				result = -1;
		}
		free(entries[i]);
	}
	free(entries);
	return result;
}

int
main(int argc, char **argv)
{
	int result = 0;

	for (int i = 1; i < argc; i++)
		if (replay(argv[i]) != 0)
			result = -1;
	if (file_count == 0) {
		fprintf(stderr, "replay: no file to run\n");
		return 1;
	}
	return result == 0 ? 0 : 1;
}
