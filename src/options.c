/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One table of long options, one switch over them, and one function that refuses what makes no
 * sense together.
 */
#include "options.h"

#include "array.h"
#include "imgfmt.h"
#include "overflow.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char options_usage[] =
	"Usage: imgfuse [OPTION]... IMAGE [MOUNTPOINT]\n"
	"       imgfuse --unmount PATH\n"
	"       imgfuse --info [--json] IMAGE\n"
	"\n"
	"Show the disk image IMAGE as the raw disk that it holds, as one file at MOUNTPOINT\n"
	"(an existing file; IMAGE itself unless given), for reading and writing.\n"
	"\n"
	"  -f, --format=FORMAT     the format of IMAGE; detected unless given\n"
	"  -r, --read-only         refuse writes\n"
	"  -d, --daemonize         go to the background; return when the export is usable\n"
	"  -p, --pidfile=FILE      hold the process id in FILE while the export is usable\n"
	"      --ready-fd=N        write a byte to descriptor N when the export is usable\n"
	"      --watch-fd=N        end the export when the other end of descriptor N is closed\n"
	"      --snapshot=ID|NAME  show an internal snapshot, read-only\n"
	"      --backing=[FORMAT:]FILE\n"
	"                          use FILE in place of the backing file that IMAGE names\n"
	"      --data-file=FILE    use FILE in place of the data file that IMAGE names\n"
	"      --references=WHICH  follow references of IMAGE to other files: owner (what its\n"
	"                          owner could open himself; the default), all, deny\n"
	"      --passphrase-file=FILE\n"
	"                          read the passphrase of an encrypted IMAGE from FILE, or\n"
	"                          from standard input if FILE is -\n"
	"      --growable          let writes past the end grow the disk\n"
	"      --allow-other[=WHEN]\n"
	"                          let other users in: auto (where permitted; the default),\n"
	"                          on (also without WHEN), off\n"
	"      --cache=MODE        writeback (the default), writethrough, none\n"
	"      --cache-size=SIZE   memory for the tables of each image file, in bytes or with\n"
	"                          K, M or G behind it (default: 32M)\n"
	"      --discard=on|off    give freed clusters back to the host (default: on)\n"
	"      --sandbox=on|off    give up all rights that serving does not need (default: on)\n"
	"  -u, --unmount PATH      end the export at PATH; returns when the image is final\n"
	"                          and its locks are free\n"
	"      --lazy              with --unmount: detach what is in use, and wait for its users\n"
	"      --info              say what IMAGE is, without mounting; --json for machines\n"
	"  -v, --verbose           say what was chosen\n"
	"  -h, --help              print this text\n"
	"  -V, --version           print the version\n";

enum {
	OPTION_GROWABLE = 256,
	OPTION_ALLOW_OTHER,
	OPTION_CACHE,
	OPTION_CACHE_SIZE,
	OPTION_DISCARD,
	OPTION_SANDBOX,
	OPTION_INFO,
	OPTION_JSON,
	OPTION_LAZY,
	OPTION_SNAPSHOT,
	OPTION_BACKING,
	OPTION_DATA_FILE,
	OPTION_REFERENCES,
	OPTION_PASSPHRASE_FILE,
	OPTION_READY_FD,
	OPTION_WATCH_FD,
};

static const char short_options[] = ":f:rdp:u::vhV";

static const struct option long_options[] = {
	{ "format", required_argument, NULL, 'f' },
	{ "read-only", no_argument, NULL, 'r' },
	{ "daemonize", no_argument, NULL, 'd' },
	{ "pidfile", required_argument, NULL, 'p' },
	{ "ready-fd", required_argument, NULL, OPTION_READY_FD },
	{ "watch-fd", required_argument, NULL, OPTION_WATCH_FD },
	{ "snapshot", required_argument, NULL, OPTION_SNAPSHOT },
	{ "backing", required_argument, NULL, OPTION_BACKING },
	{ "data-file", required_argument, NULL, OPTION_DATA_FILE },
	{ "references", required_argument, NULL, OPTION_REFERENCES },
	{ "passphrase-file", required_argument, NULL, OPTION_PASSPHRASE_FILE },
	{ "growable", no_argument, NULL, OPTION_GROWABLE },
	{ "allow-other", optional_argument, NULL, OPTION_ALLOW_OTHER },
	{ "cache", required_argument, NULL, OPTION_CACHE },
	{ "cache-size", required_argument, NULL, OPTION_CACHE_SIZE },
	{ "discard", required_argument, NULL, OPTION_DISCARD },
	{ "sandbox", required_argument, NULL, OPTION_SANDBOX },
	{ "unmount", optional_argument, NULL, 'u' },
	{ "lazy", no_argument, NULL, OPTION_LAZY },
	{ "info", no_argument, NULL, OPTION_INFO },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* In the place of what --unmount takes, where that stands behind other options. */
static const char unmount_first[] = "";

/* In the order of their enums. */
static const char *const allow_other_words[] = { "auto", "on", "off" };
static const char *const cache_words[] = { "writeback", "writethrough", "none" };
static const char *const switch_words[] = { "off", "on" };
static const char *const references_words[] = { "owner", "all", "deny" };

const char *cache_mode_name(enum cache_mode mode)
{
	return cache_words[mode];
}

static int refuse(struct options_error *reterr, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(struct options_error *reterr, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reterr->text, sizeof(reterr->text), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* Which of @words is @word? Refuses others, naming the option and what it takes. */
static int choose(const char *option, const char *word, const char *const *words, size_t count,
		  unsigned int *ret, struct options_error *reterr)
{
	char known[128] = "";

	for (unsigned int i = 0; i < count; i++) {
		if (strcmp(word, words[i]) == 0) {
			*ret = i;
			return 0;
		}
		if (i > 0)
			strncat(known, ", ", sizeof(known) - strlen(known) - 1);
		strncat(known, words[i], sizeof(known) - strlen(known) - 1);
	}
	return refuse(reterr, "--%s cannot be '%s'; it is one of: %s", option, word, known);
}

/* Turn something on or off. */
static int turn(const char *option, const char *word, bool *ret, struct options_error *reterr)
{
	unsigned int choice;
	int r;

	r = choose(option, word, switch_words, ARRAY_LENGTH(switch_words), &choice, reterr);
	if (r == 0)
		*ret = choice;
	return r;
}

static int check_format(const char *format, struct options_error *reterr)
{
	char known[256] = "";
	const char *name;

	for (unsigned int i = 0; (name = imgfmt_format_name(i)); i++) {
		if (strcmp(name, format) == 0)
			return 0;
		if (i > 0)
			strncat(known, ", ", sizeof(known) - strlen(known) - 1);
		strncat(known, name, sizeof(known) - strlen(known) - 1);
	}
	return refuse(reterr, "unknown format '%s'; it is one of: %s", format, known);
}

/* FORMAT:FILE where what is before the colon is a format, else FILE. */
static void split_backing(const char *argument, struct options *options)
{
	const char *name;

	options->backing = argument;
	options->backing_format = NULL;
	for (unsigned int i = 0; (name = imgfmt_format_name(i)); i++) {
		size_t length = strlen(name);

		if (strncmp(argument, name, length) == 0 && argument[length] == ':') {
			options->backing = argument + length + 1;
			options->backing_format = name;
		}
	}
}

/* Store what an option about a file beside the image says. */
static int apply_file(int option, const char *argument, struct options *options,
		      struct options_error *reterr)
{
	unsigned int choice;
	int r = 0;

	switch (option) {
	case OPTION_SNAPSHOT:
		options->snapshot = argument;
		break;
	case OPTION_BACKING:
		split_backing(argument, options);
		break;
	case OPTION_DATA_FILE:
		options->data_file = argument;
		break;
	case OPTION_REFERENCES:
		r = choose("references", argument, references_words, ARRAY_LENGTH(references_words),
			   &choice, reterr);
		if (r == 0)
			options->references = (enum references)choice;
		break;
	case OPTION_PASSPHRASE_FILE:
		options->passphrase_file = argument;
		break;
	}
	return r;
}

/* A number of bytes, as "512K": at least one. */
static int read_size(const char *option, const char *word, size_t *ret,
		     struct options_error *reterr)
{
	static const char units[] = "KMG";
	const char *unit;
	uint64_t size;
	char *end;

	errno = 0;
	size = strtoull(word, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (!isdigit((unsigned char)*word) || (*end && (!unit || end[1])))
		return refuse(reterr,
			      "--%s cannot be '%s'; it is a number of bytes, or one with K, M or G "
			      "behind it",
			      option, word);
	for (; unit && unit >= units && errno == 0; unit--)
		if (!mul_u64(size, 1024, &size))
			errno = ERANGE;
	if (errno != 0 || size == 0 || size > SIZE_MAX)
		return refuse(reterr, "--%s cannot be '%s': that is too %s", option, word,
			      errno == 0 && size == 0 ? "small" : "large");
	*ret = (size_t)size;
	return 0;
}

/* The number of an open descriptor that is not a standard one. */
static int read_descriptor(const char *option, const char *word, int *ret,
			   struct options_error *reterr)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(word, &end, 10);
	if (!isdigit((unsigned char)*word) || *end || errno != 0 || number < 3 || number > INT_MAX)
		return refuse(
			reterr,
			"--%s cannot be '%s'; it is the number of an open descriptor, 3 or more",
			option, word);
	*ret = (int)number;
	return 0;
}

/* Store what an option about caching says. */
static int apply_cache(int option, const char *argument, struct options *options,
		       struct options_error *reterr)
{
	unsigned int choice;
	int r;

	if (option == OPTION_CACHE_SIZE)
		return read_size("cache-size", argument, &options->cache_size, reterr);
	r = choose("cache", argument, cache_words, ARRAY_LENGTH(cache_words), &choice, reterr);
	if (r == 0)
		options->cache = (enum cache_mode)choice;
	return r;
}

/* Store what one option says. @option is what getopt_long() returned. */
static int apply(int option, const char *argument, struct options *options,
		 struct options_error *reterr)
{
	unsigned int choice;
	int r = 0;

	switch (option) {
	case 'f':
		options->format = argument;
		return check_format(argument, reterr);
	case 'r':
		options->read_only = true;
		break;
	case 'd':
		options->daemonize = true;
		break;
	case 'p':
		options->pidfile = argument;
		break;
	case 'u':
		options->unmount = argument ? argument : unmount_first;
		break;
	case 'v':
		options->verbose = true;
		break;
	case OPTION_GROWABLE:
		options->growable = true;
		break;
	case OPTION_ALLOW_OTHER:
		r = choose("allow-other", argument ? argument : "on", allow_other_words,
			   ARRAY_LENGTH(allow_other_words), &choice, reterr);
		if (r == 0)
			options->allow_other = (enum allow_other)choice;
		break;
	case OPTION_CACHE:
	case OPTION_CACHE_SIZE:
		return apply_cache(option, argument, options, reterr);
	case OPTION_DISCARD:
		r = turn("discard", argument, &options->discard, reterr);
		break;
	case OPTION_SANDBOX:
		r = turn("sandbox", argument, &options->sandbox, reterr);
		break;
	case OPTION_JSON:
		options->json = true;
		break;
	case OPTION_LAZY:
		options->lazy = true;
		break;
	case OPTION_READY_FD:
		return read_descriptor("ready-fd", argument, &options->ready_fd, reterr);
	case OPTION_WATCH_FD:
		return read_descriptor("watch-fd", argument, &options->watch_fd, reterr);
	default:
		return apply_file(option, argument, options, reterr);
	}
	return r;
}

/* A long option that getopt_long() did not know, or did not know which. */
static int refuse_unknown(const char *word, struct options_error *reterr)
{
	size_t length = strcspn(word, "=") - strlen("--");
	char known[256] = "";
	unsigned int count = 0;

	for (const struct option *option = long_options; option->name && length > 0; option++) {
		size_t used = strlen(known);

		if (strncmp(option->name, word + strlen("--"), length) == 0)
			snprintf(known + used, sizeof(known) - used, "%s--%s",
				 count++ > 0 ? ", " : "", option->name);
	}
	if (count == 0)
		return refuse(reterr, "unknown option '%s'", word);
	return refuse(reterr, "option '%s' is ambiguous; it could be: %s", word, known);
}

/* The option that getopt_long() stumbled over, as the user wrote it. */
static int refuse_option(char **argv, int option, struct options_error *reterr)
{
	const char *word = argv[optind - 1]; /* but the one before a bundle that goes on */

	if (option == '?' && optopt == 'o')
		return refuse(reterr,
			      "there is no '-o' as mount(8) has it; say --read-only for ro, "
			      "--allow-other for allow_other");
	if (option == '?' && optopt != 0 && optopt < 256 && !strchr(short_options, optopt))
		return refuse(reterr, "unknown option '-%c'", optopt);
	if (option == ':' && strncmp(word, "--", 2) != 0)
		return refuse(reterr, "option '-%c' needs an argument", optopt);
	if (option == ':')
		return refuse(reterr, "option '%s' needs an argument", word);
	if (optopt != 0)
		return refuse(reterr, "option '%s' takes no argument", word);
	return refuse_unknown(word, reterr);
}

/* Store what follows the options, and refuse what does not go together. */
static int finish(int count, char **words, struct options *options, struct options_error *reterr)
{
	if (options->unmount == unmount_first)
		options->unmount = count > 0 ? (count--, *words++) : "";
	if (options->unmount) {
		if (options->action == ACTION_INFO)
			return refuse(reterr, "--unmount and --info do not go together");
		if (options->json)
			return refuse(reterr, "--json goes with --info");
		if (count > 0)
			return refuse(reterr, "--unmount takes one PATH, '%s' is too much",
				      words[0]);
		if (!*options->unmount)
			return refuse(reterr, "--unmount needs a PATH");
		options->action = ACTION_UNMOUNT;
		return 0;
	}
	if (options->lazy)
		return refuse(reterr, "--lazy goes with --unmount");
	if (count == 0)
		return refuse(reterr, "which IMAGE?");
	for (int i = 0; i < count; i++)
		if (!*words[i])
			return refuse(reterr, "%s is an empty name", i ? "MOUNTPOINT" : "IMAGE");
	options->image = words[0];
	options->mountpoint = count > 1 ? words[1] : words[0];
	if (options->action == ACTION_INFO) {
		if (count > 1)
			return refuse(reterr, "--info takes one IMAGE, '%s' is too much", words[1]);
		if (options->daemonize || options->pidfile || options->ready_fd ||
		    options->watch_fd)
			return refuse(reterr, "--info mounts nothing: --%s does not go with it",
				      options->daemonize ? "daemonize" :
				      options->pidfile   ? "pidfile" :
				      options->ready_fd  ? "ready-fd" :
							   "watch-fd");
		return 0;
	}
	if (count > 2)
		return refuse(reterr, "one IMAGE and one MOUNTPOINT, '%s' is too much", words[2]);
	if (options->json)
		return refuse(reterr, "--json goes with --info");
	if (options->ready_fd && options->ready_fd == options->watch_fd)
		return refuse(reterr, "--ready-fd, which is closed, cannot be --watch-fd, too");
	if (options->snapshot && options->growable)
		return refuse(reterr,
			      "--snapshot shows a disk read-only, which cannot be --growable");
	if (options->snapshot)
		options->read_only = true;
	if (options->growable && options->read_only)
		return refuse(reterr, "--growable and --read-only do not go together");
	if (options->pidfile && !*options->pidfile)
		return refuse(reterr, "--pidfile needs a FILE that is not empty");
	return 0;
}

/* Refuse empty names of files beside the image. */
static int check_files(const struct options *options, struct options_error *reterr)
{
	const struct {
		const char *option, *file;
	} files[] = {
		{ "backing", options->backing },
		{ "data-file", options->data_file },
		{ "passphrase-file", options->passphrase_file },
		{ "snapshot", options->snapshot },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(files); i++)
		if (files[i].file && !*files[i].file)
			return refuse(reterr, "--%s needs a name that is not empty",
				      files[i].option);
	return 0;
}

int options_parse(int argc, char **argv, struct options *ret, struct options_error *reterr)
{
	struct options options = { .action = ACTION_EXPORT, .discard = true, .sandbox = true };
	int option, r;

	opterr = 0;
	optind = 0; /* start afresh */
	while ((option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		switch (option) {
		case 'h':
		case 'V':
			options.action = option == 'h' ? ACTION_HELP : ACTION_VERSION;
			*ret = options;
			return 0;
		case OPTION_INFO:
			options.action = ACTION_INFO;
			continue;
		case '?':
		case ':':
			return refuse_option(argv, option, reterr);
		}
		r = apply(option, optarg, &options, reterr);
		if (r < 0)
			return r;
	}
	r = check_files(&options, reterr);
	if (r == 0)
		r = finish(argc - optind, argv + optind, &options, reterr);
	if (r < 0)
		return r;
	*ret = options;
	return 0;
}
