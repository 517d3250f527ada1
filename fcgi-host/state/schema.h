/* SPDX-License-Identifier: MIT */
/* schema.h - the tables of a tenant's file, and how older ones become them. */
#ifndef STATE_SCHEMA_H
#define STATE_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

struct sqlite3;

enum {
	SCHEMA_APPLICATION_ID = 0x66636769, /* "fcgi" */
	SCHEMA_NEWEST = 2,
};

enum schema_result {
	SCHEMA_GOOD,
	SCHEMA_FOREIGN, /* a database, but none of ours */
	SCHEMA_NEWER,	/* ours, of a program newer than this one */
	SCHEMA_FAILED,	/* with SQLite's extended code */
};

/* Makes the tables in an empty file, with `version` as the one it begins at,
 * or brings an older file to SCHEMA_NEWEST, in one transaction. */
enum schema_result schema_open(struct sqlite3 *, uint64_t version, int *code);
/* Whether the file has the tables and indexes of its schema version and nothing
 * else: no views, triggers or expressions of a stranger's. Runs nothing of it. */
int schema_exact(struct sqlite3 *);
/* The same up to an older version: for tests of the steps. */
enum schema_result schema_open_at(struct sqlite3 *, uint64_t version,
    int newest, int *code);

#endif
