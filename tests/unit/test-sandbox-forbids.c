/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the sandbox forbids, tried from inside: by the filter of system calls, and by what is left
 * where there is none.
 */
#include "in-sandbox.h"

#include "callfilter.h"

#include <arpa/inet.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static int file; /* an ordinary file, open for reading and writing */

/* ---- with the filter ---- */

static int try_open(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static int try_open_writable(void)
{
	return open("/dev/null", O_WRONLY);
}

static int try_openat2(void)
{
	uint64_t how[3] = { O_RDONLY };

	return (int)syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof(how));
}

static int try_creat(void)
{
	return (int)syscall(SYS_openat, AT_FDCWD, "/tmp/imgfuse-test-sandbox",
			    O_CREAT | O_EXCL | O_WRONLY, 0600);
}

static int try_unlink(void)
{
	return unlink("/tmp/imgfuse-test-sandbox");
}

static int try_stat(void)
{
	struct stat st;

	return stat("/etc/passwd", &st);
}

static int try_memfd(void)
{
	return memfd_create("x", 0);
}

static int try_dup(void)
{
	return dup(file);
}

static int try_dup_by_fcntl(void)
{
	return fcntl(file, F_DUPFD, 10);
}

static int try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int try_unix_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM, 0);
}

static int try_pipe(void)
{
	int pipes[2];

	return pipe(pipes);
}

static int try_exec(void)
{
	char name[] = "/bin/true", *arguments[] = { name, NULL };

	return execv(name, arguments);
}

static int try_execveat(void)
{
	char name[] = "true", *arguments[] = { name, NULL };

	return (int)syscall(SYS_execveat, file, "", arguments, NULL, AT_EMPTY_PATH);
}

static int try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static void *do_nothing(void *userdata)
{
	return userdata;
}

static int try_thread(void)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, do_nothing, NULL);
	return errno ? -1 : 0;
}

static int try_ptrace(void)
{
	return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static int try_process_vm_readv(void)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	return (int)process_vm_readv(getpid(), &iov, 1, &iov, 1, 0);
}

static int try_mount(void)
{
	return mount("none", "/", "tmpfs", MS_REMOUNT, NULL);
}

static int try_umount(void)
{
	return umount2("/nowhere", 0);
}

static int try_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static int try_setns(void)
{
	return setns(file, 0);
}

static int try_chroot(void)
{
	return chroot("/");
}

static int try_setuid(void)
{
	return setuid(0);
}

static int try_kill(void)
{
	return kill(getppid(), 0);
}

static int try_tgkill(void)
{
	return (int)syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static int try_pidfd(void)
{
	return (int)syscall(SYS_pidfd_open, getppid(), 0);
}

static int try_mmap_exec(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED ?
		       -1 :
		       0;
}

static int try_mprotect_exec(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 0;
	return mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int try_ioctl_terminal(void)
{
	char byte = 'x';

	return ioctl(file, TIOCSTI, &byte);
}

static int try_ioctl_flags(void)
{
	int flags = 0;

	return ioctl(file, FS_IOC_SETFLAGS, &flags);
}

static int try_prctl(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int try_setrlimit(void)
{
	return setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
}

static int try_io_uring(void)
{
	return (int)syscall(SYS_io_uring_setup, 1, NULL);
}

static int try_bpf(void)
{
	return (int)syscall(SYS_bpf, 0, NULL, 0);
}

static int try_keyctl(void)
{
	return (int)syscall(SYS_keyctl, 0, 0);
}

static void test_forbidden(void)
{
	static const struct attempt attempts[] = {
		{ "open", try_open, ENOSYS },
		{ "open for writing", try_open_writable, ENOSYS },
		{ "openat2", try_openat2, ENOSYS },
		{ "creat", try_creat, ENOSYS },
		{ "unlink", try_unlink, ENOSYS },
		{ "stat", try_stat, ENOSYS },
		{ "memfd_create", try_memfd, ENOSYS },
		{ "dup", try_dup, ENOSYS },
		{ "fcntl", try_dup_by_fcntl, ENOSYS },
		{ "socket", try_socket, ENOSYS },
		{ "a local socket", try_unix_socket, ENOSYS },
		{ "pipe", try_pipe, ENOSYS },
		{ "fork", try_fork, ENOSYS },
		{ "a thread", try_thread, ENOSYS },
		{ "umount", try_umount, ENOSYS },
		{ "setuid", try_setuid, ENOSYS },
		{ "kill", try_kill, ENOSYS },
		{ "tgkill of another process", try_tgkill, ENOSYS },
		{ "pidfd_open", try_pidfd, ENOSYS },
		{ "mmap of instructions", try_mmap_exec, ENOSYS },
		{ "mprotect to instructions", try_mprotect_exec, ENOSYS },
		{ "ioctl TIOCSTI", try_ioctl_terminal, ENOSYS },
		{ "ioctl FS_IOC_SETFLAGS", try_ioctl_flags, ENOSYS },
		{ "prctl", try_prctl, ENOSYS },
		{ "setrlimit", try_setrlimit, ENOSYS },
		{ "io_uring", try_io_uring, ENOSYS },
		{ "keyctl", try_keyctl, ENOSYS },
		{ "exec", try_exec, -SIGSYS },
		{ "execveat", try_execveat, -SIGSYS },
		{ "ptrace", try_ptrace, -SIGSYS },
		{ "process_vm_readv", try_process_vm_readv, -SIGSYS },
		{ "mount", try_mount, -SIGSYS },
		{ "unshare", try_unshare, -SIGSYS },
		{ "setns", try_setns, -SIGSYS },
		{ "chroot", try_chroot, -SIGSYS },
		{ "bpf", try_bpf, -SIGSYS },
	};

	TRY(SEALED, attempts);
}

/* ---- without the filter ---- */

static int try_connect(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

static int try_bind(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return bind(fd, (struct sockaddr *)&address, sizeof(address));
}

static int try_mkdir(void)
{
	return mkdir("/tmp/imgfuse-test-sandbox", 0700);
}

static int try_remount(void)
{
	return mount("none", "/tmp", NULL, MS_REMOUNT | MS_BIND, NULL);
}

/* What Landlock forbids on its own, which is one of two locks. */
static void test_landlock(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	static const struct attempt files[] = {
		{ "open", try_open, EACCES },
		{ "creat", try_creat, EACCES },
		{ "openat2", try_openat2, EACCES },
		{ "mkdir", try_mkdir, EACCES },
		{ "exec", try_exec, EACCES },
		{ "mount", try_remount, EPERM },
		{ "open for writing", try_open_writable, EACCES },
	};
	static const struct attempt network[] = {
		{ "connect", try_connect, EACCES },
		{ "bind", try_bind, EACCES },
	};
	static const struct attempt signals[] = {
		{ "kill", try_kill, EPERM },
	};

	if (version >= 1)
		TRY(BEGUN, files);
	if (version >= 4)
		TRY(BEGUN, network);
	if (version >= 6)
		TRY(BEGUN, signals);
}

/* No capability of any kind, no way to get one, and nobody who looks at the memory. */
static int check_privileges(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	struct rlimit core;

	CHECK(syscall(SYS_capget, &header, sets) == 0);
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		CHECK_EQUAL(sets[i].effective, 0);
		CHECK_EQUAL(sets[i].permitted, 0);
		CHECK_EQUAL(sets[i].inheritable, 0);
	}
	CHECK_EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK_EQUAL(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	CHECK(getrlimit(RLIMIT_CORE, &core) == 0);
	CHECK_EQUAL(core.rlim_max, 0);
	return 0;
}

static int check_bounding_set(void)
{
	for (unsigned long i = 0; i <= CAP_LAST_CAP; i++)
		CHECK(prctl(PR_CAPBSET_READ, i, 0, 0, 0) <= 0);
	CHECK(setuid(1) < 0 && errno == EPERM);
	return 0;
}

static void test_privileges(void)
{
	CHECK_EQUAL(outcome(BEGUN, check_privileges), 0);
	if (geteuid() == 0)
		CHECK_EQUAL(outcome(BEGUN, check_bounding_set), 0);
}

int main(void)
{
	file = test_disk_file();
	test_privileges();
	test_landlock();
	if (callfilter_count() == 0) {
		puts("no filter of system calls: built without libseccomp");
		return TEST_SKIPPED;
	}
	test_forbidden();
	return 0;
}
