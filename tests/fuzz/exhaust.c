/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The main() of a target that runs out of memory: exhaust FILE-OR-DIRECTORY... gives it every file
 * again and again, and refuses memory to the library: at first its first request, then its second,
 * until none is refused any more; and once more with all that come after it.
 *
 * What must hold, besides the target's promises: nothing that was allocated is left; opening ends
 * as without, or with -ENOMEM; and afterwards, with memory, all is as before.
 *
 * The linker (--wrap) leads requests for memory here. Only the library is refused any.
 */
#include "disk.h"
#include "host.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>

/* Of an input that asks for more, only some requests are refused. */
#define MAX_TURNS 60

/* Not every build has the last two. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *string);
void __real_free(void *memory);
__attribute__((weak)) void *__real_libdeflate_alloc_decompressor(void);
__attribute__((weak)) void *__real_ZSTD_createDCtx(void);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *string);
void __wrap_free(void *memory);
void *__wrap_libdeflate_alloc_decompressor(void);
void *__wrap_ZSTD_createDCtx(void);

static unsigned long requests;  /* of the library, in this turn */
static unsigned long refuse_at; /* 0: none */
static bool refuse_rest;
static long live;

static unsigned long inputs, turns;

/* ---- memory ---- */

static bool is_refused(void)
{
	if (!host_in_call)
		return false;
	requests++;
	if (refuse_at == 0 || requests < refuse_at || (requests > refuse_at && !refuse_rest))
		return false;
	host_memory_refused = true;
	return true;
}

static void *count(void *memory)
{
	if (memory)
		live++;
	return memory;
}

void *__wrap_malloc(size_t size)
{
	return is_refused() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t number, size_t size)
{
	return is_refused() ? NULL : count(__real_calloc(number, size));
}

void *__wrap_realloc(void *old, size_t size)
{
	void *memory = is_refused() ? NULL : __real_realloc(old, size);

	return old ? memory : count(memory);
}

char *__wrap_strdup(const char *string)
{
	return is_refused() ? NULL : count(__real_strdup(string));
}

void __wrap_free(void *memory)
{
	if (memory)
		live--;
	__real_free(memory);
}

/* The libraries of the codecs free these themselves. */
void *__wrap_libdeflate_alloc_decompressor(void)
{
	return is_refused() ? NULL : __real_libdeflate_alloc_decompressor();
}

void *__wrap_ZSTD_createDCtx(void)
{
	return is_refused() ? NULL : __real_ZSTD_createDCtx();
}

/* ---- inputs ---- */

/* Give the target an input once. Returns what opening it first came to. */
static int take_turn(const uint8_t *bytes, size_t size, unsigned long at, bool rest)
{
	long before;

	host_reset();
	before = live;
	requests = 0;
	refuse_at = at;
	refuse_rest = rest;
	host_memory_refused = false;
	LLVMFuzzerTestOneInput(bytes, size);
	refuse_at = 0;
	host_reset();
	MUST(live == before);
	turns++;
	return disk_first_result;
}

static void exhaust(const uint8_t *bytes, size_t size)
{
	int result = take_turn(bytes, size, 0, false), r;
	unsigned long all = requests, step = 1 + all / MAX_TURNS;

	for (unsigned long at = 1; at <= all; at += step) {
		r = take_turn(bytes, size, at, false);
		MUST(r == result || r == -ENOMEM);
		r = take_turn(bytes, size, at, true);
		MUST(r == result || r == -ENOMEM);
	}
	MUST(take_turn(bytes, size, 0, false) == result);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *place)
{
	size_t size = (size_t)st->st_size;
	uint8_t *bytes;
	FILE *file;

	(void)place;
	if (type != FTW_F)
		return 0;
	file = fopen(path, "re");
	bytes = malloc(size + 1);
	if (!file || !bytes || fread(bytes, 1, size, file) != size) {
		fprintf(stderr, "%s: cannot be read\n", path);
		exit(1);
	}
	/* Where the target ends the program, this is the last line. */
	fprintf(stderr, "%s\n", path);
	exhaust(bytes, size);
	inputs++;
	free(bytes);
	fclose(file);
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (nftw(argv[i], visit, 16, FTW_PHYS) < 0)
			return 1;
	printf("%lu inputs, %lu turns\n", inputs, turns);
	return inputs == 0;
}
