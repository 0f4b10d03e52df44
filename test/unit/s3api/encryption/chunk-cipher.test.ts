/** The form of encrypted bytes: every range of every length comes back, and nothing that was changed is handed on. */
import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../../../src/base/limits.ts';
import {
  CiphertextRefused,
  decrypted,
  encrypted,
  PLAIN_CHUNK_BYTES,
  type PlainSegment,
  storedBytesOf,
  storedRangeOf,
} from '../../../../src/s3api/encryption/chunk-cipher.ts';

const CHUNK = LIMITS.chunkBytes;
const key = createSecretKey(randomBytes(32));
const PLAIN = randomBytes(3 * PLAIN_CHUNK_BYTES + 1_000);

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
async function gather(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of source) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}
const store = (plain: Buffer, part = 0, piece = 60_000): Promise<Buffer> =>
  gather(encrypted(key, part, plain.length, pieces(plain, piece)));
/** Reads segments, each from its stored bytes, in pieces that do not care about chunks. */
const load = (of: readonly { stored: Buffer; segment: PlainSegment }[], piece = CHUNK): Promise<Buffer> =>
  gather(
    decrypted(
      key,
      of.map(({ segment }) => segment),
      pieces(
        Buffer.concat(
          of.map(({ stored, segment }) => {
            const { from, to } = storedRangeOf(segment);
            return stored.subarray(from, to + 1);
          }),
        ),
        piece,
      ),
    ),
  );
const all = (plainBytes: number, part = 0): PlainSegment => ({
  part,
  plainBytes,
  from: 0,
  to: plainBytes - 1,
});

describe('encrypted chunks', () => {
  it('come back, whatever the length and the pieces', async () => {
    const lengths = [
      1,
      13,
      1_000,
      PLAIN_CHUNK_BYTES - 1,
      PLAIN_CHUNK_BYTES,
      PLAIN_CHUNK_BYTES + 1,
      PLAIN.length,
    ];
    for (const length of lengths) {
      const plain = PLAIN.subarray(0, length);
      for (const piece of [7_919, 65_536, length]) {
        const stored = await store(plain, 0, piece);
        assert.equal(stored.length, storedBytesOf(length));
        const back = await load([{ stored, segment: all(length) }], piece);
        assert.ok(back.equals(plain), `${length} bytes in pieces of ${piece}`);
      }
    }
  });

  it('hold nothing of the plain bytes, and are never twice the same', async () => {
    const plain = Buffer.alloc(PLAIN_CHUNK_BYTES + 50, 'plain text ');
    const [first, second] = [await store(plain), await store(plain)];
    assert.equal(first.indexOf('plain text'), -1);
    assert.ok(!first.equals(second));
  });

  it('give every range from its own chunks alone', async () => {
    const stored = await store(PLAIN);
    await fc.assert(
      fc.asyncProperty(fc.nat(PLAIN.length - 1), fc.nat(PLAIN.length - 1), async (a, b) => {
        const segment = { ...all(PLAIN.length), from: Math.min(a, b), to: Math.max(a, b) };
        const back = await load([{ stored, segment }], 100_003);
        assert.ok(back.equals(PLAIN.subarray(segment.from, segment.to + 1)));
      }),
      { numRuns: 40 },
    );
    assert.deepEqual(
      storedRangeOf({ ...all(PLAIN.length), from: PLAIN_CHUNK_BYTES, to: PLAIN_CHUNK_BYTES }),
      {
        from: CHUNK,
        to: 2 * CHUNK - 1,
      },
    );
  });

  it('go on from part to part', async () => {
    const parts = [
      PLAIN.subarray(0, PLAIN_CHUNK_BYTES + 5),
      PLAIN.subarray(0, 3),
      PLAIN.subarray(100, 90_000),
    ];
    const of = await Promise.all(
      parts.map(async (plain, i) => ({
        stored: await store(plain, i + 1),
        segment: { ...all(plain.length, i + 1), from: i === 0 ? 7 : 0 },
      })),
    );
    assert.ok((await load(of, 50_021)).equals(Buffer.concat([parts[0]!.subarray(7), parts[1]!, parts[2]!])));
  });

  it('refuse a source that gives more than it said', async () => {
    await assert.rejects(gather(encrypted(key, 0, 10, pieces(PLAIN.subarray(0, 11), 4))), RangeError);
  });
});

describe('chunks that are not what was stored', () => {
  const length = 2 * PLAIN_CHUNK_BYTES + 777;
  const plain = PLAIN.subarray(0, length);
  const refused = async (stored: Buffer, segment = all(length)): Promise<number> => {
    let handedOn = 0;
    const read = async () => {
      for await (const piece of decrypted(key, [segment], pieces(stored, 65_536))) {
        assert.ok(
          plain.subarray(handedOn, handedOn + piece.length).equals(piece),
          'a wrong byte was handed on',
        );
        handedOn += piece.length;
      }
    };
    await assert.rejects(read(), CiphertextRefused);
    return handedOn;
  };

  it('are refused with any bit changed: nonce, ciphertext, tag', async () => {
    const stored = await store(plain);
    for (const at of [0, 11, 12, 5_000, CHUNK - 17, CHUNK - 16, CHUNK - 1, CHUNK + 3, stored.length - 1]) {
      const changed = Buffer.from(stored);
      changed[at]! ^= 0x10;
      assert.equal(await refused(changed), Math.floor(at / CHUNK) * PLAIN_CHUNK_BYTES, `byte ${at}`);
    }
  });

  it('are refused cut short, at a chunk and within one', async () => {
    const stored = await store(plain);
    for (const end of [0, 5, CHUNK, CHUNK + 40, 2 * CHUNK, stored.length - 1])
      await refused(stored.subarray(0, end));
    // Whoever also changes the length in the row: the chunk that is the last now was not the last when it was written.
    await refused(stored.subarray(0, 2 * CHUNK), all(2 * PLAIN_CHUNK_BYTES));
  });

  it('are refused in another order, in another part, with bytes behind', async () => {
    const stored = await store(plain);
    const [first, second, rest] = [
      stored.subarray(0, CHUNK),
      stored.subarray(CHUNK, 2 * CHUNK),
      stored.subarray(2 * CHUNK),
    ];
    assert.equal(await refused(Buffer.concat([second, first, rest])), 0);
    await refused(Buffer.concat([first, first, rest]));
    assert.equal(await refused(stored, all(length, 1)), 0);
    await refused(Buffer.concat([stored, Buffer.alloc(1)]));
  });

  it('are refused under another key', async () => {
    const stored = await store(plain);
    const other = decrypted(createSecretKey(randomBytes(32)), [all(length)], pieces(stored, CHUNK));
    await assert.rejects(gather(other), CiphertextRefused);
  });
});
