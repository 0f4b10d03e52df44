/** The small parts of the DOSM by themselves: hedging, replay of a source, notices to nodes. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { type BlobId, type MemberId, newBlobId } from '../../../src/base/ids.ts';
import { ChunkSource } from '../../../src/dosm/chunk-source.ts';
import { NodeNotices } from '../../../src/dosm/confirm.ts';
import { Guard } from '../../../src/dosm/guard.ts';
import { firstAnswer, type HedgeOptions } from '../../../src/dosm/hedge.ts';
import { HedgeBudget } from '../../../src/dosm/hedge-budget.ts';
import { FakeNode } from '../../world/fake-node.ts';
import { seededRandom } from '../../world/seeded-random.ts';
import { VirtualClock } from '../../world/virtual-clock.ts';
import { piecesOf } from '../../world/world.ts';

const CHUNK = 256 * 1024;

interface Hedged {
  readonly asked: [string, number][];
  readonly closed: string[];
  readonly failed: string[];
  readonly slow: string[];
  readonly result: Promise<string>;
}
/** Each candidate answers (or, with a minus, fails) after so many ms, deaf to its signal. */
function hedged(
  clock: VirtualClock,
  afterMs: Record<string, number>,
  more: Partial<HedgeOptions<string, string>> = {},
): Hedged {
  const log: Omit<Hedged, 'result'> = { asked: [], closed: [], failed: [], slow: [] };
  const waiting = Object.keys(afterMs);
  const result = firstAnswer<string, string>({
    clock,
    hedgeMs: 300,
    budget: new HedgeBudget(),
    next: () => waiting.shift() ?? null,
    ask: async (name) => {
      log.asked.push([name, clock.monotonic()]);
      await clock.sleep(Math.abs(afterMs[name]!));
      if (afterMs[name]! < 0) throw new Error(name);
      return name;
    },
    close: (name) => log.closed.push(name),
    onFailure: (name) => log.failed.push(name),
    onSlow: (name) => log.slow.push(name),
    exhausted: () => new Error('nobody'),
    ...more,
  });
  return { ...log, result };
}

test('hedge: a quick first answer asks nobody else', async () => {
  const clock = new VirtualClock();
  const run = hedged(clock, { one: 299, two: 1 });
  assert.equal(await clock.run(run.result), 'one');
  await clock.run(clock.sleep(1_000));
  assert.deepEqual([run.asked, run.slow], [[['one', 0]], []]);
});

test('hedge: a slow first answer is overtaken, counted as slow, and closed when it comes', async () => {
  const clock = new VirtualClock();
  const run = hedged(clock, { one: 5_000, two: 10, three: 1 });
  assert.equal(await clock.run(run.result), 'two');
  assert.equal(clock.monotonic(), 310);
  await clock.run(clock.sleep(10_000));
  assert.deepEqual([run.asked.length, run.slow, run.closed], [2, ['one'], ['one']]);
});

test('hedge: a failure asks the next at once; when all failed, so does the search', async () => {
  const clock = new VirtualClock();
  const run = hedged(clock, { one: -10, two: -20, three: -30 });
  await assert.rejects(clock.run(run.result), /nobody/);
  assert.deepEqual(run.asked, [
    ['one', 0],
    ['two', 10],
    ['three', 30],
  ]);
  assert.deepEqual(run.failed, ['one', 'two', 'three']);
});

test('hedge: a spent budget waits for the first; one read in ten earns one more', async () => {
  const clock = new VirtualClock();
  const budget = new HedgeBudget();
  for (let n = 0; n < 10; n++) {
    assert.equal(await clock.run(hedged(clock, { one: 5_000, two: 1 }, { budget }).result), 'two');
  }
  const waits = hedged(clock, { one: 1_000, two: 1 }, { budget });
  assert.equal(await clock.run(waits.result), 'one');
  assert.deepEqual([waits.asked.length, waits.slow], [1, []]);
  for (let n = 0; n < 11; n++) budget.earn();
  assert.equal(await clock.run(hedged(clock, { one: 5_000, two: 1 }, { budget }).result), 'two');
});

test('hedge: never more than two at once', async () => {
  const clock = new VirtualClock();
  const run = hedged(clock, { one: 5_000, two: 5_000, three: 1 });
  assert.equal(await clock.run(run.result), 'one');
  assert.equal(run.asked.length, 2);
});

test('hedge: the caller gives up, and an unexpected error ends it', async () => {
  const clock = new VirtualClock();
  const abort = new AbortController();
  const run = hedged(clock, { one: 5_000 }, { signal: abort.signal });
  run.result.catch(() => {});
  await clock.run(clock.sleep(100));
  abort.abort(new Error('gone'));
  await assert.rejects(clock.run(run.result), /gone/);
  const broken = hedged(
    clock,
    { one: -1 },
    {
      onFailure: () => {
        throw new Error('a mistake');
      },
    },
  );
  await assert.rejects(clock.run(broken.result), /a mistake/);
});

const bytes = randomBytes(6 * CHUNK + 5);

test('source: chunks and digests are right however the pieces fall', async () => {
  for (const pieceBytes of [1_000, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, bytes.length]) {
    const source = new ChunkSource(piecesOf(bytes, pieceBytes), bytes.length, 4 * CHUNK);
    assert.equal(source.chunkCount, 7);
    for (let index = 0; index < 7; index += 1) {
      const chunk = await source.chunk(index);
      assert(chunk.bytes.equals(bytes.subarray(index * CHUNK, (index + 1) * CHUNK)));
      assert(chunk.digest.equals(createHash('sha256').update(chunk.bytes).digest()));
      source.prefetch(index + 1);
    }
    await source.expectEnd();
  }
});

test('source: whole chunks in one piece are not copied', async () => {
  const source = new ChunkSource(piecesOf(bytes, bytes.length), bytes.length, CHUNK);
  for (let index = 0; index < 7; index += 1) {
    assert.equal((await source.chunk(index)).bytes.buffer, bytes.buffer);
  }
});

test('source: the kept chunks can be had again until the source is pulled beyond them, and are then let go', async () => {
  const source = new ChunkSource(piecesOf(bytes), bytes.length, 4 * CHUNK);
  await source.fill();
  assert(source.isReplayable);
  for (const index of [0, 3, 1, 0]) {
    assert((await source.chunk(index)).bytes.equals(bytes.subarray(index * CHUNK, (index + 1) * CHUNK)));
  }
  await source.chunk(4);
  assert(!source.isReplayable);
  await assert.rejects(source.chunk(0), RangeError);
});

test('guard: outcomes pass, the deadline and the caller end what is pending, and nothing later', async () => {
  const clock = new VirtualClock();
  const late = new Guard({ clock, deadlineMs: 100, late: () => new Error('late') });
  assert.equal(await clock.run(late.race(Promise.resolve(7))), 7);
  await assert.rejects(clock.run(late.race(Promise.reject(new Error('own')))), /own/);
  await assert.rejects(clock.run(late.race(new Promise(() => {}))), /late/);
  assert.equal(clock.monotonic(), 100);
  await assert.rejects(clock.run(late.race(Promise.resolve(7))), /late/);
  const closed = new Guard({ clock, deadlineMs: 100, late: () => new Error('late') });
  closed.close();
  await clock.run(clock.sleep(1_000));
  assert(!closed.signal.aborted);
  const gone = new Guard({ clock, deadlineMs: 1, late: Error, signal: AbortSignal.abort(new Error('gone')) });
  await assert.rejects(gone.race(Promise.resolve(7)), /gone/);
});

function notices(queuedIdsMax = 100) {
  const clock = new VirtualClock();
  const node = new FakeNode('node-a11' as MemberId, clock, seededRandom(1));
  const batches: number[] = [];
  const serving = new Set([node.member]);
  const confirm = node.confirm.bind(node);
  node.confirm = (ids) => {
    batches.push(ids.length);
    return confirm(ids);
  };
  const queue = new NodeNotices({
    clients: new Map([[node.member, node]]),
    isServing: () => serving.has(node.member),
    clock,
    flushMs: 100,
    batchIdsMax: 10,
    queuedIdsMax,
  });
  return {
    clock,
    node,
    batches,
    serving,
    queue,
    ids: (count: number): BlobId[] => Array.from({ length: count }, newBlobId),
  };
}

test('notices go in batches, in the background', async () => {
  const { clock, node, batches, queue, ids } = notices();
  for (const id of ids(25)) queue.confirm(id, [node.member]);
  assert.deepEqual(batches, []);
  await clock.run(clock.sleep(1_000));
  assert.deepEqual(batches, [10, 10, 5]);
  queue.confirm(ids(1)[0]!, [node.member]);
  await clock.run(clock.sleep(1_000));
  assert.deepEqual([batches.at(-1), queue.counts], [1, { sent: 26, dropped: 0 }]);
});

test('notices: overflow, failures and unknown members are dropped and counted', async () => {
  const { clock, node, queue, ids } = notices(5);
  node.faults = { stopped: true };
  for (const id of ids(8)) queue.confirm(id, [node.member, 'node-x1' as MemberId]);
  await clock.run(clock.sleep(5_000));
  assert.deepEqual(queue.counts, { sent: 0, dropped: 16 });
});

test('notices: a member in failover is told nothing', async () => {
  const { clock, node, serving, queue, ids } = notices();
  serving.clear();
  for (const id of ids(3)) queue.confirm(id, [node.member]);
  for (const id of ids(3)) queue.discard(id, [node.member]);
  await clock.run(clock.sleep(1_000));
  assert.deepEqual([node.calls.confirm, node.calls.delete, queue.counts.dropped], [0, 0, 6]);
});

test('notices: close sends what is queued and is bounded', async () => {
  const { clock, node, queue, ids } = notices();
  for (const id of ids(25)) queue.discard(id, [node.member]);
  await clock.run(queue.close(1_000));
  assert.equal(queue.counts.sent, 25);
  const stuck = notices();
  stuck.node.faults = { stopped: true };
  for (const id of stuck.ids(80)) stuck.queue.confirm(id, [stuck.node.member]);
  await stuck.clock.run(stuck.queue.close(1_000));
  assert(stuck.clock.monotonic() <= 1_100);
});
