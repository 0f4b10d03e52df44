/**
 * Range digests against a recount: whatever was written, confirmed, removed, lost, restored and relabelled, restarts
 * included, they are those of the inventory without handoffs.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '../../../../src/base/clock.ts';
import { type BlobId, type MemberId, parseBlobId } from '../../../../src/base/ids.ts';
import { LIMITS } from '../../../../src/base/limits.ts';
import { LocalStore } from '../../../../src/nodes/blob-store/local-store.ts';
import { digest } from '../../../../src/nodes/digest-tree.ts';
import type { InventoryEntry, RangeDigest } from '../../../../src/nodes/protocol.ts';
import { RangeDigests } from '../../../../src/nodes/range-digests.ts';
import { blobOf, chunksOf, intentOf } from '../../../integration/nodes/fixture.ts';

const AWAY = 'node-b12' as MemberId;

/** As protocol.ts says it, and no other way: by hand. */
function recount(entries: readonly InventoryEntry[], length: 2 | 4, below = ''): RangeDigest[] {
  const ranges = new Map<string, { count: number; sum: Buffer }>();
  for (const { id, size, root, intent } of entries) {
    const prefix = id.slice(0, length);
    if (intent.handoffFor !== undefined || !prefix.startsWith(below)) continue;
    const sizeBytes = Buffer.alloc(8);
    sizeBytes.writeBigUInt64BE(BigInt(size));
    const one = createHash('sha256').update(id, 'hex').update(sizeBytes).update(root).digest();
    const range = ranges.get(prefix) ?? { count: 0, sum: Buffer.alloc(32) };
    for (const [i, byte] of one.entries()) range.sum[i]! ^= byte;
    ranges.set(prefix, { count: range.count + 1, sum: range.sum });
  }
  return [...ranges]
    .map(([prefix, range]) => ({ prefix, ...range }))
    .sort((a, b) => (a.prefix < b.prefix ? -1 : 1));
}

/** Few ids, so that operations meet; two that share their first byte. */
const IDS = ['00', 'ff', '0001', 'a000', 'a001', 'a0ff'].map((start) => parseBlobId(start.padEnd(32, '7')));
/** The same bytes for an id, always. */
const blobFor = (id: BlobId, isLarge: boolean) =>
  blobOf(Buffer.alloc(isLarge ? LIMITS.smallBlobBytesMax + 1 : 10, id), id);

type Operation =
  | {
      readonly kind: 'put';
      readonly isHandoff: boolean;
      readonly isConfirmed: boolean;
      readonly replace: boolean;
    }
  | { readonly kind: 'settle'; readonly isHandoff: boolean; readonly isConfirmed: boolean }
  | { readonly kind: 'confirm' | 'remove' | 'lose' | 'restart' };

class Subject {
  readonly path = mkdtempSync(join(tmpdir(), 'antipode-digests-'));
  store!: LocalStore;

  async open(): Promise<void> {
    this.store = await LocalStore.open({
      path: this.path,
      member: 'node-a11' as MemberId,
      clock: systemClock,
      reserveBytes: 0,
      syncsMax: 2,
    });
    await this.store.sweep();
  }

  async run(id: BlobId, operation: Operation): Promise<void> {
    const { store } = this;
    if (operation.kind === 'put') await this.#put(id, operation);
    else if (operation.kind === 'settle') {
      await store.settle(id, operation.isConfirmed ? 'confirmed' : 'pending', this.#intent(operation));
    } else if (operation.kind === 'confirm') await store.confirm([id]);
    else if (operation.kind === 'remove') await store.remove([id]);
    else if (operation.kind === 'lose') {
      rmSync(join(this.path, 'blobs', id.slice(0, 2), id), { force: true });
      const entry = store.stat(id);
      if (entry && entry.size > LIMITS.smallBlobBytesMax) assert.equal(await store.openLarge(entry), null);
    } else {
      await store.close();
      await this.open();
    }
  }

  #intent({ isHandoff }: { isHandoff: boolean }) {
    return isHandoff ? { ...intentOf(), handoffFor: AWAY } : intentOf('a "handoffFor": b');
  }

  async #put(id: BlobId, operation: Extract<Operation, { kind: 'put' }>): Promise<void> {
    const blob = blobFor(id, IDS.indexOf(id) % 2 === 0);
    const { size, root } = blob;
    const state = operation.isConfirmed ? 'confirmed' : 'pending';
    const fresh = { id, size, intent: this.#intent(operation), state, replace: operation.replace } as const;
    const reservation = await this.store.reserve(size);
    if (size <= LIMITS.smallBlobBytesMax) {
      const chunkDigest = digest(blob.bytes);
      const frame = Buffer.concat([digest(chunkDigest), chunkDigest, blob.bytes]);
      await this.store.putSmall(fresh, root, frame, reservation);
    } else {
      const sink = await this.store.createLarge(fresh, reservation);
      for (const chunk of chunksOf(blob.bytes)) await sink.append([chunk], digest(chunk));
      await sink.commit(root);
    }
    reservation.release();
  }

  async check(): Promise<void> {
    const { store } = this;
    const all = store.inventory({ max: 1_000 });
    assert.deepEqual(store.digests(), recount(all, 2));
    for (const prefix of ['00', 'a0', 'ff', '55']) {
      assert.deepEqual(store.digests(prefix), recount(all, 4, prefix));
      const below = all.filter(({ id }) => id.startsWith(prefix));
      assert.deepEqual(store.inventory({ max: 1_000, prefix }), below);
    }
    const isHandoff = ({ intent }: InventoryEntry): boolean => intent.handoffFor !== undefined;
    assert.deepEqual(store.inventory({ max: 1_000, scope: 'handoff' }), all.filter(isHandoff));
    assert.deepEqual(
      store.inventory({ max: 1_000, scope: 'home' }),
      all.filter((entry) => !isHandoff(entry)),
    );
    const { missingBlobs, blobs } = await store.totals();
    assert.equal(blobs - missingBlobs, all.length);
    assert.equal(store.notes.damaged, missingBlobs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    rmSync(this.path, { recursive: true, force: true });
  }
}

const flags = { isHandoff: fc.boolean(), isConfirmed: fc.boolean() };
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('put' as const), replace: fc.boolean(), ...flags }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('settle' as const), ...flags }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constantFrom('confirm' as const, 'remove' as const, 'lose' as const) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
);

describe('range digests of a store', () => {
  it('are a recount of its inventory, whatever happens to it', async () => {
    const step = fc.tuple(fc.constantFrom(...IDS), operation);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        await using subject = new Subject();
        await subject.open();
        for (const [id, what] of steps) {
          await subject.run(id, what);
          await subject.check();
        }
      }),
      { numRuns: 12 },
    );
  });

  it('leave out what is lost and take in what is brought back', async () => {
    const put = { kind: 'put', isHandoff: false, isConfirmed: true, replace: false } as const;
    for (const isHandoff of [false, true]) {
      await using subject = new Subject();
      await subject.open();
      const id = IDS[0]!;
      const counts: number[] = [];
      for (const step of [
        { ...put, isHandoff },
        { kind: 'lose' },
        put,
        { kind: 'lose' },
        { kind: 'remove' },
      ] as const) {
        await subject.run(id, step);
        await subject.check();
        counts.push(subject.store.digests().length);
      }
      assert.deepEqual(counts, isHandoff ? [0, 0, 0, 0, 0] : [1, 0, 1, 0, 0]);
    }
  });

  it('are the same when everything happens at once', async () => {
    await using subject = new Subject();
    await subject.open();
    const put = { kind: 'put', isHandoff: false, isConfirmed: false, replace: false } as const;
    for (let round = 0; round < 8; round += 1) {
      const work = IDS.flatMap((id, i) => [
        subject.run(id, { ...put, isHandoff: (i + round) % 3 === 0 }),
        subject.run(id, { kind: 'confirm' }),
        subject.run(id, { kind: 'settle', isHandoff: round % 2 === 0, isConfirmed: true }),
        ...(i % 2 ? [subject.run(id, { kind: 'remove' }), subject.run(id, put)] : []),
      ]);
      // A large blob that was removed on its way in is refused.
      await Promise.allSettled(work);
      await subject.check();
    }
  });
});

describe('range digests', () => {
  it('know no order, and take sizes beyond 32 bits apart', () => {
    const root = Buffer.alloc(32, 1);
    const blobs = IDS.map((id, i) => ({ id, size: i + 1, root }));
    const [a, b] = [new RangeDigests(), new RangeDigests()];
    for (const blob of blobs) a.add(blob);
    const extra = { id: IDS[0]!, size: 2 ** 32 + 1, root };
    b.add(extra);
    for (const blob of blobs.toReversed()) b.add(blob);
    assert.notDeepEqual(a.ranges(), b.ranges());
    b.remove(extra);
    assert.deepEqual(a.ranges(), b.ranges());
    b.remove(blobs[0]!);
    b.add({ ...blobs[0]!, size: 2 ** 32 + 1 });
    assert.notDeepEqual(a.ranges('00'), b.ranges('00'));
    assert.deepEqual(new RangeDigests().ranges(), []);
  });
});
