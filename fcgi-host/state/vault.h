/* SPDX-License-Identifier: MIT */
/* vault.h - the directory keys/ below the state directory, and files in it
 * that are exactly as they must be. What is not is refused with a sentence
 * that names it and the rule. */
#ifndef STATE_VAULT_H
#define STATE_VAULT_H

#include <sys/types.h>

#include "base/span.h"

enum { VAULT_WHY = 512 }; /* room for a sentence */

/* Always -1: for `return vault_why(why, ...)`. */
int vault_why(char why[VAULT_WHY], const char *, ...)
    __attribute__((format(printf, 2, 3)));

/* A descriptor of keys/, which is made if there is none; -1 with the
 * sentence. */
int vault_open(int directory_fd, char why[VAULT_WHY]);

/* Opens for reading what is a plain file, our own, and of this mode: the
 * descriptor, and its bytes; -1 with the sentence. */
int vault_file(int vault, const char *name, mode_t, uint64_t *bytes,
    char why[VAULT_WHY]);

/* A new file, whole and on the disk: 0; or none: -1 with errno. */
int vault_put(int vault, const char *name, mode_t, struct span);

#endif
