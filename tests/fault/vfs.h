/* SPDX-License-Identifier: MIT */
/* vfs.h - a disk that fails when it is told to, between SQLite and the real
 * one: the N-th call fails, once or from then on; syncs are slow; or the power
 * goes at the N-th write, and of what was not synced only some sectors are
 * there. It has no shared memory, so whoever does not open a file for itself
 * alone finds that there is no WAL. Not modelled: lost directory entries. */
#ifndef FAULT_VFS_H
#define FAULT_VFS_H

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FAULT_READ = 1,
	FAULT_WRITE = 2,
	FAULT_SYNC = 4,
	FAULT_TRUNCATE = 8,
	FAULT_POWER_STATUS = 42, /* of the process, when the power went */
	FAULT_SECTOR = 512,
};

struct fault_write { /* bytes NULL: a truncation to `at` */
	struct fault_write *next;
	sqlite3_int64 at;
	int bytes;
	char *data;
};

struct fault_image { /* of a file: what is on the disk for sure, and since */
	struct fault_image *next;
	char path[160];
	char *base;
	size_t base_bytes;
	struct fault_write *first, *last;
};

struct fault_disk {
	/* fail the fail_at-th call of `calls` on paths that hold `part` */
	atomic_int calls;
	atomic_long fail_at; /* 0: none */
	atomic_bool persistent;
	atomic_int code;
	atomic_long count;
	_Atomic(const char *) part;
	_Atomic(const char *) end; /* the path ends with it */
	atomic_uint sync_us;
	/* power */
	atomic_long power_at; /* the power_at-th write, sync or truncation */
	atomic_long power_count;
	uint64_t seed;	   /* 0: all that was not synced is lost */
	atomic_bool lying; /* syncs do nothing */
	pthread_mutex_t lock;
	struct fault_image *images;
	sqlite3_vfs *real;
};

static struct fault_disk fault_disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct fault_file {
	sqlite3_file base;
	struct fault_image *image;
	char path[160];
	sqlite3_file *real; /* behind this struct */
};

static inline struct fault_file *
fault_of(sqlite3_file *f)
{
	return (struct fault_file *)(void *)f;
}

/* What the call is to return instead of being made, or SQLITE_OK. */
static inline int
fault_strikes(const struct fault_file *f, int call)
{
	struct fault_disk *d = &fault_disk;
	const char *part = atomic_load(&d->part), *end = atomic_load(&d->end);
	long at = atomic_load(&d->fail_at), count;
	size_t bytes = strlen(f->path);

	if (!at || !(atomic_load(&d->calls) & call) ||
	    (part && !strstr(f->path, part)) ||
	    (end &&
		(bytes < strlen(end) ||
		    strcmp(f->path + bytes - strlen(end), end) != 0)))
		return SQLITE_OK;
	count = atomic_fetch_add(&d->count, 1) + 1;
	if (atomic_load(&d->persistent) ? count < at : count != at)
		return SQLITE_OK;
	return atomic_load(&d->code);
}

static inline void
fault_arm(int calls, long at, bool persistent, int code)
{
	atomic_store(&fault_disk.calls, calls);
	atomic_store(&fault_disk.count, 0);
	atomic_store(&fault_disk.persistent, persistent);
	atomic_store(&fault_disk.code, code);
	atomic_store(&fault_disk.fail_at, at);
}

/* Whether it struck at all. */
static inline bool
fault_disarm(void)
{
	long at = atomic_exchange(&fault_disk.fail_at, 0);

	atomic_store(&fault_disk.part, NULL);
	atomic_store(&fault_disk.end, NULL);
	return at && atomic_load(&fault_disk.count) >= at;
}

/* ---- power ----------------------------------------------------------------- */

static inline int
fault_real_open(const char *path, int flags)
{
	char *below;
	long fd = strtol(path + 2, &below, 10); /* "/@N/..." */

	return openat((int)fd, below + 1, flags | O_CLOEXEC, 0600);
}

static inline uint64_t
fault_random(void)
{
	uint64_t *x = &fault_disk.seed;

	*x ^= *x >> 12;
	*x ^= *x << 25;
	*x ^= *x >> 27;
	return *x * UINT64_C(2685821657736338717) >> 33;
}

static inline void
fault_forget_writes(struct fault_image *image)
{
	struct fault_write *w;

	while ((w = image->first)) {
		image->first = w->next;
		free(w->data);
		free(w);
	}
	image->last = NULL;
}

static inline void
fault_settle(struct fault_image *image)
{
	struct stat st;
	int fd = fault_real_open(image->path, O_RDONLY);

	free(image->base);
	image->base = NULL;
	image->base_bytes = 0;
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
		image->base_bytes = (size_t)st.st_size;
		image->base = malloc(image->base_bytes);
		if (pread(fd, image->base, image->base_bytes, 0) !=
		    (ssize_t)image->base_bytes)
			abort();
	}
	if (fd >= 0)
		close(fd);
	fault_forget_writes(image);
}

/* The file as it is found when the power is back. */
static inline void
fault_rebuild(struct fault_image *image)
{
	int fd = fault_real_open(image->path, O_RDWR | O_CREAT);

	if (fd < 0)
		return;
	if (ftruncate(fd, 0) < 0 ||
	    pwrite(fd, image->base ? image->base : "", image->base_bytes, 0) !=
		(ssize_t)image->base_bytes)
		abort();
	for (struct fault_write *w = image->first; w; w = w->next) {
		if (!w->data) {
			if (fault_disk.seed && fault_random() % 2 &&
			    ftruncate(fd, w->at) < 0)
				abort();
			continue;
		}
		for (int from = 0; from < w->bytes;) {
			int to = from + FAULT_SECTOR -
			    (int)((w->at + from) % FAULT_SECTOR);

			to = to > w->bytes ? w->bytes : to;
			if (fault_disk.seed && fault_random() % 2 &&
			    pwrite(fd, w->data + from, (size_t)(to - from),
				w->at + from) != to - from)
				abort();
			from = to;
		}
	}
	close(fd);
}

/* Before a write, sync or truncation: maybe there is no after. */
static inline void
fault_power(void)
{
	struct fault_disk *d = &fault_disk;
	long at = atomic_load(&d->power_at);

	if (!at || atomic_fetch_add(&d->power_count, 1) + 1 != at)
		return;
	for (struct fault_image *i = d->images; i; i = i->next)
		fault_rebuild(i);
	_exit(FAULT_POWER_STATUS);
}

static inline void
fault_remember(struct fault_file *f, const void *data, int bytes,
    sqlite3_int64 at)
{
	struct fault_write *w = calloc(1, sizeof(*w));

	w->at = at;
	w->bytes = bytes;
	if (data) {
		w->data = malloc((size_t)bytes + 1);
		memcpy(w->data, data, (size_t)bytes);
	}
	if (f->image->last)
		f->image->last->next = w;
	else
		f->image->first = w;
	f->image->last = w;
}

/* ---- the methods ----------------------------------------------------------- */

static inline int
fault_close(sqlite3_file *file)
{
	return fault_of(file)->real->pMethods->xClose(fault_of(file)->real);
}

static inline int
fault_read(sqlite3_file *file, void *to, int bytes, sqlite3_int64 at)
{
	struct fault_file *f = fault_of(file);
	int code = fault_strikes(f, FAULT_READ);

	return code ? code : f->real->pMethods->xRead(f->real, to, bytes, at);
}

static inline int
fault_write(sqlite3_file *file, const void *from, int bytes, sqlite3_int64 at)
{
	struct fault_file *f = fault_of(file);
	int code = fault_strikes(f, FAULT_WRITE);

	if (code)
		return code;
	if (f->image) {
		pthread_mutex_lock(&fault_disk.lock);
		fault_remember(f, from, bytes, at);
		fault_power();
		pthread_mutex_unlock(&fault_disk.lock);
	}
	return f->real->pMethods->xWrite(f->real, from, bytes, at);
}

static inline int
fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct fault_file *f = fault_of(file);
	int code = fault_strikes(f, FAULT_TRUNCATE);

	if (code)
		return code;
	if (f->image) {
		pthread_mutex_lock(&fault_disk.lock);
		fault_remember(f, NULL, 0, size);
		fault_power();
		pthread_mutex_unlock(&fault_disk.lock);
	}
	return f->real->pMethods->xTruncate(f->real, size);
}

static inline int
fault_sync(sqlite3_file *file, int flags)
{
	struct fault_file *f = fault_of(file);
	int code = fault_strikes(f, FAULT_SYNC);

	if (code)
		return code;
	if (atomic_load(&fault_disk.sync_us))
		usleep(atomic_load(&fault_disk.sync_us));
	if (!f->image)
		return f->real->pMethods->xSync(f->real, flags);
	pthread_mutex_lock(&fault_disk.lock);
	fault_power();
	if (!atomic_load(&fault_disk.lying))
		fault_settle(f->image);
	pthread_mutex_unlock(&fault_disk.lock);
	return SQLITE_OK;
}

static inline int
fault_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct fault_file *f = fault_of(file);

	return f->real->pMethods->xFileSize(f->real, size);
}

static inline int
fault_lock(sqlite3_file *file, int level)
{
	return fault_of(file)->real->pMethods->xLock(fault_of(file)->real,
	    level);
}

static inline int
fault_unlock(sqlite3_file *file, int level)
{
	return fault_of(file)->real->pMethods->xUnlock(fault_of(file)->real,
	    level);
}

static inline int
fault_reserved(sqlite3_file *file, int *result)
{
	struct fault_file *f = fault_of(file);

	return f->real->pMethods->xCheckReservedLock(f->real, result);
}

static inline int
fault_control(sqlite3_file *file, int op, void *arg)
{
	struct fault_file *f = fault_of(file);

	return f->real->pMethods->xFileControl(f->real, op, arg);
}

static inline int
fault_sector(sqlite3_file *file)
{
	return fault_of(file)
	    ->real->pMethods->xSectorSize(fault_of(file)->real);
}

static inline int
fault_traits(sqlite3_file *file)
{
	struct fault_file *f = fault_of(file);

	return f->real->pMethods->xDeviceCharacteristics(f->real);
}

static const sqlite3_io_methods fault_methods = {
	.iVersion = 1,
	.xClose = fault_close,
	.xRead = fault_read,
	.xWrite = fault_write,
	.xTruncate = fault_truncate,
	.xSync = fault_sync,
	.xFileSize = fault_size,
	.xLock = fault_lock,
	.xUnlock = fault_unlock,
	.xCheckReservedLock = fault_reserved,
	.xFileControl = fault_control,
	.xSectorSize = fault_sector,
	.xDeviceCharacteristics = fault_traits,
};

static inline struct fault_image *
fault_image_of(const char *path)
{
	struct fault_image *i;

	pthread_mutex_lock(&fault_disk.lock);
	for (i = fault_disk.images; i; i = i->next)
		if (!strcmp(i->path, path))
			break;
	if (!i) {
		i = calloc(1, sizeof(*i));
		snprintf(i->path, sizeof(i->path), "%s", path);
		i->next = fault_disk.images;
		fault_disk.images = i;
		fault_settle(i);
	}
	pthread_mutex_unlock(&fault_disk.lock);
	return i;
}

static inline int
fault_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
    int *out)
{
	struct fault_file *f = fault_of(file);
	sqlite3_vfs *real = fault_disk.real;
	int code;

	(void)vfs;
	memset(f, 0, sizeof(*f));
	f->real = (sqlite3_file *)(void *)(f + 1);
	snprintf(f->path, sizeof(f->path), "%s", path ? path : "");
	code = real->xOpen(real, path, f->real, flags, out);
	if (code != SQLITE_OK)
		return code;
	if (path && atomic_load(&fault_disk.power_at))
		f->image = fault_image_of(path);
	f->base.pMethods = &fault_methods;
	return SQLITE_OK;
}

static inline int
fault_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
	sqlite3_vfs *real = fault_disk.real;
	struct fault_image *i;
	int code = real->xDelete(real, path, sync);

	(void)vfs;
	pthread_mutex_lock(&fault_disk.lock);
	for (struct fault_image **at = &fault_disk.images; (i = *at);
	     at = &i->next)
		if (!strcmp(i->path, path)) {
			*at = i->next;
			fault_forget_writes(i);
			free(i->base);
			free(i);
			break;
		}
	pthread_mutex_unlock(&fault_disk.lock);
	return code;
}

/* Registers it as "fault". */
static inline void
fault_register(void)
{
	static sqlite3_vfs vfs;

	fault_disk.real = sqlite3_vfs_find("unix");
	vfs = *fault_disk.real;
	vfs.zName = "fault";
	vfs.pNext = NULL;
	vfs.szOsFile += (int)sizeof(struct fault_file);
	vfs.xOpen = fault_open;
	vfs.xDelete = fault_delete;
	sqlite3_vfs_register(&vfs, 0);
}

/* ---- memory ---------------------------------------------------------------- */

static sqlite3_mem_methods fault_memory_real;
static atomic_long fault_memory_at, fault_memory_count;
static atomic_bool fault_memory_persistent;

static inline bool
fault_memory_strikes(void)
{
	long at = atomic_load(&fault_memory_at), count;

	if (!at)
		return false;
	count = atomic_fetch_add(&fault_memory_count, 1) + 1;
	return atomic_load(&fault_memory_persistent) ? count >= at :
						       count == at;
}

static inline void *
fault_malloc(int bytes)
{
	return fault_memory_strikes() ? NULL : fault_memory_real.xMalloc(bytes);
}

static inline void *
fault_realloc(void *old, int bytes)
{
	return fault_memory_strikes() ? NULL :
					fault_memory_real.xRealloc(old, bytes);
}

/* Before anything else is asked of SQLite. */
static inline int
fault_memory_register(void)
{
	sqlite3_mem_methods methods;

	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &fault_memory_real) !=
	    SQLITE_OK)
		return -1;
	methods = fault_memory_real;
	methods.xMalloc = fault_malloc;
	methods.xRealloc = fault_realloc;
	return sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK ? 0 :
									     -1;
}

static inline void
fault_memory_arm(long at, bool persistent)
{
	atomic_store(&fault_memory_count, 0);
	atomic_store(&fault_memory_persistent, persistent);
	atomic_store(&fault_memory_at, at);
}

static inline bool
fault_memory_disarm(void)
{
	long at = atomic_exchange(&fault_memory_at, 0);

	return at && atomic_load(&fault_memory_count) >= at;
}

#endif
