/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line: what is accepted and what it means, what is refused and with which words.
 */
#include "test.h"

#include "options.h"

#include <errno.h>

#define MAX_WORDS 8

/* Split @line at spaces ('' is an empty word), parse it, and return what options_parse() does. */
static int parse(const char *line, struct options *ret, struct options_error *reterr)
{
	static char buffer[256]; /* the options point into it */
	char *words[MAX_WORDS + 2] = { NULL };
	int count = 0, r;
	char *rest;

	snprintf(buffer, sizeof(buffer), "imgfuse %s", line);
	rest = buffer;
	for (char *word; (word = strsep(&rest, " "));) {
		CHECK(count <= MAX_WORDS);
		if (*word)
			words[count++] = strcmp(word, "''") == 0 ? word + 2 : word;
	}
	r = options_parse(count, words, ret, reterr);
	CHECK(r == 0 || r == -EINVAL);
	return r;
}

static struct options accepted(const char *line)
{
	struct options_error why = { "" };
	struct options options;

	if (parse(line, &options, &why) < 0)
		test_failed(__FILE__, __LINE__, "'%s' was refused: %s", line, why.text);
	return options;
}

/* @line is refused, and the reason contains @words. */
static void refused(const char *line, const char *words)
{
	struct options untouched, options;
	struct options_error why = { "" };

	memset(&untouched, 0x55, sizeof(untouched));
	options = untouched;
	if (parse(line, &options, &why) == 0)
		test_failed(__FILE__, __LINE__, "'%s' was accepted", line);
	if (!strstr(why.text, words))
		test_failed(__FILE__, __LINE__, "'%s' was refused with: %s", line, why.text);
	CHECK(memcmp(&options, &untouched, sizeof(options)) == 0);
}

static void test_defaults(void)
{
	struct options options = accepted("disk.qcow2");

	CHECK(options.action == ACTION_EXPORT);
	CHECK(strcmp(options.image, "disk.qcow2") == 0);
	CHECK(strcmp(options.mountpoint, "disk.qcow2") == 0);
	CHECK(!options.format && !options.pidfile && !options.unmount);
	CHECK(!options.read_only && !options.daemonize && !options.growable && !options.verbose);
	CHECK(options.discard);
	CHECK(options.sandbox);
	CHECK(options.allow_other == ALLOW_OTHER_AUTO);
	CHECK(options.cache == CACHE_WRITEBACK);
	CHECK(!options.snapshot && !options.data_file && !options.backing);
	CHECK(!options.passphrase_file && options.references == REFERENCES_OWNER);
}

static void test_export(void)
{
	struct options options = accepted("-rdv -fraw -p PID IMAGE MOUNT");

	CHECK(options.read_only && options.daemonize && options.verbose && !options.growable);
	CHECK(strcmp(options.format, "raw") == 0);
	CHECK(strcmp(options.pidfile, "PID") == 0);
	CHECK(strcmp(options.image, "IMAGE") == 0);
	CHECK(strcmp(options.mountpoint, "MOUNT") == 0);

	/* as in the article: the last of a bundle takes the argument, options may come last */
	options = accepted("-dp PID IMAGE --growable --format=qcow2");
	CHECK(options.daemonize && options.growable);
	CHECK(strcmp(options.pidfile, "PID") == 0);
	CHECK(strcmp(options.format, "qcow2") == 0);
	options = accepted("-- -image");
	CHECK(strcmp(options.image, "-image") == 0);
}

static void test_choices(void)
{
	CHECK(accepted("x").ready_fd == 0 && accepted("x").watch_fd == 0);
	CHECK(accepted("--ready-fd=3 x").ready_fd == 3);
	CHECK(accepted("--watch-fd 1000 x").watch_fd == 1000);
	refused("--ready-fd=3 --watch-fd=3 x",
		"--ready-fd, which is closed, cannot be --watch-fd, too");
	refused("--ready-fd=2 x", "--ready-fd cannot be '2'; it is the number of an open");
	refused("--watch-fd=3x x", "--watch-fd cannot be '3x'");
	refused("--watch-fd=-3 x", "--watch-fd cannot be '-3'");
	refused("--watch-fd=99999999999 x", "--watch-fd cannot be");
	CHECK(accepted("--allow-other x").allow_other == ALLOW_OTHER_ON);
	refused("-o ro x", "there is no '-o' as mount(8) has it; say --read-only");
	refused("--info -d x", "--info mounts nothing: --daemonize does not go with it");
	refused("--info -p f x", "--info mounts nothing: --pidfile");
	CHECK(accepted("--allow-other=on x").allow_other == ALLOW_OTHER_ON);
	CHECK(accepted("--allow-other=off x").allow_other == ALLOW_OTHER_OFF);
	CHECK(accepted("--allow-other=auto x").allow_other == ALLOW_OTHER_AUTO);
	CHECK(accepted("--cache=writethrough x").cache == CACHE_WRITETHROUGH);
	CHECK(accepted("--cache none x").cache == CACHE_NONE);
	CHECK(!accepted("--discard=off x").discard);
	CHECK(accepted("--discard=on x").discard);
	CHECK(!accepted("--sandbox=off x").sandbox);
	CHECK(accepted("--sandbox=on x").sandbox);
	for (enum cache_mode mode = CACHE_WRITEBACK; mode <= CACHE_NONE; mode++) {
		char line[64];

		snprintf(line, sizeof(line), "--cache=%s x", cache_mode_name(mode));
		CHECK(accepted(line).cache == mode);
	}
	refused("--cache=fast x",
		"--cache cannot be 'fast'; it is one of: writeback, writethrough, none");
	refused("--allow-other=yes x", "one of: auto, on, off");
	refused("--discard=1 x", "one of: off, on");
	refused("--sandbox=auto x", "--sandbox cannot be 'auto'; it is one of: off, on");
	refused("--format=cow x", "unknown format 'cow'; it is one of: ");
	refused("-f '' x", "unknown format ''");
}

static void test_cache_size(void)
{
	CHECK(accepted("x").cache_size == 0);
	CHECK(accepted("--cache-size=1 x").cache_size == 1);
	CHECK(accepted("--cache-size=1000 x").cache_size == 1000);
	CHECK(accepted("--cache-size 64K x").cache_size == 64 << 10);
	CHECK(accepted("--cache-size=32M x").cache_size == 32 << 20);
	CHECK(accepted("--cache-size=1G x").cache_size == 1 << 30);
	refused("--cache-size=0 x", "--cache-size cannot be '0': that is too small");
	refused("--cache-size=0M x", "too small");
	refused("--cache-size=17179869184G x", "too large");
	refused("--cache-size=99999999999999999999 x", "too large");
	refused("--cache-size= x", "it is a number of bytes, or one with K, M or G behind it");
	refused("--cache-size=K x", "--cache-size cannot be 'K'");
	refused("--cache-size=-1 x", "--cache-size cannot be '-1'");
	refused("--cache-size=+1 x", "--cache-size cannot be '+1'");
	refused("--cache-size=1MiB x", "--cache-size cannot be '1MiB'");
	refused("--cache-size=1T x", "--cache-size cannot be '1T'");
	refused("--cache-size=0x10 x", "--cache-size cannot be '0x10'");
}

static void test_files_beside_the_image(void)
{
	struct options options = accepted("--snapshot=one x");

	CHECK(strcmp(options.snapshot, "one") == 0 && options.read_only);
	CHECK(strcmp(accepted("--data-file=d x").data_file, "d") == 0);
	CHECK(strcmp(accepted("--passphrase-file - x").passphrase_file, "-") == 0);
	CHECK(accepted("--references=all x").references == REFERENCES_ALL);
	CHECK(accepted("--references=deny x").references == REFERENCES_DENY);
	CHECK(accepted("--references=owner x").references == REFERENCES_OWNER);
	options = accepted("--backing=file x");
	CHECK(strcmp(options.backing, "file") == 0 && !options.backing_format);
	options = accepted("--backing=raw:file x");
	CHECK(strcmp(options.backing, "file") == 0 && strcmp(options.backing_format, "raw") == 0);
	/* a name is not a format just because it has a colon */
	options = accepted("--backing=odd:file x");
	CHECK(strcmp(options.backing, "odd:file") == 0 && !options.backing_format);
	refused("--references=some x", "one of: owner, all, deny");
	refused("--snapshot=1 --growable x", "--snapshot shows a disk read-only");
	refused("--backing= x", "--backing needs a name");
	refused("--backing=raw: x", "--backing needs a name");
	refused("--data-file= x", "--data-file needs a name");
}

static void test_verbs(void)
{
	struct options options = accepted("--info --json disk");

	CHECK(options.action == ACTION_INFO && options.json);
	CHECK(strcmp(options.image, "disk") == 0);

	CHECK(strcmp(accepted("-u path").unmount, "path") == 0);
	CHECK(strcmp(accepted("--unmount path").unmount, "path") == 0);
	options = accepted("--unmount=path -v");
	CHECK(options.action == ACTION_UNMOUNT && options.verbose);
	CHECK(strcmp(options.unmount, "path") == 0);

	/* these need no image, whatever else there is */
	CHECK(accepted("-h").action == ACTION_HELP);
	CHECK(accepted("a b c d --help").action == ACTION_HELP);
	CHECK(accepted("--version").action == ACTION_VERSION);
	CHECK(accepted("-V x").action == ACTION_VERSION);
}

static void test_refusals(void)
{
	refused("", "which IMAGE?");
	refused("-d", "which IMAGE?");
	refused("a b c", "'c' is too much");
	refused("''", "IMAGE is an empty name");
	refused("a ''", "MOUNTPOINT is an empty name");
	refused("--info", "which IMAGE?");
	refused("--info a b", "'b' is too much");
	refused("--json a", "--json goes with --info");
	refused("-u a b", "--unmount takes one PATH, 'b' is too much");
	refused("-u a --info", "do not go together");
	refused("-u ''", "--unmount needs a PATH");
	refused("-u", "--unmount needs a PATH");
	refused("-u --lazy", "--unmount needs a PATH");
	refused("--lazy x", "--lazy goes with --unmount");
	CHECK(accepted("-u --lazy path").lazy);
	CHECK(strcmp(accepted("-u --lazy path").unmount, "path") == 0);
	CHECK(strcmp(accepted("-upath").unmount, "path") == 0);
	refused("-p '' x", "--pidfile needs a FILE");
	refused("--growable -r x", "--growable and --read-only do not go together");
	refused("-x x", "unknown option '-x'");
	refused("-rx x", "unknown option '-x'");
	refused("-v --info -xr x", "unknown option '-x'");
	refused("--info -r\200v x", "unknown option '-\200'");
	refused("--info -rp", "option '-p' needs an argument");
	refused("--info -or x", "there is no '-o' as mount(8) has it");
	refused("--growabel x", "unknown option '--growabel'");
	refused("--=x x", "unknown option '--=x'");
	CHECK(accepted("--read- x").read_only && accepted("--form=raw x").format);
	CHECK(accepted("--cache=none x").cache == CACHE_NONE); /* a whole name is no abbreviation */
	refused("--re x",
		"option '--re' is ambiguous; it could be: --read-only, --ready-fd, --references");
	refused("--cach=none x",
		"option '--cach=none' is ambiguous; it could be: --cache, --cache-size");
	refused("x -p", "option '-p' needs an argument");
	refused("x --pidfile", "option '--pidfile' needs an argument");
	refused("x --read-only=yes", "option '--read-only=yes' takes no argument");
}

int main(void)
{
	test_defaults();
	test_export();
	test_choices();
	test_cache_size();
	test_files_beside_the_image();
	test_verbs();
	test_refusals();
	return 0;
}
