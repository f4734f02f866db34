/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One image seen as one inode: its size, owner, mode and times, who has it open, and what reads,
 * writes and the rest mean at the end of the disk.
 *
 * The size is always the image's. Owner, mode and times start as the image file's and then live
 * in memory only. All functions may be called from many threads at once and return 0 or -errno
 * unless they say otherwise.
 */
#pragma once

#include "imgfmt.h"
#include "losses.h"
#include "options.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct export_inode {
	struct imgfmt_image *image;
	const char *name;    /* of the image, for messages */
	int host_fd;         /* the image's own file, for statfs */
	uint32_t block_size; /* what statfs and stat call a block: a cluster */
	bool read_only;
	bool growable;         /* writes past the end grow the disk */
	enum cache_mode cache; /* never CACHE_WRITEBACK if read_only */
	uid_t server_uid;      /* whose process serves it */

	/*
	 * The processes beside us; the helper puts the kernel's idea of size and times right, and
	 * what he sets is answered with what is true and changes nothing. And ways to ask him, when
	 * nobody has it open for writing any more, and at once: see export_write_back() and
	 * export_forget(). Not NULL while there are requests.
	 */
	_Atomic pid_t supervisor, helper;
	int outcome_fd;         /* the supervisor's, see outcome.h */
	uint64_t pid_namespace; /* that all of us are in, see identity.h */
	void (*settle)(void *userdata);
	void (*drop_cache)(void *userdata, uint64_t guest_offset, uint64_t end);
	void *userdata;

	pthread_rwlock_t resize; /* shared by who relies on the size, exclusive while it changes */
	atomic_uint writers;     /* handles that are open for writing */
	atomic_bool usable;      /* the first priming is over */
	atomic_bool stopped;     /* no request need be gone on with */
	struct losses losses;    /* cached writes that failed */
	atomic_bool refused;     /* a cached write was, and the kernel may still remember that, */
	atomic_bool oversized;   /* or believe that the disk has grown */

	pthread_mutex_t attributes_lock; /* protects what follows */
	struct stat attributes;          /* mode, owner and times only */
};

/*
 * Describe the export of @image. @image_stat is of the image file, @host_fd a descriptor of it
 * that becomes the export's. @name and @image must outlive the export.
 */
void export_init(struct export_inode *inode, struct imgfmt_image *image, const char *name,
		 const struct options *options, const struct stat *image_stat, int host_fd);

/* Free what export_init() took, but not the image. */
void export_finish(struct export_inode *inode);

void export_get_attributes(struct export_inode *inode, struct stat *ret);

/*
 * Change the attributes that @to_set names (FUSE_SET_ATTR_...). A size of 0 without a handle is
 * what O_TRUNC asks for, and is ignored: a disk does not become empty because somebody opens it.
 * @caller is the process that asks.
 */
int export_set_attributes(struct export_inode *inode, const struct stat *attributes, int to_set,
			  bool has_handle, pid_t caller);

/* Note that a write which the kernel had cached has failed with @error: it is refused, or lost. */
void export_note_failure(struct export_inode *inode, int error);

/*
 * Have the kernel forget what it has cached of a range where a cached write has come to nothing:
 * it would go on showing what the disk does not hold, and write it again with whatever else of
 * the same page is written. To be called after the write was answered, up to when the kernel holds
 * on to the page.
 */
void export_forget(struct export_inode *inode, uint64_t guest_offset, uint64_t length);

/*
 * Count a handle in, and out again; *ret is what is known of it, NULL for one that only reads.
 * Opening for writing fails with -EROFS if that is no use, and with -ENOMEM.
 */
int export_open(struct export_inode *inode, bool writable, struct losses_handle **ret);
void export_release(struct export_inode *inode, struct losses_handle *handle);

/* Read up to @count bytes; *ret_count is less at the end of the disk only. */
int export_read(struct export_inode *inode, void *buffer, size_t count, uint64_t guest_offset,
		size_t *ret_count);

/*
 * Write. Of what lies past the end, an export that is not growable takes nothing: *ret_count is
 * less than @count then, and perhaps 0.
 */
int export_write(struct export_inode *inode, const void *buffer, size_t count,
		 uint64_t guest_offset, size_t *ret_count);

/*
 * Write what the kernel has cached, of several writers perhaps. So where only what one of them has
 * made of the first sector is refused, with -EPERM, the rest is written all the same. If it goes
 * past the end, the kernel's size is put right when nobody writes any more.
 */
int export_write_back(struct export_inode *inode, const void *buffer, size_t count,
		      uint64_t guest_offset, size_t *ret_count);

/*
 * As fallocate(2) does for the modes 0, ZERO_RANGE and PUNCH_HOLE; others are -EOPNOTSUPP. It does
 * what takes bounded time: *ret_done says how much of the range is done with. Who wants all calls
 * again for the rest.
 */
int export_fallocate(struct export_inode *inode, int mode, uint64_t guest_offset, uint64_t length,
		     uint64_t *ret_done);

/* As lseek(2) does for SEEK_DATA and SEEK_HOLE. */
int export_seek(struct export_inode *inode, uint64_t guest_offset, int whence,
		uint64_t *ret_offset);

/* The space of the file system that holds the image, counted in the image's clusters. */
int export_statvfs(struct export_inode *inode, struct statvfs *ret);
