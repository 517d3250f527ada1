/* SPDX-License-Identifier: MIT */
/* If this fails, a program of the SDK is started anew for each request, another
 * one is spoken to in a protocol it does not know, or a file that somebody made
 * for that reads beyond its end. */
#include "rows.h"

#include <elf.h>
#include <string.h>

#include "base/span.h"
#include "wire/elf_note.h"

enum { FILE_BYTES = 8192, NOTES_AT = 512 };

/* A program with one segment of notes, at NOTES_AT, in a file of `bytes`. */
struct file {
	_Alignas(8) char data[FILE_BYTES];
	size_t bytes;
	Elf64_Ehdr *elf;
	Elf64_Phdr *parts;
	size_t notes; /* bytes of them */
	size_t reads;
};

static void
file_init(struct file *f)
{
	memset(f, 0, sizeof(*f));
	f->bytes = FILE_BYTES;
	f->elf = (void *)f->data;
	memcpy(f->elf->e_ident, ELFMAG, SELFMAG);
	f->elf->e_ident[EI_CLASS] = ELFCLASS64;
	f->elf->e_ident[EI_DATA] = ELFDATA2LSB;
	f->elf->e_phentsize = sizeof(Elf64_Phdr);
	f->elf->e_phoff = sizeof(Elf64_Ehdr);
	f->elf->e_phnum = 2;
	f->parts = (void *)(f->data + sizeof(Elf64_Ehdr));
	f->parts[0].p_type = PT_LOAD;
	f->parts[1].p_type = PT_NOTE;
	f->parts[1].p_offset = NOTES_AT;
	f->parts[1].p_align = 4;
}

static void
add_note(struct file *f, struct span owner, uint32_t type, const void *what,
    uint32_t bytes)
{
	size_t align = f->parts[1].p_align == 8 ? 8 : 4;
	size_t mask = align - 1;
	char *at = f->data + NOTES_AT + f->notes;
	Elf64_Nhdr note = { (uint32_t)owner.bytes, bytes, type };

	memcpy(at, &note, sizeof(note));
	at += sizeof(note);
	memcpy(at, owner.data, owner.bytes);
	at += (owner.bytes + mask) & ~mask;
	memcpy(at, what, bytes);
	at += (bytes + mask) & ~mask;
	f->notes = (size_t)(at - f->data) - NOTES_AT;
	f->parts[1].p_filesz = f->notes;
}

static void
add_ours(struct file *f)
{
	add_note(f, SPAN("fcgi-host\0"), 1, &(uint32_t){ 1 }, 4);
}

static void
add_others(struct file *f)
{
	add_note(f, SPAN("GNU\0"), 3, "0123456789abcdef0123", 20);
	add_note(f, SPAN("GNU\0"), 1, &(uint32_t){ 1 }, 4);
	add_note(f, SPAN(""), 7, "", 0);
	add_note(f, SPAN("fcgi-hosts\0"), 1, &(uint32_t){ 1 }, 4);
	add_note(f, SPAN("fcgi-host"), 1, &(uint32_t){ 1 }, 4);
	add_note(f, SPAN("fcgi-host\0"), 2, &(uint32_t){ 1 }, 4);
	add_note(f, SPAN("fcgi-host\0"), 1, &(uint64_t){ 1 }, 8);
	add_note(f, SPAN("fcgi-host\0"), 1, "", 0);
}

/* What is asked for is within the file, and bounded. */
static size_t
read_file(void *arg, uint64_t offset, char *to, size_t bytes)
{
	struct file *f = arg;

	assert_true(bytes <= ELF_NOTE_BYTES_MOST);
	f->reads++;
	if (offset >= f->bytes)
		return 0;
	if (bytes > f->bytes - offset)
		bytes = f->bytes - offset;
	memcpy(to, f->data + offset, bytes);
	return bytes;
}

/* ---- files ------------------------------------------------------------------- */

static void
ours(struct file *f)
{
	add_ours(f);
}

static void
behind_others(struct file *f)
{
	add_others(f);
	add_ours(f);
}

static void
only_others(struct file *f)
{
	add_others(f);
}

static void
of_two_versions(struct file *f)
{
	add_note(f, SPAN("fcgi-host\0"), 1, &(uint32_t){ 7 }, 4);
	add_ours(f);
}

static void
version_0(struct file *f)
{
	add_note(f, SPAN("fcgi-host\0"), 1, &(uint32_t){ 0 }, 4);
}

static void
wide(struct file *f)
{
	f->parts[1].p_align = 8;
	add_others(f);
	add_ours(f);
}

static void
second_segment(struct file *f)
{
	add_ours(f);
	f->parts[2] = f->parts[1];
	f->parts[1].p_filesz = 0;
	f->elf->e_phnum = 3;
}

static void
without_padding_at_its_end(struct file *f)
{
	add_ours(f);
	f->bytes = NOTES_AT + f->notes;
}

static void
no_program(struct file *f)
{
	add_ours(f);
	f->data[0] = '#';
}

static void
of_32_bits(struct file *f)
{
	add_ours(f);
	f->elf->e_ident[EI_CLASS] = ELFCLASS32;
}

static void
big_endian(struct file *f)
{
	add_ours(f);
	f->elf->e_ident[EI_DATA] = ELFDATA2MSB;
}

static void
other_headers(struct file *f)
{
	add_ours(f);
	f->elf->e_phentsize++;
}

static void
no_headers(struct file *f)
{
	add_ours(f);
	f->elf->e_phnum = 0;
}

static void
headers_behind_the_end(struct file *f)
{
	add_ours(f);
	f->elf->e_phoff = FILE_BYTES - 8;
}

static void
headers_around_the_end(struct file *f)
{
	add_ours(f);
	f->elf->e_phoff = UINT64_MAX - sizeof(Elf64_Phdr) + 1;
}

static void
notes_behind_the_end(struct file *f)
{
	add_ours(f);
	f->parts[1].p_offset = UINT64_MAX - 3;
}

static void
notes_without_end(struct file *f)
{
	add_others(f);
	f->parts[1].p_filesz = UINT64_MAX;
}

static void
long_owner(struct file *f)
{
	add_ours(f);
	memset(f->data + NOTES_AT, 0xff, 4);
}

static void
long_description(struct file *f)
{
	add_ours(f);
	memset(f->data + NOTES_AT + 4, 0xff, 4);
}

/* All segments are the same one, and full of notes of nothing. */
static void
many_segments(struct file *f)
{
	while (f->notes + 12 <= ELF_NOTE_BYTES_MOST)
		add_note(f, SPAN(""), 0, "", 0);
	f->elf->e_phnum = UINT16_MAX;
	f->elf->e_phoff = FILE_BYTES - 2048;
	for (int i = 0; i < 2048 / (int)sizeof(Elf64_Phdr); i++)
		memcpy(f->data + f->elf->e_phoff + i * sizeof(Elf64_Phdr),
		    &f->parts[1], sizeof(Elf64_Phdr));
}

static void
cut_to_its_head(struct file *f)
{
	add_ours(f);
	f->bytes = sizeof(Elf64_Ehdr) - 1;
}

static void
empty(struct file *f)
{
	f->bytes = 0;
}

static const struct note_row {
	const char *sentence;
	void (*make)(struct file *);
	uint32_t version;
} notes[] = {
	{ "a note of ours says its version", ours, 1 },
	{ "also behind those of others", behind_others, 1 },
	{ "others are none, however alike", only_others, 0 },
	{ "the first of two counts", of_two_versions, 7 },
	{ "version 0 is none", version_0, 0 },
	{ "notes in steps of 8 bytes", wide, 1 },
	{ "in the second segment", second_segment, 1 },
	{ "the last note ends where the file does", without_padding_at_its_end,
	    1 },
	{ "what is no ELF file has none", no_program, 0 },
	{ "nor a program of 32 bits", of_32_bits, 0 },
	{ "nor one of the other byte order", big_endian, 0 },
	{ "nor one with other headers", other_headers, 0 },
	{ "nor one without headers", no_headers, 0 },
	{ "headers may lie behind the end", headers_behind_the_end, 0 },
	{ "or reach around the end of all numbers", headers_around_the_end, 0 },
	{ "so may notes", notes_behind_the_end, 0 },
	{ "or have no end", notes_without_end, 0 },
	{ "an owner may be longer than all", long_owner, 0 },
	{ "so may what it says", long_description, 0 },
	{ "nobody reads for ever", many_segments, 0 },
	{ "a file may end in its head", cut_to_its_head, 0 },
	{ "or be empty", empty, 0 },
};

static void
run_note(void **state)
{
	const struct note_row *row = *state;
	static struct file f;

	file_init(&f);
	row->make(&f);
	assert_int_equal(elf_note_version(read_file, &f), row->version);
	assert_true(f.reads <=
	    1 + ELF_NOTE_HEADERS_MOST + ELF_NOTE_SEGMENTS_MOST);
}

/* Cut anywhere it is found or not, and nothing is read that is not there. */
static void
test_cut(void **state)
{
	static struct file f;
	size_t whole;

	(void)state;
	file_init(&f);
	behind_others(&f);
	whole = NOTES_AT + f.notes;
	for (f.bytes = 0; f.bytes < whole; f.bytes++)
		assert_int_equal(elf_note_version(read_file, &f), 0);
	assert_int_equal(elf_note_version(read_file, &f), 1);
}

/* One byte is another one: at most the version differs. */
static void
test_changed(void **state)
{
	static struct file f, changed;
	uint64_t seed = rows_seed();

	(void)state;
	file_init(&f);
	behind_others(&f);
	for (int i = 0; i < 200000; i++) {
		size_t at = rows_random(&seed, NOTES_AT + f.notes);

		changed = f;
		changed.data[at] = (char)rows_random(&seed, 256);
		elf_note_version(read_file, &changed);
		assert_true(changed.reads <=
		    1 + ELF_NOTE_HEADERS_MOST + ELF_NOTE_SEGMENTS_MOST);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		{ "a program that is cut has no note", test_cut, NULL, NULL,
		    NULL },
		{ "a program with a wrong byte is read within bounds",
		    test_changed, NULL, NULL, NULL },
	};
	int failed = RUN_ROWS(notes, run_note);

	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
