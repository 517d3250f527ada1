/* SPDX-License-Identifier: MIT */
/* elf_note.c - looks for a note of ours in a program. Structures are copied out of
 * bytes, lengths are compared with what is left before they are used. */

#include <elf.h>
#include <stdbool.h>
#include <string.h>

#include "base/span.h"

#include "wire/elf_note.h"

static bool take_note(struct span *notes, size_t align, uint32_t *version);
static bool take(struct span *, void *to, size_t bytes);
static bool take_padded(struct span *, uint32_t bytes, size_t align,
    struct span *taken);

/* Program headers one by one, since only the few with notes are of interest. */
uint32_t
elf_note_version(elf_note_read_fn *read, void *arg)
{
	char bytes[ELF_NOTE_BYTES_MOST];
	size_t segments = 0;
	uint32_t version = 0;
	Elf64_Ehdr elf;
	Elf64_Phdr part;

	if (read(arg, 0, (char *)&elf, sizeof(elf)) != sizeof(elf) ||
	    memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 ||
	    elf.e_ident[EI_CLASS] != ELFCLASS64 ||
	    elf.e_ident[EI_DATA] != ELFDATA2LSB ||
	    elf.e_phentsize != sizeof(part))
		return 0;
	for (size_t i = 0; i < elf.e_phnum && i < ELF_NOTE_HEADERS_MOST; i++) {
		uint64_t at = elf.e_phoff + i * sizeof(part);
		struct span notes;
		size_t most;

		if (at < elf.e_phoff ||
		    read(arg, at, (char *)&part, sizeof(part)) != sizeof(part))
			return 0;
		if (part.p_type != PT_NOTE)
			continue;
		if (segments++ == ELF_NOTE_SEGMENTS_MOST)
			return 0;
		most = part.p_filesz < sizeof(bytes) ? part.p_filesz :
						       sizeof(bytes);
		notes = span_make(bytes, read(arg, part.p_offset, bytes, most));
		while (take_note(&notes, part.p_align == 8 ? 8 : 4, &version))
			if (version > 0)
				return version;
	}
	return 0;
}

/* The next note; *version stays 0 when it is not one of ours. */
static bool
take_note(struct span *notes, size_t align, uint32_t *version)
{
	struct span owner, description;
	Elf64_Nhdr note;

	if (!take(notes, &note, sizeof(note)) ||
	    !take_padded(notes, note.n_namesz, align, &owner) ||
	    !take_padded(notes, note.n_descsz, align, &description))
		return false;
	/* with its NUL, as owners have it */
	if (note.n_type == ELF_NOTE_TYPE &&
	    span_equal(owner,
		span_make(ELF_NOTE_OWNER, sizeof(ELF_NOTE_OWNER))) &&
	    description.bytes == sizeof(*version))
		memcpy(version, description.data, sizeof(*version));
	return true;
}

static bool
take(struct span *from, void *to, size_t bytes)
{
	if (from->bytes < bytes)
		return false;
	memcpy(to, from->data, bytes);
	*from = span_skip(*from, bytes);
	return true;
}

/* The padding behind the last one may be missing. */
static bool
take_padded(struct span *from, uint32_t bytes, size_t align, struct span *taken)
{
	size_t padded = ((size_t)bytes + align - 1) & ~(align - 1);

	if (bytes > from->bytes)
		return false;
	*taken = span_take(*from, bytes);
	*from = span_skip(*from, padded < from->bytes ? padded : from->bytes);
	return true;
}
