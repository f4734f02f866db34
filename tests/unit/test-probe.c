/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What files are taken for, and what can be opened. */
#include "test.h"

#include "driver.h"

struct magic {
	const char *format;
	size_t offset;
	const char *bytes;
	size_t count;
};

#define MAGIC(format, offset, bytes)                     \
	{                                                \
		format, offset, bytes, sizeof(bytes) - 1 \
	}

static const struct magic magics[] = {
	MAGIC("raw", 0, ""),
	MAGIC("raw", 510, "\x55\xaa"),
	MAGIC("raw", 0, "LUKS\xba\xbe\0\1"),
	MAGIC("raw", 0, "QFI\xfa\0\0\0\2"),
	MAGIC("raw", 4, "QFI\xfb\0\0\0\2"),
	MAGIC("qcow", 0, "QFI\xfb\0\0\0\1"),
	MAGIC("qcow2", 0, "QFI\xfb\0\0\0\2"),
	MAGIC("qcow2", 0, "QFI\xfb\0\0\0\3"),
	MAGIC("qcow2", 0, "QFI\xfb\0\0\0\0"),
	MAGIC("qcow2", 0, "QFI\xfb\0\0\0\4"),
	MAGIC("qcow2", 0, "QFI\xfb\xff\xff\xff\xff"),
	MAGIC("vmdk", 0, "KDMV\1\0\0\0"),
	MAGIC("vmdk", 0, "COWD\1\0\0\0"),
	MAGIC("vmdk", 0, "# Disk DescriptorFile\nversion=1\n"),
	MAGIC("raw", 0, "# Disk Descriptor"),
	MAGIC("vhdx", 0, "vhdxfileQ\0E\0M\0U\0"),
	MAGIC("vpc", 0, "conectix\0\0\0\2"),
	MAGIC("raw", 504, "conectix"),
	MAGIC("vdi", 0x40, "\x7f\x10\xda\xbe"),
	MAGIC("raw", 0x40, "\xbe\xda\x10\x7f"),
	MAGIC("qed", 0, "QED\0\0\0\1\0"),
	MAGIC("raw", 0, "QED "),
	MAGIC("parallels", 0, "WithoutFreeSpace"),
	MAGIC("parallels", 0, "WithouFreSpacExt"),
};

static void test_magics(void)
{
	for (size_t i = 0; i < sizeof(magics) / sizeof(*magics); i++) {
		struct imgfmt_sample sample = { .size = 1 << 20 };
		const char *found;

		memcpy(sample.head + magics[i].offset, magics[i].bytes, magics[i].count);
		found = imgfmt_probe(&sample)->name;
		if (strcmp(found, magics[i].format) != 0)
			test_failed(__FILE__, __LINE__, "sample %zu: %s is taken for %s", i,
				    magics[i].format, found);
	}
}

static void test_sample(void)
{
	struct imgfmt_sample sample;
	struct hostfile *file;
	int fd = test_disk_file();

	CHECK(hostfile_create(fd, true, &file) == 0);
	CHECK(imgfmt_take_sample(file, &sample) == 0);
	CHECK(sample.size == 0 && test_all(sample.head, sizeof(sample.head), 0));
	CHECK(strcmp(imgfmt_probe(&sample)->name, "raw") == 0);

	/* Shorter than a sector: the rest counts as zeroes. */
	CHECK(write(fd, "vhdxfile", 8) == 8);
	memset(&sample, 1, sizeof(sample));
	CHECK(imgfmt_take_sample(file, &sample) == 0);
	CHECK(sample.size == 8 && test_all(sample.head + 8, sizeof(sample.head) - 8, 0));
	CHECK(strcmp(imgfmt_probe(&sample)->name, "vhdx") == 0);

	CHECK(ftruncate(fd, 1000) == 0 && pwrite(fd, "\xaa", 1, 511) == 1);
	CHECK(imgfmt_take_sample(file, &sample) == 0);
	CHECK(sample.size == 1000 && sample.head[511] == 0xaa);
	hostfile_destroy(file);
}

static void test_names(void)
{
	unsigned int openable = 0;
	bool raw = false, qcow2 = false;

	for (unsigned int i = 0; imgfmt_drivers[i]; i++) {
		CHECK(imgfmt_find_driver(imgfmt_drivers[i]->name) == imgfmt_drivers[i]);
		CHECK(imgfmt_drivers[i]->description && imgfmt_drivers[i]->probe);
		openable += imgfmt_drivers[i]->open != NULL;
	}
	for (unsigned int i = 0; imgfmt_format_name(i); i++) {
		const char *name = imgfmt_format_name(i);

		CHECK(imgfmt_find_driver(name)->open);
		CHECK(imgfmt_format_description(i) == imgfmt_find_driver(name)->description);
		raw |= strcmp(name, "raw") == 0;
		qcow2 |= strcmp(name, "qcow2") == 0;
		openable--;
	}
	CHECK(openable == 0 && raw && qcow2);
	CHECK(!imgfmt_find_driver("") && !imgfmt_find_driver("RAW") &&
	      !imgfmt_find_driver("qcow3"));
	CHECK(imgfmt_find_driver("vmdk") && !imgfmt_find_driver("vmdk")->open);
	CHECK(!imgfmt_format_name(100) && !imgfmt_format_description(100));
}

int main(void)
{
	test_magics();
	test_sample();
	test_names();
	return 0;
}
