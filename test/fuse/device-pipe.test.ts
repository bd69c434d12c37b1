/** Messages whose bytes are pages of a file, with a file in the device's place. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { carriedRequestBytes, DevicePipe } from '../../src/fuse/device-pipe.ts';
import { Errno } from '../../src/sys/errno.ts';
import { addressOf } from '../../src/sys/libc.ts';
import { temporaryDirectory } from '../support/mounts.ts';

const PAGE = 4096;
const head = Buffer.from('the head of it, ');
const headAddress = addressOf(head);

function stage(most = 1 << 20) {
  const directory = temporaryDirectory('pipe');
  const content = Buffer.alloc(300_000, 'bytes of a file ');
  writeFileSync(join(directory, 'file'), content);
  const fd = openSync(join(directory, 'file'), 'r');
  const device = openSync(join(directory, 'device'), 'w');
  const pipe = new DevicePipe(device, most);
  const load = (offset: number, length: number, asked = length) =>
    pipe.load(headAddress, head.length, fd, offset, length, asked);
  const sent = () => readFileSync(join(directory, 'device'));
  const end = () => {
    pipe.discard();
    closeSync(fd);
    closeSync(device);
  };
  return { content, pipe, load, sent, end };
}

describe('a message', () => {
  test('is its head and the bytes of the file, from anywhere in it', () => {
    const { content, pipe, load, sent, end } = stage();
    const parts: Buffer[] = [];
    for (const [offset, length] of [
      [0, 300_000],
      [0, 1],
      [1, 2 * PAGE],
      [PAGE - 1, 100_000],
      [299_999, 1],
    ] as const) {
      assert.equal(load(offset, length), true);
      assert.equal(pipe.loaded, head.length + length);
      assert.equal(pipe.send(), head.length + length);
      assert.equal(pipe.loaded, 0);
      parts.push(head, content.subarray(offset, offset + length));
    }
    assert.ok(sent().equals(Buffer.concat(parts)));
    end();
  });

  test('may be asked for beyond the end of the file, where it ends', () => {
    const { content, pipe, load, sent, end } = stage();
    assert.equal(load(200_000, 100_000, 500_000), true);
    pipe.send();
    assert.ok(sent().equals(Buffer.concat([head, content.subarray(200_000)])));
    end();
  });

  test('is not made of a file that ends elsewhere, and nothing of it is left', () => {
    const { content, pipe, load, sent, end } = stage();
    assert.equal(load(200_000, 90_000, 110_000), false, 'it goes on');
    assert.equal(load(200_000, 110_000), false, 'it ends before');
    assert.equal(load(300_000, 10), false);
    assert.equal(pipe.loaded, 0);
    assert.equal(load(0, 10), true);
    pipe.send();
    assert.ok(sent().equals(Buffer.concat([head, content.subarray(0, 10)])));
    end();
  });

  test('that is discarded, or loaded over, is never sent', () => {
    const { content, pipe, load, sent, end } = stage();
    load(0, 100_000);
    pipe.discard();
    load(0, 200_000);
    load(5, 10);
    pipe.send();
    assert.ok(sent().equals(Buffer.concat([head, content.subarray(5, 15)])));
    end();
  });

  test('that does not fit is refused', () => {
    const { load, end } = stage(100_000);
    assert.equal(load(0, 100_000), true);
    assert.equal(load(0, 300_000), false);
    end();
  });

  test('that the device refuses leaves nothing behind', () => {
    const { content, sent, end } = stage();
    const refusing = new DevicePipe(openSync('/dev/null', 'r'), 1 << 20);
    const fd = openSync('/etc/passwd', 'r');
    assert.equal(refusing.load(headAddress, head.length, fd, 0, 10, 10), true);
    assert.equal(refusing.send(), -Errno.EBADF);
    assert.equal(refusing.loaded, 0);
    assert.equal(sent().length, 0);
    assert.ok(content.length > 0);
    closeSync(fd);
    end();
  });
});

test('requests are so long that a pipe carries them, from wherever they begin', () => {
  const directory = temporaryDirectory('pipe');
  const bytes = carriedRequestBytes(1 << 20);
  assert.ok(bytes >= 1 << 17 && bytes <= 1 << 20 && Number.isInteger(Math.log2(bytes)), `${bytes} bytes`);
  writeFileSync(join(directory, 'file'), Buffer.alloc(bytes + PAGE, 'bytes'));
  const fd = openSync(join(directory, 'file'), 'r');
  const device = openSync(join(directory, 'device'), 'w');
  const pipe = new DevicePipe(device, bytes);
  for (const offset of [0, 1]) {
    assert.ok(pipe.load(headAddress, head.length, fd, offset, bytes, bytes), `from byte ${offset}`);
    assert.equal(pipe.send(), head.length + bytes);
  }
  pipe.discard();
  closeSync(fd);
  closeSync(device);
});

test('its descriptors are closed with it', () => {
  const before = readdirSync('/proc/self/fd').length;
  const { load, end } = stage();
  load(0, 10);
  load(0, 10, 20); // fails, and begins anew
  load(0, 10);
  end();
  assert.equal(readdirSync('/proc/self/fd').length, before);
});
