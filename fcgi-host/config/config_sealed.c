/* SPDX-License-Identifier: MIT */
/* config_sealed.c - the bytes of a configuration on their way to a process that
 * master started. */

#include <errno.h>

#include "base/sealed.h"

#include "config/options.h"

int
config_seal(const struct config *c, bool tenants, uint64_t *bytes)
{
	struct buf encoded;
	int fd = -1;

	buf_init(&encoded, CONFIG_BYTES_MOST);
	if ((tenants ? config_encode(c, &encoded) :
		       config_encode_for(c, SPAN(""), &encoded)) == 0) {
		*bytes = buf_bytes(&encoded);
		fd = sealed_make("configuration", buf_span(&encoded));
	} else {
		errno = EMSGSIZE;
	}
	buf_free(&encoded);
	return fd;
}

struct config *
config_unseal(int fd, uint64_t bytes)
{
	struct config *c;
	struct span encoded;

	if (sealed_map(fd, bytes, CONFIG_BYTES_MOST, &encoded) != 0)
		return NULL;
	c = config_open(encoded);
	sealed_unmap(&encoded);
	return c;
}
