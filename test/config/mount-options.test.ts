import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kernelFlags, parseMountOptions } from '../../src/config/mount-options.ts';
import { mountFlagNames } from '../../src/fuse/index.ts';

test('names and values are split at commas, and a backslash keeps one', () => {
  const { options } = parseMountOptions(['ro,attr-ttl=3', 'cache=/a\\,b:1G,disable=passthrough,disable=keep-cache']);
  assert.deepEqual(options, [
    { name: 'ro', value: '' },
    { name: 'attr-ttl', value: '3' },
    { name: 'cache', value: '/a,b:1G' },
    { name: 'disable', value: 'passthrough' },
    { name: 'disable', value: 'keep-cache' },
  ]);
});

test('what is for mount(8), systemd and libfuse is taken and means nothing', () => {
  const text =
    'defaults,auto,noauto,nofail,_netdev,x-systemd.automount,comment=a b,nouser,X-mount.mkdir,default_permissions';
  const { options, flags } = parseMountOptions([text]);
  assert.deepEqual(options, []);
  assert.deepEqual([...flags], []);
});

test('flags of mount(2) reach the kernel, and their opposites take them back', () => {
  assert.deepEqual([...parseMountOptions(['noatime,nodev,nosuid,dev']).flags].sort(), ['noatime', 'nosuid']);
  assert.deepEqual([...parseMountOptions(['user']).flags].sort(), ['nodev', 'noexec', 'nosuid']);
  assert.deepEqual([...parseMountOptions(['users,exec']).flags].sort(), ['nodev', 'nosuid']);
});

test('rw is an option of a user, and nothing when mount(8) says it', () => {
  assert.deepEqual(parseMountOptions(['rw,dev,suid']).options, [{ name: 'ro', value: 'off' }]);
  assert.deepEqual(parseMountOptions(['rw,dev,suid'], true).options, []);
  assert.deepEqual(parseMountOptions(['ro,dev,suid'], true).options, [{ name: 'ro', value: '' }]);
});

test('every flag is one that the mount knows', () => {
  assert.deepEqual(
    kernelFlags.filter((flag) => !(mountFlagNames as readonly string[]).includes(flag)),
    [],
  );
});
