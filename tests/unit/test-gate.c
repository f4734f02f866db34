/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate: how names in images become paths, which names are refused, and that nothing but
 * regular files is opened, without waiting for them.
 */
#include "test.h"

#include "gate.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct imgfmt_reference reference_to(const char *name, const char *referrer)
{
	return (struct imgfmt_reference){
		.kind = IMGFMT_BACKING_FILE,
		.name = name,
		.referrer = referrer,
	};
}

static void resolves(const char *name, const char *referrer, const char *wanted)
{
	const struct imgfmt_reference reference = reference_to(name, referrer);
	struct imgfmt_error why = { "" };
	char *path;

	if (gate_resolve(&reference, &path, &why) < 0)
		test_failed(__FILE__, __LINE__, "'%s' was refused: %s", name, why.text);
	if (strcmp(path, wanted) != 0)
		test_failed(__FILE__, __LINE__, "'%s' of '%s' is '%s'", name, referrer, path);
	free(path);
}

static void refuses(const char *name)
{
	const struct imgfmt_reference reference = reference_to(name, "/a/b");
	struct imgfmt_error why = { "" };
	char *path = NULL;

	CHECK_EQUAL(gate_resolve(&reference, &path, &why), -EACCES);
	CHECK(!path);
	CHECK(strstr(why.text, "backing file"));
	CHECK(strstr(why.text, name));
}

static void test_names(void)
{
	resolves("/x/base", "/a/b.qcow2", "/x/base");
	resolves("base", "/a/b.qcow2", "/a/base");
	resolves("base", "/b.qcow2", "/base");
	resolves("../x/base", "/a/b.qcow2", "/a/../x/base");
	resolves("base", "dir/b.qcow2", "dir/base");
	resolves("base", "b.qcow2", "base");
	/* a colon behind a slash is a character like others */
	resolves("./12:30.raw", "/a/b", "/a/./12:30.raw");
	resolves("/x/12:30.raw", "/a/b", "/x/12:30.raw");
	/* QEMU's way to write a plain name; not relative to the referrer */
	resolves("file:/x/base", "/a/b", "/x/base");
	resolves("file:base", "/a/b", "base");
	resolves("file:nbd:x", "/a/b", "nbd:x");
	resolves("file", "/a/b", "/a/file");

	refuses("nbd://host/export");
	refuses("nbd:unix:/tmp/socket");
	refuses("json:{\"driver\":\"file\",\"filename\":\"/etc/shadow\"}");
	refuses("http://host/disk");
	refuses("fat:rw:/home");
	refuses("12:30.raw");
	refuses(":");
	refuses("");
}

/* ---- files ---- */

static char directory[64];

static const char *in_directory(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void create_files(void)
{
	int fd;

	snprintf(directory, sizeof(directory), "/tmp/imgfuse-test-gate-XXXXXX");
	CHECK(mkdtemp(directory));
	fd = open(in_directory("file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, "content", 7) == 7);
	close(fd);
	CHECK(mkfifo(in_directory("fifo"), 0600) == 0);
	CHECK(symlink("file", in_directory("link")) == 0);
}

static void remove_files(void)
{
	static const char *const names[] = { "file", "fifo", "link" };

	for (unsigned int i = 0; i < 3; i++)
		unlink(in_directory(names[i]));
	rmdir(directory);
}

static struct gate gate = { .image = "" };

/* Open @name through the gate as a reference of an image in the directory. */
static int pass(const char *name, bool writable, char **ret_path, struct imgfmt_error *reterr)
{
	struct imgfmt_reference reference;
	struct imgfmt_gate opener;
	char referrer[128];
	int fd = -1, r;

	snprintf(referrer, sizeof(referrer), "%s", in_directory("overlay"));
	reference = reference_to(name, referrer);
	reference.writable = writable;
	if (strcmp(gate.image, "overlay") == 0)
		gate.image = referrer;
	opener = gate_make(&gate);
	r = opener.open(opener.userdata, &reference, &fd, ret_path, reterr);
	CHECK(r == 0 ? fd >= 0 : fd == -1);
	return r < 0 ? r : fd;
}

static void test_opening(void)
{
	struct imgfmt_error why;
	char *path, text[8] = "";
	int fd;

	fd = pass("file", false, &path, &why);
	CHECK(fd >= 0);
	CHECK(strcmp(path, in_directory("file")) == 0);
	CHECK(pread(fd, text, 7, 0) == 7 && strcmp(text, "content") == 0);
	CHECK_EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	free(path);

	fd = pass("link", true, &path, &why);
	CHECK(fd >= 0);
	CHECK(strcmp(path, in_directory("link")) == 0);
	CHECK_EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	close(fd);
	free(path);
}

static void test_refusing(void)
{
	struct imgfmt_error why;
	char *path = NULL;

	alarm(30); /* for the FIFO, should it be waited for */
	CHECK_EQUAL(pass("fifo", false, &path, &why), -EACCES);
	CHECK(strstr(why.text, "neither a regular file nor a block device"));
	CHECK(strstr(why.text, in_directory("fifo")));
	CHECK_EQUAL(pass(".", false, &path, &why), -EISDIR);
	CHECK_EQUAL(pass("/dev/null", false, &path, &why), -EACCES);
	CHECK_EQUAL(pass("/proc/self/maps", false, &path, &why), -ENOTSUP);
	CHECK(strstr(why.text, "file system of the kernel's own"));
	CHECK_EQUAL(pass("nothing", false, &path, &why), -ENOENT);
	CHECK(strstr(why.text, "No such file"));
	CHECK_EQUAL(pass("json:{}", false, &path, &why), -EACCES);
	CHECK(!path);
}

/*
 * What the user puts in the place of a reference is for the image that he names, and for no other.
 */
static void test_replacing(void)
{
	char *path = NULL, other[128];
	struct imgfmt_error why;
	int fd;

	snprintf(other, sizeof(other), "%s", in_directory("file"));
	gate = (struct gate){ .image = "overlay", .backing = other };
	fd = pass("nothing", false, &path, &why);
	CHECK(fd >= 0 && strcmp(path, other) == 0);
	close(fd);
	free(path);
	path = NULL;
	gate = (struct gate){ .image = "another", .backing = other };
	CHECK_EQUAL(pass("nothing", false, &path, &why), -ENOENT);
	gate = (struct gate){ .image = "" };
}

static void test_denying(void)
{
	struct imgfmt_error why;
	char *path = NULL;

	gate.references = REFERENCES_DENY;
	CHECK_EQUAL(pass("file", false, &path, &why), -EACCES);
	CHECK(strstr(why.text, "--references=deny"));
	gate.references = REFERENCES_OWNER;
}

/* Root looks with the eyes of the image's owner, and is root again afterwards. */
static void test_owner(void)
{
	struct imgfmt_error why;
	char *path = NULL;
	int fd;

	if (geteuid() != 0)
		return;
	CHECK(chmod(directory, 0755) == 0);
	gate.owners[0] = 65534;
	gate.owner_count = 1;
	CHECK_EQUAL(pass("file", false, &path, &why), -EACCES);
	CHECK(strstr(why.text, "--references=all"));
	CHECK(chmod(in_directory("file"), 0644) == 0);
	fd = pass("file", false, &path, &why);
	CHECK(fd >= 0);
	close(fd);
	free(path);
	path = NULL;
	CHECK_EQUAL(pass("file", true, &path, &why), -EACCES);
	gate.references = REFERENCES_ALL;
	fd = pass("file", true, &path, &why);
	CHECK(fd >= 0);
	close(fd);
	free(path);
	/* the rights are ours again */
	CHECK(chmod(in_directory("file"), 0) == 0);
	fd = open(in_directory("file"), O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	close(fd);
}

int main(void)
{
	pid_t child;
	int status;

	test_names();
	create_files();
	/* in another process, so that this one cleans up however that ends */
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		test_opening();
		test_refusing();
		test_replacing();
		test_denying();
		test_owner();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	remove_files();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
