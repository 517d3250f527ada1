/* SPDX-License-Identifier: MIT */
/* ticket.h - what a function's files were when it was resolved: the resolver
 * writes it, the gateway carries it unread, the launcher compares it with the
 * disk at every start. Pure but for ticket_open(). */
#ifndef CELL_TICKET_H
#define CELL_TICKET_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/buf.h"

enum ticket_file {
	TICKET_PROGRAM,
	TICKET_SETTINGS, /* NAME.conf or function.conf */
	TICKET_TENANT,	 /* tenant.conf */
	TICKET_FILES
};

/* File systems note a change by the tick of their clock, so one that follows
 * another within this time may leave no trace in the identity. */
enum { TICKET_TICK_MS = 20 };

#define TICKET_TENANT_NAME "tenant.conf"

struct identity {
	uint64_t device;
	uint64_t inode; /* 0: there is no such file */
	uint64_t bytes;
	int64_t changed_ns; /* ctime */
};

struct ticket {
	struct identity files[TICKET_FILES];
	uint64_t young_until_ms; /* Unix; 0: nothing was young. Behind
					 * it, the settings are read again */
	/* The kernel alone runs it, so the file that was compared can be it
	 * that is executed. All else (scripts, what binfmt_misc knows) has an
	 * interpreter, which opens it again by its name. */
	bool native;
	bool unfinished; /* no program, but perhaps still being written; not
			  * in an encoded one */
	bool python; /* the host's Python runtime runs it, whatever it says */
	struct span program;  /* relative to the tenant's directory; in a */
	struct span settings; /* decoded ticket both are strings as well */
};

struct identity identity_of(const struct stat *);
bool identity_same(const struct identity *, const struct identity *);

/* The settings file that goes with a program: "hello.sh" has "hello.conf",
 * "gallery/run" has "gallery/function.conf". */
int ticket_settings_name(struct span program, char *name, size_t room);

/* A number that is another one for other files: how young they are does not
 * count. Of any bytes likewise; only their owner gains if two have one. */
uint64_t ticket_version(const struct ticket *);
uint64_t ticket_hash(struct span);

int ticket_encode(const struct ticket *, struct buf *); /* 0 or -1 */

/* 0, or -1 unless it is one that names files below the tenant's directory. */
int ticket_decode(struct span, struct ticket *);

/* Compares all its files with the disk; paths are taken from directory_fd. 0,
 * with *program_fd the very program that was compared (O_PATH, for the caller
 * to close; -1 unless native); or -1 with errno, ESTALE when any is another one
 * now, else why the machine cannot say. */
int ticket_open(const struct ticket *, int directory_fd, int *program_fd);

#endif
