/* SPDX-License-Identifier: MIT */
/* version.h - what all programs of a build call themselves. They are installed
 * together: the messages between them have no versions of their own. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define FCGI_HOST_VERSION "0.1"

#endif
