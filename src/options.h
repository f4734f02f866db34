/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line: argv to struct options, and the text of --help. Opens nothing and prints
 * nothing; what it returns points into argv.
 */
#pragma once

#include "gate.h"

#include <stdbool.h>
#include <stddef.h>

enum action {
	ACTION_EXPORT,
	ACTION_UNMOUNT,
	ACTION_INFO,
	ACTION_HELP,
	ACTION_VERSION,
};

enum allow_other {
	ALLOW_OTHER_AUTO, /* where it is permitted */
	ALLOW_OTHER_ON,
	ALLOW_OTHER_OFF,
};

enum cache_mode {
	CACHE_WRITEBACK,
	CACHE_WRITETHROUGH,
	CACHE_NONE,
};

struct options {
	enum action action;
	const char *image;           /* for ACTION_EXPORT and ACTION_INFO */
	const char *mountpoint;      /* the image itself unless stated */
	bool lazy;                   /* unmount what is in use, and wait for its end */
	const char *unmount;         /* for ACTION_UNMOUNT */
	const char *format;          /* NULL: detect it */
	const char *pidfile;         /* or NULL */
	const char *snapshot;        /* or NULL */
	const char *data_file;       /* or NULL: the one that the image names */
	const char *backing;         /* or NULL: the one that the image names */
	const char *backing_format;  /* with backing; NULL: detect it */
	int ready_fd;                /* a descriptor to say ready on, or 0 */
	int watch_fd;                /* end when its other end is closed, or 0 */
	const char *passphrase_file; /* or NULL; "-" for standard input */
	enum references references;
	bool read_only;
	bool daemonize;
	bool growable;
	bool discard; /* give freed clusters back to the host */
	bool sandbox; /* give up what serving does not need */
	bool json;
	bool verbose;
	enum allow_other allow_other;
	enum cache_mode cache;
	size_t cache_size; /* of each image file's tables, in bytes; 0: the default */
};

/* Why a command line was not understood: one line without a full stop. */
struct options_error {
	char text[512];
};

/*
 * Read the command line. Returns 0, or -EINVAL with the reason in @reterr. Uses getopt(3), so
 * one call at a time.
 */
int options_parse(int argc, char **argv, struct options *ret, struct options_error *reterr);

/* The word that selects a cache mode. */
const char *cache_mode_name(enum cache_mode mode);

/* The first part of what --help prints; the list of formats follows it. */
extern const char options_usage[];
