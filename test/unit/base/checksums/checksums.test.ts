import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type CrcName,
  combineFullObject,
  compositeChecksum,
} from '../../../../src/base/checksums/combine.ts';
import {
  checksumOf,
  createHasher,
  type DigestName,
  parseDigest,
} from '../../../../src/base/checksums/hasher.ts';

const NAMES: DigestName[] = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256', 'MD5'];

test('every digest gives its published check value for "123456789"', () => {
  const expected: Record<DigestName, string> = {
    CRC32: 'cbf43926',
    CRC32C: 'e3069283',
    CRC64NVME: 'ae8b14860a799888',
    SHA1: 'f7c3bc1d808e04732adf679965ccc34ca7ae3441',
    SHA256: '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
    MD5: '25f9e794323b453885f5181f1b624d0b',
  };
  for (const name of NAMES) {
    const hex = Buffer.from(checksumOf(name, Buffer.from('123456789')), 'base64').toString('hex');
    assert.equal(hex, expected[name], name);
  }
});

test('CRC32 of nothing is AAAAAA==, CRC64NVME of nothing is AAAAAAAAAAA=', () => {
  assert.equal(checksumOf('CRC32', Buffer.alloc(0)), 'AAAAAA==');
  assert.equal(checksumOf('CRC64NVME', Buffer.alloc(0)), 'AAAAAAAAAAA=');
});

test('bytes in any slices, of several streams at once, give the digest of the whole', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...NAMES),
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 }),
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 }),
      (name, left, right) => {
        const a = createHasher(name);
        const b = createHasher(name);
        for (let i = 0; i < Math.max(left.length, right.length); i++) {
          if (left[i]) a.update(Buffer.from(left[i]!));
          if (right[i]) b.update(Buffer.from(right[i]!));
        }
        assert.equal(a.digest().toString('base64'), checksumOf(name, Buffer.concat(left)));
        assert.equal(b.digest().toString('base64'), checksumOf(name, Buffer.concat(right)));
      },
    ),
  );
});

test('a full-object checksum combined from parts equals the one computed over the bytes', () => {
  fc.assert(
    fc.property(
      fc.constantFrom<CrcName>('CRC32', 'CRC32C', 'CRC64NVME'),
      fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 8 }),
      (name, parts) => {
        const sums = parts.map((part) => ({
          checksum: checksumOf(name, Buffer.from(part)),
          size: part.length,
        }));
        assert.equal(combineFullObject(name, sums), checksumOf(name, Buffer.concat(parts)));
      },
    ),
  );
});

test('part sizes beyond 4 GiB combine: zeros of 5 GiB, split in two ways, agree', () => {
  for (const name of ['CRC32', 'CRC32C', 'CRC64NVME'] as const) {
    const mib = checksumOf(name, Buffer.alloc(1 << 20));
    const gib = combineFullObject(name, Array(1024).fill({ checksum: mib, size: 1 << 20 }));
    const five = {
      checksum: combineFullObject(name, Array(5).fill({ checksum: gib, size: 2 ** 30 })),
      size: 5 * 2 ** 30,
    };
    const tenAtOnce = combineFullObject(name, [five, five]);
    assert.equal(tenAtOnce, combineFullObject(name, Array(10).fill({ checksum: gib, size: 2 ** 30 })));
  }
});

test('a composite checksum is the digest of the part digests and their number', () => {
  const parts = [Buffer.from('a'), Buffer.from('b')].map((part) => checksumOf('SHA256', part));
  const raw = Buffer.concat(parts.map((part) => Buffer.from(part, 'base64')));
  assert.equal(compositeChecksum('SHA256', parts), `${checksumOf('SHA256', raw)}-2`);
  assert.throws(() => compositeChecksum('CRC32', parts), TypeError);
});

test('a digest is parsed only when it is base64 of the right length', () => {
  assert.equal(parseDigest('CRC32', 'AAAAAA==')?.length, 4);
  for (const bad of ['', 'AAAA', 'AAAAAA=', 'AAAAAAAA', ' AAAAAA==', 'AAAAA!==', '*'.repeat(100)]) {
    assert.equal(parseDigest('CRC32', bad), null, bad);
  }
});
