/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of system calls that serving takes, and its way into the kernel.
 *
 * A call is in the table because somebody makes it while requests are served, or while the image is
 * closed after that: us, libfuse, a codec, or the C library in one of these (malloc above all, and
 * what ends a process). Where an argument makes a difference, it is bound.
 */
#include "callfilter.h"

#include "array.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

/* What must hold of one argument; nothing where mask is 0. */
struct condition {
	unsigned int argument;
	uint64_t mask;
	uint64_t value;
};

struct call {
	int number;
	struct condition condition;
};

/* These arguments are of 32 bits, whatever the register holds above them. */
#define EXACTLY(argument, value)                        \
	{                                               \
		argument, UINT32_MAX, (uint32_t)(value) \
	}
#define WITHOUT(argument, bits)   \
	{                         \
		argument, bits, 0 \
	}

/* The most frequent first, which is how the filter asks for them. */
static const struct call allowed[] = {
	/* requests, and the image's files */
	{ SCMP_SYS(read), { 0 } },
	{ SCMP_SYS(writev), { 0 } },
	{ SCMP_SYS(pread64), { 0 } },
	{ SCMP_SYS(pwrite64), { 0 } },
	{ SCMP_SYS(pwritev), { 0 } },
	{ SCMP_SYS(preadv), { 0 } },
	{ SCMP_SYS(futex), { 0 } },
	{ SCMP_SYS(fstat), { 0 } },
	{ SCMP_SYS(newfstatat), EXACTLY(3, AT_EMPTY_PATH) }, /* as fstat(3) of some C libraries */
	{ SCMP_SYS(lseek), { 0 } },
	{ SCMP_SYS(fallocate), { 0 } },
	{ SCMP_SYS(ftruncate), { 0 } },
	{ SCMP_SYS(fdatasync), { 0 } },
	{ SCMP_SYS(fstatfs), { 0 } },
	{ SCMP_SYS(ioctl), EXACTLY(1, BLKGETSIZE64) },
	{ SCMP_SYS(ioctl), EXACTLY(1, BLKDISCARD) },
	{ SCMP_SYS(close), { 0 } },
	/* memory, none of which ever holds instructions */
	{ SCMP_SYS(mmap), WITHOUT(2, PROT_EXEC) },
	{ SCMP_SYS(munmap), { 0 } },
	{ SCMP_SYS(mprotect), WITHOUT(2, PROT_EXEC) },
	{ SCMP_SYS(mremap), { 0 } },
	{ SCMP_SYS(madvise), { 0 } },
	{ SCMP_SYS(brk), { 0 } },
	/* events, messages and time */
	{ SCMP_SYS(write), { 0 } },
	{ SCMP_SYS(sendto), WITHOUT(4, UINT64_MAX) }, /* an address */
	{ SCMP_SYS(recvfrom), WITHOUT(4, UINT64_MAX) },
	{ SCMP_SYS(poll), { 0 } },
	{ SCMP_SYS(ppoll), { 0 } },
	{ SCMP_SYS(clock_gettime), { 0 } },
	{ SCMP_SYS(restart_syscall), { 0 } },
	/* threads: waking and ending them; how many share the memory, and how much there is */
	{ SCMP_SYS(rt_sigprocmask), { 0 } },
	{ SCMP_SYS(rt_sigreturn), { 0 } },
	{ SCMP_SYS(sched_getaffinity), { 0 } },
	{ SCMP_SYS(sysinfo), { 0 } }, /* of qsort(3) */
	{ SCMP_SYS(getpid), { 0 } },
	{ SCMP_SYS(gettid), { 0 } },
	{ SCMP_SYS(exit), { 0 } },
	{ SCMP_SYS(exit_group), { 0 } },
};

/* What no part of the process, and no library in it, has a use for, whatever goes wrong. */
static const int deadly[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(mount),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(setns),
	SCMP_SYS(unshare),
	SCMP_SYS(bpf),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(kexec_load),
};

/* Numbers below 0 stand for calls that this machine does not have. */
static bool exists(int number)
{
	return number >= 0;
}

static int allow(scmp_filter_ctx filter, const struct call *call)
{
	const struct condition *condition = &call->condition;
	struct scmp_arg_cmp comparison = {
		.arg = condition->argument,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = condition->mask,
		.datum_b = condition->value,
	};

	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call->number, condition->mask ? 1 : 0,
				      &comparison);
}

static int add_rules(scmp_filter_ctx filter)
{
	const struct call signal_self = { SCMP_SYS(tgkill), EXACTLY(0, getpid()) };
	unsigned int priority = ARRAY_LENGTH(allowed);
	int r;

	r = allow(filter, &signal_self);
	for (size_t i = 0; r == 0 && i < ARRAY_LENGTH(allowed); i++, priority--) {
		if (!exists(allowed[i].number))
			continue;
		r = allow(filter, &allowed[i]);
		if (r == 0)
			r = seccomp_syscall_priority(filter, allowed[i].number, (uint8_t)priority);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_LENGTH(deadly); i++)
		if (exists(deadly[i]))
			r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
	return r;
}

int callfilter_load(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r;

	if (!filter)
		return -ENOMEM;
	r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* where the kernel can: a line in its log for each refusal */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	/* and no slower processor for the sake of code of others, which there is none of */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	(void)seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
	if (r == 0)
		r = add_rules(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

unsigned int callfilter_count(void)
{
	unsigned int count = exists(SCMP_SYS(tgkill));

	for (size_t i = 0; i < ARRAY_LENGTH(allowed); i++)
		if (exists(allowed[i].number) &&
		    (i == 0 || allowed[i].number != allowed[i - 1].number))
			count++;
	return count;
}
