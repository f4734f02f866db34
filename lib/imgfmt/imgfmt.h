/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * imgfmt: disk images of several formats, read and written as the raw disks they hold.
 *
 * An image is opened from a file descriptor; the library opens no path, prints nothing and
 * never ends the process. Files that an image refers to (its backing file) are opened by the
 * caller's gate, and not at all where there is no gate.
 *
 * Offsets and lengths are in bytes of the guest's disk ("guest_offset") and need no alignment.
 * Unless it says otherwise, a function returns 0 or a negative errno: -EIO the host failed,
 * -EUCLEAN the image contradicts itself, -ENOTSUP the image or the format cannot do it,
 * -EROFS the image is open for reading only, or was found to be corrupt, -EINVAL the caller's
 * mistake, -EPERM a write that would change what the image is taken for, -ENOMEM, -ENOSPC and what
 * else the host said.
 *
 * All functions that take an open image may be called from many threads at once, except
 * imgfmt_close(). They may block for the host's I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct imgfmt_image;

/* Why imgfmt_open() failed, in words for the user: one line without a full stop or a newline. */
struct imgfmt_error {
	char text[512];
};

/*
 * Fill @error (which may be NULL) with a message, and return @r, so that one can return the call.
 */
int imgfmt_error_set(struct imgfmt_error *error, int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- files that an image refers to ---- */

enum imgfmt_reference_kind {
	IMGFMT_BACKING_FILE,
	IMGFMT_DATA_FILE,
};

struct imgfmt_reference {
	enum imgfmt_reference_kind kind;
	const char *name;     /* as the image spells it; relative to the referrer's directory. NULL
				 where it does not name the data file that it needs */
	const char *format;   /* what the image says of its format, or NULL */
	const char *referrer; /* the path of the image that names it, as given to us */
	bool writable;        /* it must be opened for writing */
};

/*
 * Decides whether an image may refer to a file, and opens it. Sets *ret_fd to a descriptor and
 * *ret_path to its path (malloc'ed; used for messages and for the references it has in turn),
 * both of which become the library's. Returns -EACCES where it refuses.
 */
struct imgfmt_gate {
	int (*open)(void *userdata, const struct imgfmt_reference *reference, int *ret_fd,
		    char **ret_path, struct imgfmt_error *reterr);
	void *userdata;
};

/* ---- opening and closing ---- */

struct imgfmt_open_options {
	const char *path;   /* for messages and references; never opened */
	const char *format; /* a driver's name, or NULL to detect it */
	const char
		*snapshot; /* show an internal snapshot, by id or name; needs read_only. Or NULL */
	const char *passphrase; /* of an encrypted image, or NULL */
	/*
	 * the gate puts another file in the place of the backing file, of this format or to detect
	 */
	bool replace_backing;
	const char *backing_format;
	bool read_only;
	bool describe_only; /* no content is wanted: encrypted images can be opened without more */
	bool keep_space;    /* do not give freed host space back (--discard=off) */
	size_t cache_size;  /* bytes of tables kept in memory; 0 for the default of 32 MiB */
	const struct imgfmt_gate *gate; /* NULL refuses every reference */
	/*
	 * Told of what the user should know though no call fails for it; may be NULL. While the
	 * image is open it may be called from any thread that uses the image.
	 */
	void (*warn)(void *userdata, const char *message);
	void *userdata;
};

/*
 * How many backing files an image may have, one below the other. Each costs a descriptor and a step
 * for every read.
 */
#define IMGFMT_MAX_DEPTH 64

/*
 * Open the image behind @fd, and its whole backing chain. Takes QEMU's image locks on every file
 * before it reads it (-EBUSY where another process has it). @fd must be open for reading, and for
 * writing too unless options->read_only; it becomes the library's, also when this fails.
 *
 * On failure *ret is untouched and *reterr says why. -EROFS: it can only be opened read_only.
 * -EUCLEAN: it must be repaired first, or opened read_only.
 */
int imgfmt_open(int fd, const struct imgfmt_open_options *options, struct imgfmt_image **ret,
		struct imgfmt_error *reterr);

/*
 * Make everything durable, release all locks and free @image, which is gone also when this
 * fails. No other call on @image may be under way. NULL is allowed. Returns the first error met:
 * then the image lacks something that was written to it.
 */
int imgfmt_close(struct imgfmt_image *image);

/* Locks of image files, QEMU's and the library's own, are on bytes before this one. */
#define IMGFMT_LOCKS_END 4096

/*
 * Does somebody else have the image in @fd open for writing, as QEMU's locks tell? Returns 1, 0, or
 * -errno where there are no such locks.
 */
int imgfmt_is_being_written(int fd);

/* ---- the disk ---- */

/* The size of the disk in bytes. Changes only with imgfmt_truncate(). */
uint64_t imgfmt_size(const struct imgfmt_image *image);

bool imgfmt_is_read_only(const struct imgfmt_image *image);

/* How many bytes there are at the start of the disk that a write can be refused for with -EPERM. */
uint64_t imgfmt_guarded(const struct imgfmt_image *image);

/* Read @count bytes at @guest_offset; -EINVAL unless the range lies inside the disk. */
int imgfmt_read(struct imgfmt_image *image, void *buffer, size_t count, uint64_t guest_offset);

/*
 * Write @count bytes at @guest_offset; -EINVAL unless the range lies inside the disk. What was
 * written is seen by reads at once, survives the end of the process after imgfmt_writeback()
 * and a power cut after imgfmt_flush(). After an error any part may have been written.
 *
 * An image whose format was detected as raw refuses with -EPERM what would make it be detected
 * as another format the next time.
 */
int imgfmt_write(struct imgfmt_image *image, const void *buffer, size_t count,
		 uint64_t guest_offset);

enum imgfmt_zero_mode {
	IMGFMT_ZERO_KEEP,    /* keep the space, where that is cheap */
	IMGFMT_ZERO_DISCARD, /* give the space back as far as possible */
};

/*
 * Make every byte of a range read as zero, however it lies. -EINVAL unless it lies inside the
 * disk.
 */
int imgfmt_zero(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		enum imgfmt_zero_mode mode);

/*
 * The same for as much of the range, from its start on, as takes bounded time: *ret_length says how
 * much that was, at least one byte unless @length is 0. Who wants all of it calls again.
 */
int imgfmt_zero_some(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		     enum imgfmt_zero_mode mode, uint64_t *ret_length);

/* Hand everything to the host's kernel, so that it survives the death of the process. */
int imgfmt_writeback(struct imgfmt_image *image);

/*
 * Make durable whatever was written before the call. Once this has failed because the host could
 * not write its cache back, it fails for ever: what was lost does not come back.
 */
int imgfmt_flush(struct imgfmt_image *image);

/* The bytes that the image's own files take on the host now; 0 where the host cannot tell. */
uint64_t imgfmt_allocated(struct imgfmt_image *image);

/*
 * Set the size of the disk; new space reads as zeroes. A format may round the size up (qcow2: to
 * 512 bytes), see imgfmt_size() afterwards. Waits for all other requests.
 */
int imgfmt_truncate(struct imgfmt_image *image, uint64_t size);

/*
 * Where the holes are: sets *ret_data to whether the byte at @guest_offset is stored (anywhere in
 * the chain), and *ret_length to how many bytes from there on, at least one and at most @length,
 * are like it; what follows may be so too. What is not data reads as zeroes; data may do so too.
 * -EINVAL unless the range is not empty and lies inside the disk.
 */
int imgfmt_status(struct imgfmt_image *image, uint64_t guest_offset, uint64_t length,
		  bool *ret_data, uint64_t *ret_length);

enum imgfmt_wanted { IMGFMT_DATA, IMGFMT_HOLE };

/*
 * Find the first byte from @guest_offset on that is data, or a hole, as imgfmt_status() tells them.
 * There is a hole where the disk ends. -ENXIO: @guest_offset is there or behind it, or there is no
 * data any more.
 *
 * It takes bounded time. A disk whose tables are so long that this does not suffice has data where
 * the search for data ended, and no hole behind where the search for one did.
 */
int imgfmt_seek(struct imgfmt_image *image, uint64_t guest_offset, enum imgfmt_wanted wanted,
		uint64_t *ret_offset);

/* ---- what an image is ---- */

struct imgfmt_feature {
	char name[32]; /* the words that qemu-img info uses: "compat", "refcount bits" */
	char value[64];
};

struct imgfmt_info {
	const char *format;    /* the driver's name */
	const char *path;      /* as given when opened */
	bool detected;         /* the format was not stated by anybody */
	uint64_t size;         /* of the disk, in bytes */
	uint64_t allocated;    /* what this image's own files take on the host, in bytes */
	uint64_t host_size;    /* where the image file ends */
	uint64_t cluster_size; /* bytes the format allocates at once; 0 where it has no such unit */
	unsigned int feature_count;
	struct imgfmt_feature features[16];
	const char *backing_name;   /* as the image spells it, or NULL */
	const char *backing_format; /* as the image says, or NULL */
	bool has_data_file;         /* guest data lies in a file of its own */
	const char *data_file_name; /* as the image spells it, or NULL */
	const char *encryption;     /* "aes", "luks", or NULL */
	bool dirty;                 /* it was not closed properly, and must be repaired first */
};

/* Describe @image itself. The strings live as long as it is open. */
void imgfmt_get_info(struct imgfmt_image *image, struct imgfmt_info *ret);

/* An internal snapshot. The strings are cut if they are longer. */
struct imgfmt_snapshot {
	char id[64];
	char name[256];
	uint64_t size;          /* of the disk when it was taken, in bytes */
	uint64_t vm_state_size; /* of the machine's state saved with it, in bytes */
	int64_t seconds;        /* since 1970 */
};

/* The @index-th internal snapshot. -ENOENT: there are fewer. -EUCLEAN: the table is damaged. */
int imgfmt_get_snapshot(struct imgfmt_image *image, unsigned int index,
			struct imgfmt_snapshot *ret);

/* The image below @image in the backing chain, or NULL. It belongs to @image. */
struct imgfmt_image *imgfmt_backing(struct imgfmt_image *image);

/* The names of the formats that can be opened, in turn; NULL after the last. */
const char *imgfmt_format_name(unsigned int index);

/* The description of the same format, for --help. */
const char *imgfmt_format_description(unsigned int index);
