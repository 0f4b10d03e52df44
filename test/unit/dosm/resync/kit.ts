/**
 * A small store for repair and resync: fake nodes on a virtual clock, the model of the catalog, and writes as the DOSM
 * leaves them (twins, or the twin and a handoff). `calls` sees every call of a gateway to nodes and catalog, so that a
 * test can let the gateway die, or a node, before or after any of them.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import pino from 'pino';
import type { AccountId, BlobId, BucketId, MemberId, PairId, WriteId } from '../../../../src/base/ids.ts';
import type { BlobRef, ConditionChange } from '../../../../src/ddm/catalog.ts';
import { type CarryDeps, carryHome, newCarryCounts } from '../../../../src/dosm/resync/carry-home.ts';
import { type ResyncDeps, type ResyncEnd, runResync } from '../../../../src/dosm/resync/resync.ts';
import type { ReplicaClient, WholeCatalog } from '../../../../src/dosm/resync/types.ts';
import { DigestTreeBuilder } from '../../../../src/nodes/digest-tree.ts';
import type { WriteIntent } from '../../../../src/nodes/protocol.ts';
import { type Conditions, type ConditionView, viewOf } from '../../../../src/twin/condition.ts';
import type { Topology } from '../../../../src/twin/topology.ts';
import { ModelCatalog } from '../../../model/model-catalog.ts';
import type { FakeNode } from '../../../world/fake-node.ts';
import { makeWorld, type World } from '../../../world/world.ts';

export const [A11, B11, A12, B12] = ['node-a11', 'node-b11', 'node-a12', 'node-b12'] as MemberId[] as [
  MemberId,
  MemberId,
  MemberId,
  MemberId,
];
export const P11 = 'node/11' as PairId;
export const HOUR_MS = 3_600_000;
export const quiet = pino({ level: 'silent' });

/** What the record says, without waiting. */
class OpenCatalog extends ModelCatalog {
  get conditions(): Conditions {
    return this.record.read();
  }
}

export type GatewayParts = ResyncDeps & { readonly catalog: WholeCatalog; readonly topology: Topology };
type Step = (name: string) => void | Promise<void>;

export class Store {
  readonly world: World;
  readonly catalog: OpenCatalog;
  bucket = 0 as BucketId;
  /** Blobs by key, as they were written. */
  readonly blobs = new Map<string, BlobRef>();
  #sequence = 0;

  private constructor(seed: number) {
    this.world = makeWorld(seed);
    this.catalog = new OpenCatalog({ now: () => this.world.clock.now() });
  }

  static async open(seed = 1): Promise<Store> {
    const store = new Store(seed);
    await store.catalog.registerTopology(store.world.topology);
    const owner = { id: 'owner' as AccountId, displayName: 'owner', isRoot: true };
    await store.catalog.createAccount(owner);
    const made = await store.catalog.createBucket({
      ...{ name: 'bucket', owner: owner.id, region: 'us-east-1', objectLock: false },
    });
    assert(made.outcome === 'done');
    store.bucket = made.value.id;
    return store;
  }

  get clock() {
    return this.world.clock;
  }
  run<T>(work: Promise<T>, limitMs = HOUR_MS): Promise<T> {
    return this.clock.run(work, limitMs);
  }
  node(member: MemberId): FakeNode {
    return this.world.nodes.get(member)!;
  }

  // ------------------------------------------------------------------------------------------- the record

  async change(member: MemberId, to: ConditionChange['to']): Promise<void> {
    const done = await this.catalog.changeCondition({
      subject: { kind: 'member', member },
      ...{ to, why: 'test', decidedBy: 'test', mayReturn: true },
    });
    assert.equal(done.outcome, 'done', JSON.stringify(done));
  }
  async away(member: MemberId): Promise<void> {
    await this.change(member, 'failed-over');
    this.node(member).state = 'fenced';
    this.node(member).faults = { down: true };
  }
  async back(member: MemberId): Promise<void> {
    this.node(member).faults = {};
    this.node(member).requests = 0;
    await this.change(member, 'resyncing');
  }

  // ----------------------------------------------------------------------------------------------- writes

  /** As the DOSM leaves it, committed. */
  async write(key: string, o: { pair?: PairId; epochChecked?: boolean } = {}): Promise<BlobRef> {
    const { members: record, pairEpochs } = await this.catalog.readConditions();
    const serves = (member: MemberId) => record.get(member)!.state === 'serving';
    const pair = o.pair ?? P11;
    const members = this.world.topology.pairs.get(pair)!.members;
    const here = members.filter(serves);
    const absent = members.filter((member) => !serves(member));
    assert(here.length > 0);
    const center = this.world.topology.members.get(here[0]!)!.center;
    const offMap = absent.map(
      () =>
        [...this.world.nodes.keys()].find(
          (other) =>
            !members.includes(other) &&
            serves(other) &&
            this.world.topology.members.get(other)!.center === center,
        )!,
    );
    const blob = { ...this.blobOf(key, pair), ...(absent.length > 0 && { offMap, absent }) };
    for (const member of here) this.place(member, blob);
    for (const [at, member] of offMap.entries()) this.place(member, blob, { handoffFor: absent[at]! });
    await this.commit(key, blob, pairEpochs.get(pair)!);
    return blob;
  }

  blobOf(text: string, pair: PairId = P11): BlobRef {
    const bytes = Buffer.from(`${text} ${++this.#sequence}`);
    const id = createHash('sha256').update(bytes).digest('hex').slice(0, 32) as BlobId;
    const tree = new DigestTreeBuilder();
    tree.push(createHash('sha256').update(bytes).digest());
    return { id, size: bytes.length, root: tree.root(), pair };
  }

  place(
    member: MemberId,
    blob: BlobRef,
    o: Partial<WriteIntent> & { state?: 'pending' | 'confirmed' } = {},
  ): void {
    const { state = 'confirmed', ...intent } = o;
    const { id, size, root } = blob;
    this.node(member).blobs.set(id, {
      ...{ id, size, root, state, chunks: [Buffer.alloc(size)] },
      intent: {
        ...{ writeId: this.#writeId(), intentAt: this.clock.now(), bucket: 'bucket', key: 'key' },
        ...intent,
      },
    });
  }

  async commit(key: string, blob: BlobRef, epoch = 1): Promise<void> {
    const done = await this.catalog.putVersion({
      ...{ writeId: this.#writeId(), bucketId: this.bucket, key, owner: 'owner' as AccountId },
      ...{ size: blob.size, etag: blob.id },
      attributes: { system: {}, user: {}, tags: {}, storageClass: 'STANDARD' },
      content: { kind: 'blob', blob, intentAt: this.clock.now(), epoch: epoch as never },
    });
    assert.equal(done.outcome, 'done', JSON.stringify(done));
    this.blobs.set(key, blob);
  }

  async remove(key: string): Promise<void> {
    const writeId = this.#writeId();
    const owner = 'owner' as AccountId;
    await this.catalog.deleteVersion({ writeId, bucketId: this.bucket, key, owner });
    this.blobs.delete(key);
  }

  #writeId = () => `00000000-0000-4000-8000-${String(++this.#sequence).padStart(12, '0')}` as WriteId;

  // --------------------------------------------------------------------------------------------- gateways

  /** What a gateway works with; `step` is told of each call before and after it. */
  gateway(owner = 'gateway-1', step: Step = () => {}): GatewayParts {
    const catalog = watched('catalog', this.catalog as WholeCatalog, step);
    let known = this.catalog.conditions;
    const view: ConditionView = {
      ...viewOf(() => known),
      reload: async () => {
        known = await catalog.readConditions();
        return known;
      },
    };
    const clients = new Map(
      [...this.world.nodes].map(([id, node]) => [id, watched(id, node as ReplicaClient, step)] as const),
    );
    const { clock, random, topology } = this.world;
    return {
      ...{ catalog, clients, topology, view, clock, random, owner, log: quiet },
      ...{ pace: () => 1e9, leaseMs: 15_000, intentMs: 8 * HOUR_MS },
    };
  }

  resync(member: MemberId, deps = this.gateway(), stop = new AbortController().signal): Promise<ResyncEnd> {
    return this.run(runResync(deps, member, stop));
  }

  /** What the repair job does, until nothing is due. */
  async repairAll(deps: CarryDeps & ResyncDeps = this.gateway()) {
    const counts = newCarryCounts();
    const signal = new AbortController().signal;
    for (;;) {
      const due = await this.run(deps.catalog.takeRepairs({ max: 100, leaseMs: 1_000 }));
      if (due.length === 0) return counts;
      for (const [member, own] of Map.groupBy(due, (repair) => repair.member))
        await this.run(carryHome(deps, member, own, counts, signal));
    }
  }

  // ---------------------------------------------------------------------------------------------- checks

  home(member: MemberId): BlobId[] {
    return [...this.node(member).blobs.values()]
      .filter(({ intent }) => intent.handoffFor === undefined)
      .map(({ id }) => id)
      .sort();
  }
  handoffs(): number {
    return [...this.world.nodes.values()].reduce(
      (sum, node) =>
        sum + [...node.blobs.values()].filter(({ intent }) => intent.handoffFor !== undefined).length,
      0,
    );
  }
  /** Sound copies of a blob among all nodes. */
  copies(blob: BlobRef): number {
    return [...this.world.nodes.values()].filter(
      (node) => node.blobs.get(blob.id)?.root.equals(blob.root) && !node.rotten.has(blob.id),
    ).length;
  }
  /** Nothing acknowledged stands less than twice. */
  assertKeptTwice(what: string): void {
    for (const [key, blob] of this.blobs) assert(this.copies(blob) >= 2, `${what}: ${key} stands once`);
  }
  /** Both twins have what the catalog names, and nothing else; nothing waits, nothing is parked. */
  async assertWhole(pair: PairId = P11): Promise<void> {
    const rows = await this.catalog.listBlobs({ pair, max: 100_000 });
    const named = rows.map(({ id }) => id).sort();
    const [a, b] = this.world.topology.pairs.get(pair)!.members;
    assert.deepEqual(this.home(a), named, `${a} has what the catalog names`);
    assert.deepEqual(this.home(b), named, `${b} has what the catalog names`);
    assert.equal((await this.catalog.countRepairs()).queued, 0);
    assert.equal(this.handoffs(), 0);
    this.assertKeptTwice('at rest');
  }
  async assertServes(member: MemberId): Promise<void> {
    const record = await this.catalog.readConditions();
    assert.equal(record.members.get(member)!.state, 'serving');
    assert.equal(this.node(member).state, 'serving');
    assert.equal(this.node(member).epoch, record.pairEpochs.get(P11));
  }
}

/** `target`, with `step` called before and after each of its calls. */
function watched<T extends object>(name: string, target: T, step: Step): T {
  return new Proxy(target, {
    get(object, property) {
      const value = Reflect.get(object, property, object);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]) => {
        const call = `${name}.${String(property)}`;
        await step(`before ${call}`);
        const answer = await value.apply(object, args);
        await step(`after ${call}`);
        return answer;
      };
    },
  });
}
