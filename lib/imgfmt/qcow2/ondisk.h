/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a qcow2 file consists of on disk: offsets, masks, feature bits and limits.
 *
 * From the specification (QEMU's docs/interop/qcow2). All numbers are big-endian; structures are
 * read field by field at these offsets, never laid over a buffer. The limits are those that
 * QEMU enforces, so that what we accept it accepts too.
 */
#pragma once

#include <stdint.h>

#define QCOW2_MAGIC UINT32_C(0x514649fb) /* "QFI\xfb" */

/* Offsets of header fields. */
enum {
	QCOW2_AT_MAGIC = 0,
	QCOW2_AT_VERSION = 4,
	QCOW2_AT_BACKING_OFFSET = 8,
	QCOW2_AT_BACKING_LENGTH = 16,
	QCOW2_AT_CLUSTER_BITS = 20,
	QCOW2_AT_SIZE = 24,
	QCOW2_AT_CRYPT_METHOD = 32,
	QCOW2_AT_L1_SIZE = 36, /* entries; with the next field one write of 12 bytes */
	QCOW2_AT_L1_OFFSET = 40,
	QCOW2_AT_REFTABLE_OFFSET = 48, /* with the next field one write of 12 bytes */
	QCOW2_AT_REFTABLE_CLUSTERS = 56,
	QCOW2_AT_SNAPSHOT_COUNT = 60,
	QCOW2_AT_SNAPSHOTS_OFFSET = 64,
	QCOW2_HEADER_LENGTH_V2 = 72,
	/* version 3 */
	QCOW2_AT_INCOMPATIBLE = 72,
	QCOW2_AT_COMPATIBLE = 80,
	QCOW2_AT_AUTOCLEAR = 88,
	QCOW2_AT_REFCOUNT_ORDER = 96,
	QCOW2_AT_HEADER_LENGTH = 100,
	QCOW2_HEADER_LENGTH_V3 = 104,
	/* only where header_length goes beyond 104 */
	QCOW2_AT_COMPRESSION_TYPE = 104,
};

enum {
	QCOW2_CRYPT_NONE = 0,
	QCOW2_CRYPT_AES = 1,
	QCOW2_CRYPT_LUKS = 2,
};

enum {
	QCOW2_COMPRESSION_DEFLATE = 0,
	QCOW2_COMPRESSION_ZSTD = 1,
};

/* Feature bits. */
#define QCOW2_INCOMPATIBLE_DIRTY       (UINT64_C(1) << 0)
#define QCOW2_INCOMPATIBLE_CORRUPT     (UINT64_C(1) << 1)
#define QCOW2_INCOMPATIBLE_DATA_FILE   (UINT64_C(1) << 2)
#define QCOW2_INCOMPATIBLE_COMPRESSION (UINT64_C(1) << 3)
#define QCOW2_INCOMPATIBLE_EXTENDED_L2 (UINT64_C(1) << 4)
#define QCOW2_INCOMPATIBLE_KNOWN       UINT64_C(0x1f)

#define QCOW2_COMPATIBLE_LAZY_REFCOUNTS (UINT64_C(1) << 0)

#define QCOW2_AUTOCLEAR_BITMAPS  (UINT64_C(1) << 0)
#define QCOW2_AUTOCLEAR_DATA_RAW (UINT64_C(1) << 1)

/* Header extensions. */
#define QCOW2_EXTENSION_END            UINT32_C(0x00000000)
#define QCOW2_EXTENSION_BACKING_FORMAT UINT32_C(0xe2792aca)
#define QCOW2_EXTENSION_FEATURE_NAMES  UINT32_C(0x6803f857)
#define QCOW2_EXTENSION_BITMAPS        UINT32_C(0x23852875)
#define QCOW2_EXTENSION_LUKS           UINT32_C(0x0537be77)
#define QCOW2_EXTENSION_DATA_FILE      UINT32_C(0x44415441)

/* Bits of table entries. */
#define QCOW2_OFFSET_MASK     UINT64_C(0x00fffffffffffe00) /* L1 and L2 entries */
#define QCOW2_REFTABLE_MASK   UINT64_C(0xfffffffffffffe00)
#define QCOW2_FLAG_COPIED     (UINT64_C(1) << 63)
#define QCOW2_FLAG_COMPRESSED (UINT64_C(1) << 62)
#define QCOW2_FLAG_ZERO       (UINT64_C(1) << 0)

/* Limits. */
#define QCOW2_MIN_CLUSTER_BITS     9u
#define QCOW2_MAX_CLUSTER_BITS     21u
#define QCOW2_MAX_REFCOUNT_ORDER   6u
#define QCOW2_MAX_L1_BYTES         (UINT64_C(32) << 20)
#define QCOW2_MAX_REFTABLE_BYTES   (UINT64_C(8) << 20)
#define QCOW2_MAX_BACKING_LENGTH   1023u
#define QCOW2_MAX_SNAPSHOTS        65536u
#define QCOW2_MAX_SNAPSHOT_BYTES   (UINT64_C(64) << 20)
#define QCOW2_MAX_SNAPSHOT_EXTRA   1024u
#define QCOW2_MAX_BITMAPS          65535u
#define QCOW2_MAX_BITMAP_DIRECTORY (UINT64_C(1024) * 65535)
#define QCOW2_MAX_HOST_OFFSET      ((UINT64_C(1) << 56) - 1)
