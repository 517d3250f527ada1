/* SPDX-License-Identifier: MIT */
/* schema.c - the tables of a tenant's file. A new file walks the same steps as
 * an old one, so every step is run by every test. Steps that were released are
 * never changed; what is to be different becomes a new step.
 *
 * kv has a rowid although its key is unique: values are large against pages,
 * where SQLite advises against WITHOUT ROWID; chg and idem have small rows. */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "state/schema.h"

static int number(sqlite3 *, const char *sql, int64_t *);
static int same_rows(sqlite3_stmt *, sqlite3_stmt *);

static const char *const steps[SCHEMA_NEWEST] = {
	/* 0 to 1 */
	"CREATE TABLE meta("
	"  id INTEGER PRIMARY KEY CHECK (id = 1),"
	"  version INTEGER NOT NULL,"	      /* of the last commit */
	"  oldest INTEGER NOT NULL,"	      /* changes behind it are in chg */
	"  clock INTEGER NOT NULL,"	      /* Unix ms of the last commit */
	"  quota INTEGER NOT NULL DEFAULT 0," /* bytes; 0: as configured */
	"  durability INTEGER NOT NULL DEFAULT 0," /* 1 full, 2 relaxed */
	"  frozen INTEGER NOT NULL DEFAULT 0"
	") STRICT;"
	"CREATE TABLE kv("
	"  id INTEGER PRIMARY KEY,"
	"  k TEXT NOT NULL UNIQUE,"
	"  v BLOB NOT NULL,"
	"  type TEXT,"
	"  ver INTEGER NOT NULL,"
	"  exp INTEGER" /* Unix ms; NULL: never */
	") STRICT;"
	"CREATE INDEX kv_exp ON kv(exp) WHERE exp IS NOT NULL;"
	"CREATE TABLE chg("
	"  ver INTEGER NOT NULL,"
	"  n INTEGER NOT NULL,"	 /* within the commit */
	"  op INTEGER NOT NULL," /* enum store_change_kind */
	"  at INTEGER NOT NULL," /* Unix ms */
	"  k TEXT NOT NULL,"
	"  PRIMARY KEY (ver, n)"
	") STRICT, WITHOUT ROWID;",
	/* 1 to 2: requests may be repeated */
	"CREATE TABLE idem("
	"  key TEXT PRIMARY KEY,"
	"  print BLOB NOT NULL," /* of the request */
	"  reply BLOB NOT NULL,"
	"  exp INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX idem_exp ON idem(exp);",
};

enum schema_result
schema_open(sqlite3 *db, uint64_t version, int *code)
{
	return schema_open_at(db, version, SCHEMA_NEWEST, code);
}

enum schema_result
schema_open_at(sqlite3 *db, uint64_t version, int newest, int *code)
{
	int64_t application, have, pages;
	char text[256];

	if (number(db, "PRAGMA application_id", &application) < 0 ||
	    number(db, "PRAGMA user_version", &have) < 0 ||
	    number(db, "SELECT count(*) FROM sqlite_schema", &pages) < 0) {
		*code = sqlite3_extended_errcode(db);
		return SCHEMA_FAILED;
	}
	if (application != SCHEMA_APPLICATION_ID &&
	    (application || have || pages))
		return SCHEMA_FOREIGN;
	if (have > newest)
		return SCHEMA_NEWER;
	if (have < 0 || (have == 0 && pages))
		return SCHEMA_FOREIGN;
	if (have == newest)
		return SCHEMA_GOOD;
	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		goto failed;
	for (int64_t step = have; step < newest; step++)
		if (sqlite3_exec(db, steps[step], NULL, NULL, NULL) !=
		    SQLITE_OK)
			goto failed;
	snprintf(text, sizeof(text),
	    "PRAGMA application_id = %d; PRAGMA user_version = %d;",
	    SCHEMA_APPLICATION_ID, newest);
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		goto failed;
	snprintf(text, sizeof(text),
	    "INSERT INTO meta(id, version, oldest, clock)"
	    " VALUES(1, %llu, %llu, 0) ON CONFLICT DO NOTHING;",
	    (unsigned long long)version, (unsigned long long)version);
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		goto failed;
	if (sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
		return SCHEMA_GOOD;
failed:
	*code = sqlite3_extended_errcode(db);
	if (!sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return SCHEMA_FAILED;
}

/* The one number that a query gives: 0, or -1. */
static int
number(sqlite3 *db, const char *sql, int64_t *value)
{
	sqlite3_stmt *statement;
	int result = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(statement) == SQLITE_ROW) {
		*value = sqlite3_column_int64(statement, 0);
		result = 0;
	}
	/* the code of a failed step is that of the connection either way */
	sqlite3_finalize(statement);
	return result;
}

int
schema_exact(sqlite3 *db)
{
	static const char query[] =
	    "SELECT type, name, tbl_name, ifnull(sql, '') FROM sqlite_schema"
	    " ORDER BY type, name";
	sqlite3_stmt *theirs = NULL, *ours = NULL;
	sqlite3 *model = NULL;
	int64_t have, encoding = 0;
	int exact = 0, code;

	if (number(db, "PRAGMA user_version", &have) < 0 || have < 1 ||
	    have > SCHEMA_NEWEST ||
	    number(db, "SELECT encoding = 'UTF-8' FROM pragma_encoding",
		&encoding) < 0 ||
	    !encoding)
		return 0;
	if (sqlite3_open(":memory:", &model) == SQLITE_OK &&
	    schema_open_at(model, 0, (int)have, &code) == SCHEMA_GOOD &&
	    sqlite3_prepare_v2(db, query, -1, &theirs, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(model, query, -1, &ours, NULL) == SQLITE_OK)
		exact = same_rows(theirs, ours);
	sqlite3_finalize(theirs);
	sqlite3_finalize(ours);
	sqlite3_close(model);
	return exact;
}

static int
same_rows(sqlite3_stmt *a, sqlite3_stmt *b)
{
	int code;

	while ((code = sqlite3_step(a)) == sqlite3_step(b)) {
		if (code != SQLITE_ROW)
			return code == SQLITE_DONE;
		for (int i = 0; i < 4; i++) {
			const char *x = (const char *)sqlite3_column_text(a, i);
			const char *y = (const char *)sqlite3_column_text(b, i);

			if (!x || !y || strcmp(x, y) != 0)
				return 0;
		}
	}
	return 0;
}
