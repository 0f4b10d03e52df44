/** The audit of catalog and inventories, over listings that are made up: each way in which they can disagree. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import type { BlobId, MemberId, PairId, WriteId } from '../../../src/base/ids.ts';
import type { BlobRef, NewRepair } from '../../../src/ddm/catalog.ts';
import type { VerifyException, VerifyLine, VerifySummary } from '../../../src/dosm/verify/report.ts';
import { verify } from '../../../src/dosm/verify/verify.ts';
import type { Damage, InventoryEntry, NodeClient } from '../../../src/nodes/protocol.ts';
import { allServing, type Conditions, viewOf } from '../../../src/twin/condition.ts';
import { buildTopology } from '../../../src/twin/load.ts';

const topology = buildTopology({
  centers: [
    { name: 'a', subnets: ['10.1.0.0/24'] },
    { name: 'b', subnets: ['10.2.0.0/24'] },
  ],
  members: [11, 12].flatMap((host) =>
    [1, 2].map((net) => ({ kind: 'node' as const, address: `10.${net}.0.${host}`, port: 7100 })),
  ),
});
const [a11, b11, a12, b12] = ['node-a11', 'node-b11', 'node-a12', 'node-b12'] as MemberId[] as [
  MemberId,
  MemberId,
  MemberId,
  MemberId,
];
const pair = 'node/11' as PairId;
const idOf = (n: number): BlobId => (n * 7_919).toString(16).padStart(32, '0') as BlobId;
const intent = { writeId: 'w' as WriteId, intentAt: 0, bucket: 'b', key: 'k' };

class Store {
  readonly rows = new Map<BlobId, BlobRef>();
  readonly dying = new Set<BlobId>();
  readonly nodes = new Map<MemberId, Map<BlobId, InventoryEntry>>();
  readonly damaged = new Map<MemberId, Damage[]>();
  readonly silent = new Set<MemberId>();
  readonly repairs: NewRepair[] = [];
  conditions: Conditions = allServing(topology);
  /** Runs once, before the n-th listing of rows. */
  onRows: (() => void) | null = null;

  constructor() {
    for (const member of topology.members.keys()) this.nodes.set(member, new Map());
  }

  /** A blob with its row, on these members. */
  add(n: number, members: readonly MemberId[] = [a11, b11], more: Partial<BlobRef> = {}): BlobRef {
    const row: BlobRef = { id: idOf(n), size: 10, root: Buffer.alloc(32, n), pair, ...more };
    this.rows.set(row.id, row);
    for (const member of members) this.put(member, row);
    return row;
  }

  put(member: MemberId, row: BlobRef, more: Partial<InventoryEntry> = {}): void {
    const { id, size, root } = row;
    this.nodes.get(member)!.set(id, { id, size, root, state: 'confirmed', intent, ...more });
  }

  async run(options: Parameters<typeof verify>[1] = {}) {
    const lines: VerifyLine[] = [];
    for await (const line of verify(this.#deps(), options)) lines.push(line);
    const summary = lines.at(-1) as VerifySummary;
    assert.equal(summary.type, 'summary');
    const exceptions = lines
      .filter((line): line is VerifyException => line.type === 'exception')
      .map(({ kind, blob, member }) => [kind, blob, member]);
    assert.equal(summary.exceptions, exceptions.length);
    return { lines, summary, exceptions };
  }

  #deps(): Parameters<typeof verify>[0] {
    const page = <T extends { id: BlobId }>(all: Iterable<T>, after: BlobId | undefined, max: number): T[] =>
      [...all]
        .filter(({ id }) => after === undefined || id > after)
        .sort((x, y) => (x.id < y.id ? -1 : 1))
        .slice(0, Math.min(max, 3)); // short pages, so that every listing is read in several
    const clients = [...this.nodes].map(([member, blobs]) => {
      const heard = () => {
        if (this.silent.has(member)) throw new Error('no answer');
      };
      const client: Pick<NodeClient, 'inventory' | 'stat' | 'check'> = {
        inventory: async ({ after, max }) => {
          heard();
          return page(blobs.values(), after, max);
        },
        stat: async (id) => {
          heard();
          return blobs.get(id) ?? null;
        },
        check: async (ids) => (this.damaged.get(member) ?? []).filter(({ id }) => ids.includes(id)),
      };
      return [member, client as NodeClient] as const;
    });
    return {
      topology,
      clock: systemClock,
      clients: new Map(clients),
      conditions: viewOf(() => this.conditions),
      catalog: {
        listBlobs: async ({ after, max }) => {
          const found = page(this.rows.values(), after, max);
          this.onRows?.();
          this.onRows = null;
          return found;
        },
        findBlobs: async (ids) => ids.flatMap((id) => this.rows.get(id) ?? []),
        knownBlobs: async (ids) => new Set(ids.filter((id) => this.rows.has(id) || this.dying.has(id))),
        countObjects: async () => 42,
        addRepairs: async (repairs) => void this.repairs.push(...repairs),
      },
    };
  }
}

describe('verify', () => {
  it('finds nothing where every blob is on both members of its pair', async () => {
    const store = new Store();
    for (let n = 1; n <= 10; n += 1) store.add(n);
    const { summary, exceptions } = await store.run({ deep: true });
    assert.deepEqual(exceptions, []);
    assert.deepEqual(summary, {
      type: 'summary',
      ...{ objects: 42, blobs: 10, replicas: 20, handoffs: 0, exceptions: 0, unknown: 0, inFlight: 0 },
    });
  });

  it('names what is missing, different, astray or unknown, and queues what can be mended', async () => {
    const store = new Store();
    for (let n = 1; n <= 5; n += 1) store.add(n);
    store.add(6, [a11]);
    const differs = store.add(7, [b11]);
    store.put(a11, { ...differs, root: Buffer.alloc(32, 99) });
    store.add(8, [a11, b11, a12]);
    const orphan = store.add(9, [b12]);
    store.rows.delete(orphan.id);
    const odd = store.add(10, [], { pair: 'node/99' as PairId });
    const { exceptions } = await store.run();
    assert.deepEqual(
      new Set(exceptions.map(String)),
      new Set(
        [
          ['missing', idOf(6), b11],
          ['different', idOf(7), a11],
          ['stray', idOf(8), a12],
          ['unknown-blob', orphan.id, b12],
          ['no-pair', odd.id, null],
        ].map(String),
      ),
    );
    assert.deepEqual(
      store.repairs.map(({ blobId, member, reason }) => [blobId, member, reason]),
      [
        [idOf(6), b11, 'missing'],
        [idOf(7), a11, 'corrupt'],
      ],
    );
  });

  it('takes recorded handoffs for what they are, and misses those that are not there', async () => {
    const store = new Store();
    store.add(1, [b11, b12], { offMap: [b12], absent: [a11] });
    store.add(2, [b11], { offMap: [b12], absent: [a11] });
    store.add(3, [a11, b11, b12], { offMap: [b12], absent: [a11] });
    const { exceptions, summary } = await store.run();
    assert.deepEqual(exceptions, [['handoff-missing', idOf(2), b12]]);
    assert.equal(summary.handoffs, 2);
    assert.equal(summary.replicas, 4);
  });

  it('asks again what came or went between the listings', async () => {
    const store = new Store();
    for (let n = 1; n <= 9; n += 1) store.add(n);
    store.onRows = () => {
      // The first page of rows has been read: one of its blobs goes, and one is written before those in hand.
      const gone = store.rows.get(idOf(1))!;
      store.rows.delete(gone.id);
      for (const member of [a11, b11]) store.nodes.get(member)!.delete(gone.id);
      store.add(10);
    };
    assert.deepEqual((await store.run()).exceptions, []);
  });

  it('counts what dies and what is being written as in flight', async () => {
    const store = new Store();
    const dying = store.add(1);
    store.rows.delete(dying.id);
    store.dying.add(dying.id);
    const writing = store.add(2, []);
    store.rows.delete(writing.id);
    store.put(a11, writing, { state: 'pending' });
    const { exceptions, summary } = await store.run();
    assert.deepEqual(exceptions, []);
    assert.equal(summary.inFlight, 3);
  });

  it('calls unknown what members that do not answer or do not serve should have', async () => {
    const store = new Store();
    for (let n = 1; n <= 4; n += 1) store.add(n);
    store.add(5, [b11, b12], { offMap: [b12], absent: [a11] });
    store.silent.add(b11);
    const silent = await store.run();
    assert.deepEqual(silent.exceptions, []);
    assert.equal(silent.summary.unknown, 5);
    assert.deepEqual(
      silent.lines.filter((line) => line.type === 'unanswered').map((line) => line.member),
      [b11],
    );
    store.silent.clear();
    const members = new Map(store.conditions.members);
    members.set(a11, { ...members.get(a11)!, state: 'failed-over' });
    store.conditions = { ...store.conditions, members };
    const { summary, exceptions } = await store.run();
    assert.deepEqual(exceptions, []);
    assert.equal(summary.unknown, 4, 'the handoff stands for the fifth');
  });

  it('reads every byte when asked to', async () => {
    const store = new Store();
    for (let n = 1; n <= 4; n += 1) store.add(n);
    store.damaged.set(b11, [{ id: idOf(3), kind: 'corrupt', foundAt: 0 }]);
    assert.deepEqual((await store.run()).exceptions, []);
    assert.deepEqual((await store.run({ deep: true })).exceptions, [['corrupt', idOf(3), b11]]);
  });
});
