import assert from 'node:assert/strict';
import { test } from 'node:test';
import { switchableCapabilities } from '../../src/config/capabilities.ts';
import { profiles } from '../../src/config/profiles.ts';
import { environmentLayers, type Layer, resolve } from '../../src/config/resolve.ts';
import { type OptionName, optionNames } from '../../src/config/schema.ts';
import { MloError } from '../../src/errors.ts';
import { capabilityNames } from '../../src/fuse/index.ts';

function layer(origin: string, ...options: [name: string, value: string][]): Layer {
  return { origin, options: options.map(([name, value]) => ({ name, value })) };
}

function refusal(...layers: Layer[]): MloError {
  try {
    resolve(layers);
  } catch (error) {
    assert.ok(error instanceof MloError);
    return error;
  }
  return assert.fail('not refused');
}

test('defaults: what is said of each option without any layer', () => {
  const { settings, origins } = resolve([]);
  assert.deepEqual(settings.cache, { kind: 'auto' });
  assert.equal(settings['attr-ttl'], 'auto');
  assert.equal(settings.readahead, 2 ** 20);
  assert.equal(settings['chunk-size'], 'auto');
  assert.equal(settings.ro, false);
  assert.deepEqual(settings.disable, []);
  for (const name of optionNames) assert.equal(origins[name], 'default');
});

test('the nearer layer wins, and each value knows where it came from', () => {
  const order = ['command line', '-o', 'environment', 'entry', 'defaults'];
  for (let first = 0; first < order.length; first++) {
    const layers = order.slice(first).map((origin, at) => layer(origin, ['attr-ttl', String(first + at)]));
    const { settings, origins } = resolve([...layers]);
    assert.equal(settings['attr-ttl'], first * 1000);
    assert.equal(origins['attr-ttl'], order[first]);
  }
});

test('a profile is weaker than everything said and stronger than the defaults', () => {
  const plain = resolve([layer('-o', ['profile', 'plain'])]);
  assert.deepEqual(plain.settings.cache, { kind: 'none' });
  assert.equal(plain.origins.cache, 'profile plain');
  const mixed = resolve([layer('-o', ['profile', 'plain']), layer('entry', ['attr-ttl', '9'])]);
  assert.equal(mixed.settings['attr-ttl'], 9000);
  assert.equal(mixed.settings['negative-ttl'], 0);
});

test('what a profile sets is something else than the default, and says why', () => {
  const { texts } = resolve([]);
  for (const [name, { sets }] of Object.entries(profiles)) {
    const { origins } = resolve([layer('-o', ['profile', name])]);
    for (const [option, { value, why }] of Object.entries(sets)) {
      assert.equal(origins[option as OptionName], `profile ${name}`);
      assert.notEqual(value, texts[option as OptionName], `${name}: ${option}`);
      assert.ok(why.length > 0 && !why.includes('\n'));
    }
  }
  const training = resolve([layer('-o', ['ro', 'off'], ['profile', 'training'])]);
  assert.deepEqual([training.settings.ro, training.settings['attr-ttl']], [false, 300_000]);
});

test('every profile is valid', () => {
  for (const name of Object.keys(profiles)) assert.doesNotThrow(() => resolve([layer('-o', ['profile', name])]), name);
});

test('within a layer the last wins, and repeatable options add up', () => {
  const { settings } = resolve([
    layer('-o', ['attr-ttl', '1'], ['attr-ttl', '2'], ['disable', 'passthrough'], ['disable', 'keep-cache']),
    layer('environment', ['disable', 'resend']),
  ]);
  assert.equal(settings['attr-ttl'], 2000);
  assert.deepEqual(settings.disable, ['passthrough', 'keep-cache']);
});

test('underscores are as good as hyphens', () => {
  assert.equal(resolve([layer('-o', ['attr_ttl', '3'])]).settings['attr-ttl'], 3000);
});

test('caches: tiers on disk, with and without a size, and in memory; none, auto', () => {
  const said = (texts: string[]) => layer('-o', ...texts.map((text): [string, string] => ['cache', text]));
  const caches = (...texts: string[]) => resolve([said(texts)]).settings.cache;
  const on = (directory: string, sizeBytes?: number) => ({ kind: 'directory' as const, directory, sizeBytes });
  assert.deepEqual(caches('/nvme/x:500G'), { kind: 'tiers', tiers: [on('/nvme/x', 500 * 2 ** 30)] });
  assert.deepEqual(caches('/nvme/x'), { kind: 'tiers', tiers: [on('/nvme/x')] });
  assert.deepEqual(caches('/a:b/c'), { kind: 'tiers', tiers: [on('/a:b/c')] });
  assert.deepEqual(caches('mem:2G', '/nvme/x', '/disk:1T'), {
    kind: 'tiers',
    tiers: [{ kind: 'memory', sizeBytes: 2 * 2 ** 30 }, on('/nvme/x'), on('/disk', 2 ** 40)],
  });
  assert.deepEqual(caches('none'), { kind: 'none' });
  const wrong = (...texts: string[]) => refusal(said(texts)).toString();
  assert.match(wrong('/nvme/x', 'none'), /^MLO_OPTION: cache cannot be ".*" \(from -o\): takes none alone/);
  assert.match(wrong('mem'), /mem:SIZE: how much memory/);
  assert.match(wrong('mem:much'), /takes a size/);
});

test('an option that does not exist: the nearest one, and where it was said', () => {
  const error = refusal(layer('-o', ['atr-ttl', '3']));
  assert.match(error.toString(), /^MLO_OPTION: .*"atr-ttl" \(from -o\): did you mean "attr-ttl"\?$/);
  assert.match(
    refusal(layer('/etc/x.yaml, mounts[0]', ['chace', 'none'])).toString(),
    /mounts\[0\]\): did you mean "cache"/,
  );
});

test('a value that cannot be: what can, and where it was said', () => {
  assert.match(
    refusal(layer('-o', ['transport', 'kernal'])).toString(),
    /"kernal" \(from -o\): did you mean "kernel"\?/,
  );
  assert.match(refusal(layer('-o', ['disable', 'passthru'])).toString(), /did you mean "passthrough"\?/);
  assert.match(refusal(layer('-o', ['chunk-size', '1K'])).toString(), /takes SIZE\|auto/);
  assert.match(refusal(layer('-o', ['source-user', 'root'])).toString(), /takes .*UID:GID/);
  assert.match(refusal(...environmentLayers({ MLO_ATTR_TTL: 'x' })).toString(), /environment \(MLO_ATTR_TTL\)/);
});

test('what is planned and not there says so', () => {
  const error = refusal(layer('-o', ['learn', '']));
  assert.equal(error.code, 'MLO_NOT_BUILT');
  assert.match(error.message, /not built yet/);
  assert.equal(resolve([layer('-o', ['learn', 'off'])]).settings.learn, false);
});

test('prefetching: on unless said, with limits of the store in bytes and requests', () => {
  const { settings } = resolve([layer('-o', ['store-limit', '100MB'], ['store-request-limit', '500'])]);
  assert.deepEqual([settings.prefetch, settings.bulk], [true, 'auto']);
  assert.deepEqual([settings['store-limit'], settings['store-request-limit']], [100_000_000, 500]);
  assert.equal(settings['prefetch-workers'], 'auto');
  assert.equal(resolve([layer('-o', ['prefetch-workers', '8'])]).settings['prefetch-workers'], 8);
  for (const wrong of ['0', '1.5', '9999', 'many'])
    assert.match(refusal(layer('-o', ['prefetch-workers', wrong])).toString(), /takes N\|auto/);
  assert.equal(resolve([layer('-o', ['store-limit', 'off'])]).settings['store-limit'], 0);
  assert.match(refusal(layer('-o', ['store-limit', '1K'])).toString(), /off or a size of at least 64K/);
  assert.match(refusal(layer('-o', ['store-request-limit', '0'])).toString(), /a number of at least 1/);
});

test('the environment: one variable an option, commas between several values', () => {
  const { settings, origins } = resolve(
    environmentLayers({ MLO_DISABLE: 'passthrough,resend', MLO_RO: '', MLO_OTHER: 'x' }),
  );
  assert.deepEqual(settings.disable, ['passthrough', 'resend']);
  assert.equal(settings.ro, true);
  assert.equal(origins.ro, 'environment (MLO_RO)');
});

test('disable names exactly the capabilities of the session, and keep-cache', () => {
  assert.deepEqual(
    [...switchableCapabilities].sort(),
    [...capabilityNames, 'io-uring', 'keep-cache', 'push-pages'].sort(),
  );
});
