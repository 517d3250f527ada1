/* SPDX-License-Identifier: MIT */
/* fuzz_elf_note.c - any file as a program: it is read within its bytes and the
 * bounds, twice with the same result. */
#include "fuzz.h"

#include "wire/elf_note.h"

struct file {
	struct span bytes;
	size_t reads;
};

static size_t
read_file(void *arg, uint64_t offset, char *to, size_t bytes)
{
	struct file *f = arg;
	struct span there =
	    offset > SIZE_MAX ? SPAN_NONE : span_skip(f->bytes, offset);

	assert(bytes <= ELF_NOTE_BYTES_MOST);
	f->reads++;
	there = span_take(there, bytes);
	if (there.bytes > 0)
		memcpy(to, there.data, there.bytes);
	return there.bytes;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct file f = { span_make(data, bytes), 0 };
	uint32_t version = elf_note_version(read_file, &f);

	assert(f.reads <= 1 + ELF_NOTE_HEADERS_MOST + ELF_NOTE_SEGMENTS_MOST);
	assert(elf_note_version(read_file, &f) == version);
	return 0;
}
