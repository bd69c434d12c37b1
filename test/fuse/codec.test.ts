/** The layouts against what a C compiler makes of include/uapi/linux/fuse.h (7.45): size, and offset of every member. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isExact, readU64, struct, writeU64 } from '../../src/fuse/codec.ts';
import { type Layout, layouts, type StructName } from '../../src/fuse/layouts.ts';

/** sizeof and offsetof, as printed by a program that includes the header. */
const compiled: Record<StructName, string> = {
  in_header: '40 len:0 opcode:4 unique:8 nodeid:16 uid:24 gid:28 pid:32 total_extlen:36 padding:38',
  out_header: '16 len:0 error:4 unique:8',
  attr: '88 ino:0 size:8 blocks:16 atime:24 mtime:32 ctime:40 atimensec:48 mtimensec:52 ctimensec:56 mode:60 nlink:64 uid:68 gid:72 rdev:76 blksize:80 flags:84',
  sx_time: '16 tv_sec:0 tv_nsec:8 __reserved:12',
  statx:
    '256 mask:0 blksize:4 attributes:8 nlink:16 uid:20 gid:24 mode:28 __spare0:30 ino:32 size:40 blocks:48 attributes_mask:56 atime:64 btime:80 ctime:96 mtime:112 rdev_major:128 rdev_minor:132 dev_major:136 dev_minor:140 __spare2:144',
  kstatfs: '80 blocks:0 bfree:8 bavail:16 files:24 ffree:32 bsize:40 namelen:44 frsize:48 padding:52 spare:56',
  entry_out: '128 nodeid:0 generation:8 entry_valid:16 attr_valid:24 entry_valid_nsec:32 attr_valid_nsec:36 attr:40',
  forget_one: '16 nodeid:0 nlookup:8',
  batch_forget_in: '8 count:0 dummy:4',
  getattr_in: '16 getattr_flags:0 dummy:4 fh:8',
  attr_out: '104 attr_valid:0 attr_valid_nsec:8 dummy:12 attr:16',
  statx_in: '24 getattr_flags:0 reserved:4 fh:8 sx_flags:16 sx_mask:20',
  statx_out: '288 attr_valid:0 attr_valid_nsec:8 flags:12 spare:16 stat:32',
  mknod_in: '16 mode:0 rdev:4 umask:8 padding:12',
  mkdir_in: '8 mode:0 umask:4',
  rename2_in: '16 newdir:0 flags:8 padding:12',
  setattr_in:
    '88 valid:0 padding:4 fh:8 size:16 lock_owner:24 atime:32 mtime:40 ctime:48 atimensec:56 mtimensec:60 ctimensec:64 mode:68 unused4:72 uid:76 gid:80 unused5:84',
  open_in: '8 flags:0 open_flags:4',
  create_in: '16 flags:0 mode:4 umask:8 open_flags:12',
  open_out: '16 fh:0 open_flags:8 backing_id:12',
  release_in: '24 fh:0 flags:8 release_flags:12 lock_owner:16',
  flush_in: '24 fh:0 unused:8 padding:12 lock_owner:16',
  read_in: '40 fh:0 offset:8 size:16 read_flags:20 lock_owner:24 flags:32 padding:36',
  write_in: '40 fh:0 offset:8 size:16 write_flags:20 lock_owner:24 flags:32 padding:36',
  write_out: '8 size:0 padding:4',
  fsync_in: '16 fh:0 fsync_flags:8 padding:12',
  setxattr_in: '16 size:0 flags:4 setxattr_flags:8 padding:12',
  getxattr_in: '8 size:0 padding:4',
  getxattr_out: '8 size:0 padding:4',
  access_in: '8 mask:0 padding:4',
  init_in: '64 major:0 minor:4 max_readahead:8 flags:12 flags2:16 unused:20',
  init_out:
    '64 major:0 minor:4 max_readahead:8 flags:12 max_background:16 congestion_threshold:18 max_write:20 time_gran:24 max_pages:28 map_alignment:30 flags2:32 max_stack_depth:36 request_timeout:40 unused:42',
  fallocate_in: '32 fh:0 offset:8 length:16 mode:24 padding:28',
  ioctl_in: '32 fh:0 flags:8 cmd:12 arg:16 in_size:24 out_size:28',
  ioctl_out: '16 result:0 flags:4 in_iovs:8 out_iovs:12',
  lseek_in: '24 fh:0 offset:8 whence:16 padding:20',
  copy_file_range_in: '56 fh_in:0 off_in:8 nodeid_out:16 fh_out:24 off_out:32 len:40 flags:48',
  dirent: '24 ino:0 off:8 namelen:16 type:20',
  direntplus: '152 entry_out:0 dirent:128',
  ext_header: '8 size:0 type:4',
  notify_inval_inode_out: '24 ino:0 off:8 len:16',
  notify_store_out: '24 nodeid:0 offset:8 size:16 padding:20',
  notify_inval_entry_out: '16 parent:0 namelen:8 flags:12',
  backing_map: '16 fd:0 flags:4 padding:8',
  forget_in: '8 nlookup:0',
  rename_in: '8 newdir:0',
  link_in: '8 oldnodeid:0',
  interrupt_in: '8 unique:0',
  lseek_out: '8 offset:0',
  copy_file_range_out: '8 bytes_copied:0',
  supp_groups: '4 nr_groups:0',
};

const names = Object.keys(layouts) as StructName[];

test('every structure has the size and the offsets that the C compiler gives it', () => {
  for (const name of names) {
    const { size, at } = struct(name);
    const ours = [String(size), ...Object.entries(at).map(([member, offset]) => `${member}:${offset}`)].join(' ');
    assert.equal(ours, compiled[name], name);
  }
});

const samples = {
  u16: [0, 1, 0xffff],
  u32: [0, 1, 0xffff_ffff],
  i32: [0, -1, 0x7fff_ffff, -0x8000_0000],
  u64: [0, 1, 0xffff_ffff, 0x1_0000_0000, 0x1_2345_6789, Number.MAX_SAFE_INTEGER],
  i64: [0, 1, -1, -62_135_596_800, 0x1_0000_0000, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
  id64: [0n, 1n, 0xffff_ffff_ffff_ffffn, 0x8000_0000_0000_0001n],
} as const;

test('every member reads what was written to it, and writes nothing else', () => {
  for (const name of names) {
    const s = struct(name);
    const get = s.get as unknown as Record<string, (view: DataView, at: number) => number | bigint>;
    const set = s.set as unknown as Record<string, (view: DataView, at: number, value: number | bigint) => void>;
    const at = 24;
    for (const [member, type] of layouts[name] as Layout) {
      if (!(type in samples)) continue;
      for (const value of samples[type as keyof typeof samples]) {
        const bytes = Buffer.alloc(at + s.size + 8, 0xa5);
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        set[member]!(view, at, value);
        assert.equal(get[member]!(view, at), value, `${name}.${member}`);
        const from = at + (s.at as Record<string, number>)[member]!;
        const width = { u16: 2, u32: 4, i32: 4, u64: 8, i64: 8, id64: 8 }[type as keyof typeof samples];
        assert.ok(
          bytes.subarray(0, from).every((byte) => byte === 0xa5),
          `${name}.${member} wrote before itself`,
        );
        assert.ok(
          bytes.subarray(from + width).every((byte) => byte === 0xa5),
          `${name}.${member} wrote behind itself`,
        );
      }
    }
  }
});

test('numbers of 64 bits that lose some are told apart', () => {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, 0xffff_ffff_ffff_ffffn, true);
  assert.equal(isExact(readU64(view, 0)), false);
  view.setBigUint64(0, 1n << 53n, true);
  assert.equal(isExact(readU64(view, 0)), false);
  writeU64(view, 0, Number.MAX_SAFE_INTEGER);
  assert.equal(view.getBigUint64(0, true), BigInt(Number.MAX_SAFE_INTEGER));
  assert.equal(isExact(readU64(view, 0)), true);
});
