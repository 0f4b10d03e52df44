/** Exact takes from a body that arrives in any pieces, with a bound on what waits. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BodyEndedEarly, ByteTaker } from '../../../src/nodes/server/byte-taker.ts';

describe('a byte taker', () => {
  it('gives the bytes in order, however they are cut on either side', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { minLength: 1, maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 40 }),
        async (pieces, takes) => {
          const body = new PassThrough();
          const taker = new ByteTaker(body);
          const sending = (async () => {
            for (const piece of pieces) {
              body.write(piece);
              await new Promise((resolve) => setImmediate(resolve));
            }
            body.end();
          })();
          const whole = Buffer.concat(pieces);
          let at = 0;
          for (const [i, bytes] of takes.entries()) {
            if (at + bytes > whole.length) {
              await assert.rejects(taker.take(bytes), BodyEndedEarly);
              break;
            }
            const expected = whole.subarray(at, at + bytes);
            if (i % 2) assert.ok(Buffer.concat(await taker.takeParts(bytes, () => {})).equals(expected));
            else assert.ok((await taker.take(bytes)).equals(expected));
            at += bytes;
          }
          await sending;
        },
      ),
      { numRuns: 60 },
    );
  });

  it('rejects when the body breaks off', async () => {
    const body = new PassThrough();
    const taker = new ByteTaker(body);
    const taking = taker.take(10);
    body.write('12345');
    body.destroy(new Error('reset'));
    await assert.rejects(taking, BodyEndedEarly);
  });

  it('rejects at once when the body had broken off before', async () => {
    const body = new PassThrough();
    body.on('error', () => {});
    body.destroy(new Error('reset'));
    await new Promise((resolve) => setImmediate(resolve));
    await assert.rejects(new ByteTaker(body).take(1), BodyEndedEarly);
  });

  it('pauses the body while nobody takes', async () => {
    const body = new PassThrough({ highWaterMark: 1024 * 1024 });
    const taker = new ByteTaker(body);
    for (let i = 0; i < 32; i += 1) body.write(Buffer.alloc(64 * 1024));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(body.isPaused());
    await taker.takeParts(31 * 64 * 1024, () => {});
    assert.ok(!body.isPaused());
  });
});
