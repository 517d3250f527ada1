/* SPDX-License-Identifier: MIT */
/* elf_note.h - the mark in a program that it was built with the SDK's fn_handle():
 * a note of owner "fcgi-host" and type 1 with the version of what it can do, in
 * a PT_NOTE segment (System V ABI, "Note Section"; elf(5)). Pure: the file is
 * read by the caller. The file is a tenant's, so no number in it is believed.
 * Little-endian 64-bit programs only; what else there is has no note. */
#ifndef WIRE_ELF_NOTE_H
#define WIRE_ELF_NOTE_H

#include <stddef.h>
#include <stdint.h>

#define ELF_NOTE_OWNER "fcgi-host"

enum {
	ELF_NOTE_TYPE = 1,
	ELF_NOTE_VERSION = 1,	    /* a worker that says when it is ready */
	ELF_NOTE_HEADERS_MOST = 64, /* program headers that are looked at, */
	ELF_NOTE_SEGMENTS_MOST = 8, /* ... of them those with notes, */
	ELF_NOTE_BYTES_MOST = 4096, /* ... and of each so much */
};

/* Reads up to `bytes` at `offset` of the file: how many there were, 0 when there
 * are none or they cannot be read. */
typedef size_t elf_note_read_fn(void *arg, uint64_t offset, char *to,
    size_t bytes);

/* The version in the first such note, 0 when there is none: a u32 that is 4
 * bytes long. */
uint32_t elf_note_version(elf_note_read_fn *, void *arg);

#endif
