/** The scrub's rounds, cursor, rate and manners, on a virtual clock over a store in memory. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BlobId } from '../../../src/base/ids.ts';
import { digest } from '../../../src/nodes/digest-tree.ts';
import type { Damage, InventoryEntry } from '../../../src/nodes/protocol.ts';
import { Scrub, type ScrubbedStore, type ScrubOptions } from '../../../src/nodes/scrub.ts';
import { blobOf, intentOf } from '../../integration/nodes/fixture.ts';
import { VirtualClock } from '../../world/virtual-clock.ts';

const KIB = 1024;
const DAY_MS = 24 * 3_600_000;
const SIZE = 60 * KIB;
const quiet = { warn: () => {}, error: () => {} };

class MemoryStore implements ScrubbedStore {
  readonly entries: InventoryEntry[] = [];
  readonly frames = new Map<BlobId, Buffer>();
  readonly reported: [BlobId, Damage['kind']][] = [];
  readonly reads: BlobId[] = [];
  saved: object | null = null;
  readonly notes = {
    get: (): unknown => this.saved,
    put: async (_: string, document: object): Promise<void> => {
      this.saved = JSON.parse(JSON.stringify(document)) as object;
    },
  };

  constructor(count: number) {
    for (let i = 0; i < count; i += 1) {
      const id = i.toString(16).padStart(32, '0') as BlobId;
      const { bytes, size, root } = blobOf(Buffer.alloc(SIZE, id), id);
      const chunkDigest = digest(bytes);
      this.frames.set(id, Buffer.concat([digest(chunkDigest), chunkDigest, bytes]));
      this.entries.push({ id, size, root, state: 'confirmed', intent: intentOf() });
    }
  }
  inventory({ after, max }: { after?: BlobId; max: number }): InventoryEntry[] {
    return this.entries.filter(({ id }) => after === undefined || id > after).slice(0, max);
  }
  readSmall(id: BlobId): Buffer | null {
    this.reads.push(id);
    return this.frames.get(id) ?? null;
  }
  async openLarge(): Promise<null> {
    return null;
  }
  isNamed(id: BlobId): boolean {
    return this.entries.some((entry) => entry.id === id);
  }
  async report(id: BlobId, kind: Damage['kind']): Promise<void> {
    this.reported.push([id, kind]);
  }
}

const COST = SIZE + 4 * KIB;
function setUp(store: MemoryStore, clock: VirtualClock, more: Partial<ScrubOptions> = {}): Scrub {
  const scrub = new Scrub({
    store,
    clock,
    log: quiet,
    bytesPerSecondMax: COST, // a blob a second
    roundMs: 7 * DAY_MS,
    underWay: () => 0,
    ...more,
  });
  scrub.start();
  return scrub;
}
const pass = (clock: VirtualClock, ms: number): Promise<void> => clock.run(clock.sleep(ms), ms + 1);

describe('the scrub', () => {
  it('reads every blob once in a round, at its rate, and rests until the next is due', async () => {
    const [store, clock] = [new MemoryStore(250), new VirtualClock()];
    const scrub = setUp(store, clock);
    await pass(clock, 100_500);
    const { bytes, blobs, roundStartedAt, lastRoundEndedAt } = scrub.status();
    assert.deepEqual(
      { bytes, blobs, lastRoundEndedAt },
      { bytes: 101 * SIZE, blobs: 101, lastRoundEndedAt: null },
    );
    assert.ok(roundStartedAt !== null);
    await pass(clock, 150_000);
    assert.deepEqual(
      store.reads,
      store.entries.map(({ id }) => id),
    );
    const ended = scrub.status();
    assert.equal(ended.roundStartedAt, null);
    assert.ok(ended.lastRoundEndedAt !== null);
    await pass(clock, 6 * DAY_MS);
    assert.equal(store.reads.length, 250);
    await pass(clock, DAY_MS + 60_000);
    assert.ok(store.reads.length > 250);
    await clock.run(scrub.close());
  });

  it('reports what does not verify and what is gone, and nothing that was removed meanwhile', async () => {
    const [store, clock] = [new MemoryStore(6), new VirtualClock()];
    const id = (i: number): BlobId => store.entries[i]!.id;
    for (const [blob, at] of [
      [0, 70],
      [1, 3],
      [2, 40],
    ] as const) {
      store.frames.get(id(blob))![at]! ^= 1;
    }
    store.frames.delete(id(4));
    store.frames.delete(id(5));
    const scrub = setUp(store, clock);
    await pass(clock, 3_100);
    store.entries.pop();
    await pass(clock, 10_000);
    assert.deepEqual(store.reported, [
      [id(0), 'corrupt'],
      [id(1), 'corrupt'],
      [id(2), 'corrupt'],
      [id(4), 'missing'],
    ]);
    await clock.run(scrub.close());
  });

  it('goes on at its cursor: where it ended, or a little before where it was killed', async () => {
    const [store, clock] = [new MemoryStore(40), new VirtualClock()];
    const first = setUp(store, clock);
    await pass(clock, 14_500);
    await clock.run(first.close());
    assert.equal(store.reads.length, 15);
    const second = setUp(store, clock);
    await pass(clock, 15_500);
    // Not closed: all that is left of it is what it had saved. (The one that waits is told to end and saves nothing.)
    const saved = store.saved;
    const reads = store.reads.length;
    await clock.run(second.close());
    store.saved = saved;
    store.reads.length = reads;
    const third = setUp(store, clock);
    await pass(clock, 20_000);
    await clock.run(third.close());
    const again = store.reads.length - 40;
    assert.ok(again > 0 && again <= 12, `${again} blobs were read twice`);
    assert.deepEqual(
      [...new Set(store.reads)],
      store.entries.map(({ id }) => id),
    );
    assert.deepEqual(third.status().blobs, 40);
  });

  it('stands still at rate 0, and goes on when told', async () => {
    const [store, clock] = [new MemoryStore(20), new VirtualClock()];
    const scrub = setUp(store, clock, { bytesPerSecondMax: 0 });
    await pass(clock, DAY_MS);
    assert.equal(store.reads.length, 0);
    assert.equal(scrub.command({ bytesPerSecondMax: COST }).bytesPerSecondMax, COST);
    await pass(clock, 5_500);
    scrub.command({ bytesPerSecondMax: 0 });
    const reads = store.reads.length;
    await pass(clock, DAY_MS);
    assert.ok(reads >= 5 && store.reads.length <= reads + 1);
    scrub.command({ bytesPerSecondMax: 100 * COST });
    await pass(clock, 20_000);
    assert.deepEqual(
      store.reads,
      store.entries.map(({ id }) => id),
    );
    await clock.run(scrub.close());
  });

  it('begins a round when asked: also anew in the middle of one, and before the next is due', async () => {
    const [store, clock] = [new MemoryStore(10), new VirtualClock()];
    const scrub = setUp(store, clock);
    await pass(clock, 4_500);
    scrub.command({ start: true });
    await pass(clock, 30_000);
    const ids = store.entries.map(({ id }) => id);
    assert.deepEqual(store.reads.slice(-10), ids);
    const reads = store.reads.length;
    assert.ok(reads > 10 && reads <= 16);
    scrub.command({ start: true });
    await pass(clock, 30_000);
    assert.equal(store.reads.length, reads + 10);
    await clock.run(scrub.close());
  });

  it('yields to clients, and never quite stops', async () => {
    const [store, clock] = [new MemoryStore(100), new VirtualClock()];
    let underWay = 5;
    const scrub = setUp(store, clock, { bytesPerSecondMax: 1_000 * COST, underWay: () => underWay });
    await pass(clock, 10_000);
    assert.ok(store.reads.length >= 8 && store.reads.length <= 11, `${store.reads.length} in ten seconds`);
    underWay = 4;
    await pass(clock, 2_000);
    assert.equal(store.reads.length, 100);
    await clock.run(scrub.close());
  });

  it('goes on after a blob that it cannot read', async () => {
    const [store, clock] = [new MemoryStore(3), new VirtualClock()];
    const read = store.readSmall.bind(store);
    store.readSmall = (id) => {
      const frame = read(id);
      if (id === store.entries[1]!.id)
        throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
      return frame;
    };
    const scrub = setUp(store, clock);
    await pass(clock, 10_000);
    assert.equal(store.reads.length, 3);
    assert.deepEqual(store.reported, []);
    assert.ok(scrub.status().lastRoundEndedAt !== null);
    await clock.run(scrub.close());
  });
});
