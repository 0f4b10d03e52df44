/**
 * What a storage node keeps and answers, in memory: the whole of the node protocol, without faults of its own. What it
 * has in `disk` outlives its process; writes under way do not. The rules of admission are the real node's: it starts
 * fenced, refuses data requests unless it serves, refuses epochs below its own and adopts those above.
 */
import { createHash } from 'node:crypto';
import type { Clock, Random } from '../../src/base/clock.ts';
import type { BlobId, Epoch, MemberId } from '../../src/base/ids.ts';
import { DigestTreeBuilder } from '../../src/nodes/digest-tree.ts';
import {
  type BlobReader,
  type BlobWriter,
  type Damage,
  type InventoryEntry,
  type NodeClient,
  type NodeControl,
  NodeError,
  type NodeErrorKind,
  type NodeState,
  type NodeStatus,
  type PullRequest,
  type PullResult,
  type RangeDigest,
  type ScrubStatus,
  type WriteIntent,
} from '../../src/nodes/protocol.ts';
import { FIRST_EPOCH } from '../../src/twin/condition.ts';
import { hexOf } from './seeded-random.ts';

export interface StoredBlob {
  readonly id: BlobId;
  readonly size: number;
  readonly root: Buffer;
  intent: WriteIntent;
  state: 'pending' | 'confirmed';
  readonly chunks: readonly Buffer[];
  /** A byte of it has turned: it does not verify. */
  isRotten: boolean;
}
export interface Disk {
  storeId: string;
  /** The last one that was told or adopted. */
  epoch: Epoch;
  readonly blobs: Map<BlobId, StoredBlob>;
}

type ReadOptions = NonNullable<Parameters<NodeClient['read']>[3]>;
/** Opens a read on another node, as a node does it to pull. */
export type PeerReads = (member: MemberId) => Pick<NodeClient, 'read'>;

export class NodeCore implements NodeControl {
  readonly member: MemberId;
  disk: Disk;
  state: NodeState = 'fenced';
  /** Data requests that were admitted, and that were refused. */
  requests = 0;
  refused = 0;
  /** Of the process: what an earlier one had open is gone. */
  run = 0;
  /** Of serving, or not serving: what began in an earlier one is refused at its end. */
  term = 0;
  readonly #damage = new Map<BlobId, Damage>();
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #peers: PeerReads;
  readonly #onStored: (blob: StoredBlob) => void;
  readonly #onRemoved: (id: BlobId) => void;

  constructor(o: {
    member: MemberId;
    clock: Clock;
    random: Random;
    peers: PeerReads;
    onStored: (blob: StoredBlob) => void;
    onRemoved: (id: BlobId) => void;
  }) {
    this.member = o.member;
    this.#clock = o.clock;
    this.#random = o.random;
    this.#peers = o.peers;
    this.#onStored = o.onStored;
    this.#onRemoved = o.onRemoved;
    this.disk = newDisk(o.random);
  }

  error(kind: NodeErrorKind, message: string = kind): NodeError {
    return new NodeError(kind, this.member, message);
  }

  /** The process starts: fenced, with what its disk has. */
  boot(): void {
    this.run += 1;
    this.state = 'fenced';
    this.term += 1;
    this.#damage.clear();
  }

  replaceDisk(): void {
    this.disk = newDisk(this.#random);
  }

  store(blob: StoredBlob): void {
    this.disk.blobs.set(blob.id, blob);
    this.#damage.delete(blob.id);
    this.#onStored(blob);
  }

  #stale(): NodeError {
    return staleEpoch(this.member, this.disk.epoch);
  }

  /** Any work takes a moment. */
  async #work(): Promise<void> {
    await this.#clock.sleep(0.05 + 0.5 * this.#random());
  }

  admit(options: { epoch?: Epoch; lastResort?: boolean } = {}): void {
    const { epoch = FIRST_EPOCH } = options;
    if (epoch < this.disk.epoch) {
      this.refused += 1;
      throw this.#stale();
    }
    this.disk.epoch = epoch;
    if (this.state !== 'serving' && !(this.state === 'resyncing' && options.lastResort)) {
      this.refused += 1;
      throw new NodeError('fenced', this.member, `is ${this.state}`, { epoch: this.disk.epoch });
    }
    this.requests += 1;
  }

  // ---------------------------------------------------------------------------------------- data requests

  async write(
    id: BlobId,
    size: number,
    intent: WriteIntent,
    options?: { epoch?: Epoch },
  ): Promise<BlobWriter> {
    this.admit(options);
    const { run, term } = this;
    await this.#work();
    const chunks: Buffer[] = [];
    const tree = new DigestTreeBuilder();
    const alive = () => {
      if (run !== this.run) throw this.error('unreachable', 'the connection is gone');
    };
    return {
      write: async (chunk, digest) => {
        alive();
        await this.#work();
        chunks.push(chunk);
        tree.push(digest);
      },
      finish: async (root) => {
        alive();
        await this.#work();
        const stored = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
        if (stored !== size || !tree.root().equals(root)) throw this.error('protocol');
        if (this.term !== term) throw this.error('fenced', 'stopped serving in the middle of the write');
        this.store({ id, size, root, intent, state: 'pending', chunks, isRotten: false });
      },
      abort: () => {},
    };
  }

  async read(
    id: BlobId,
    blob: { size: number; root: Buffer },
    range: { firstChunk: number; lastChunk: number },
    options: Omit<ReadOptions, 'signal'> = {},
  ): Promise<BlobReader> {
    if (options.purpose !== 'replication') this.admit(options);
    await this.#work();
    const stored = this.disk.blobs.get(id);
    if (!stored) throw this.error('not-found');
    if (!stored.root.equals(blob.root) || stored.size !== blob.size) throw this.error('corrupt');
    const run = this.run;
    let next = range.firstChunk;
    return {
      next: async () => {
        if (run !== this.run) throw this.error('unreachable', 'the connection is gone');
        await this.#work();
        if (next > range.lastChunk) return null;
        // The reader's client verifies each chunk; a turned byte shows there.
        if (stored.isRotten) {
          this.#noteDamage(id, 'corrupt');
          throw this.error('corrupt');
        }
        next += 1;
        return stored.chunks[next - 1]!;
      },
      close: () => {},
    };
  }

  async confirm(ids: readonly BlobId[]): Promise<void> {
    await this.#work();
    this.#confirm(ids);
  }

  async delete(ids: readonly BlobId[], options?: { epoch?: Epoch }): Promise<void> {
    this.admit(options);
    await this.drop(ids);
  }

  // ------------------------------------------------------------------------------------- control requests

  async setCondition({ state, epoch }: { state: NodeState; epoch: Epoch }): Promise<NodeStatus> {
    await this.#work();
    if (epoch < this.disk.epoch) throw this.#stale();
    this.disk.epoch = epoch;
    if (this.state !== state) this.term += 1;
    this.state = state;
    return this.#status();
  }

  async stat(id: BlobId): Promise<InventoryEntry | null> {
    await this.#work();
    return this.disk.blobs.get(id) ?? null;
  }

  async status(): Promise<NodeStatus> {
    await this.#work();
    return this.#status();
  }

  async pending(query: { before: number; after?: BlobId; max: number }): Promise<readonly InventoryEntry[]> {
    await this.#work();
    return page(
      this.#all().filter(({ state, intent }) => state === 'pending' && intent.intentAt < query.before),
      query,
    );
  }

  async inventory(query: {
    after?: BlobId;
    max: number;
    prefix?: string;
    scope?: 'home' | 'handoff';
  }): Promise<readonly InventoryEntry[]> {
    await this.#work();
    const isWanted = ({ id, intent }: StoredBlob) =>
      (query.prefix === undefined || id.startsWith(query.prefix)) &&
      (query.scope === undefined || (query.scope === 'handoff') === (intent.handoffFor !== undefined));
    return page(this.#all().filter(isWanted), query);
  }

  async digests(prefix = ''): Promise<readonly RangeDigest[]> {
    await this.#work();
    const ranges = new Map<string, { count: number; sum: Buffer }>();
    for (const { id, size, root, intent } of this.#all()) {
      if (intent.handoffFor !== undefined || !id.startsWith(prefix)) continue;
      const name = id.slice(0, prefix.length + 2);
      const range = ranges.get(name) ?? { count: 0, sum: Buffer.alloc(32) };
      const digest = createHash('sha256').update(`${id} ${size} `).update(root).digest();
      for (let i = 0; i < 32; i += 1) range.sum[i]! ^= digest[i]!;
      range.count += 1;
      ranges.set(name, range);
    }
    return [...ranges]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, range]) => ({ prefix: name, ...range }));
  }

  async pull({ sources, blobs }: PullRequest): Promise<readonly PullResult[]> {
    const results: PullResult[] = [];
    for (const wanted of blobs) results.push(await this.#pullOne(wanted, sources));
    return results;
  }

  async #pullOne(wanted: PullRequest['blobs'][number], sources: PullRequest['sources']): Promise<PullResult> {
    const { id, size, root, state, intent, replace } = wanted;
    const here = this.disk.blobs.get(id);
    if (here && !(replace && here.isRotten)) {
      if (!here.root.equals(root)) return { id, outcome: 'failed', kind: 'conflict', error: 'another root' };
      if (state === 'confirmed') this.#confirm([id]);
      const { handoffFor: _, ...own } = here.intent;
      here.intent = intent.handoffFor === undefined ? own : { ...own, handoffFor: intent.handoffFor };
      return { id, outcome: 'had' };
    }
    let failure = this.error('not-found', 'no source');
    for (const { member } of sources) {
      try {
        const chunks = await this.#copyFrom(member, wanted);
        this.store({ id, size, root, intent, state, chunks, isRotten: false });
        return { id, outcome: 'pulled' };
      } catch (error) {
        if (!(error instanceof NodeError)) throw error;
        failure = error;
      }
    }
    return { id, outcome: 'failed', kind: failure.kind, error: failure.message };
  }

  async #copyFrom(member: MemberId, wanted: PullRequest['blobs'][number]): Promise<Buffer[]> {
    const chunks: Buffer[] = [];
    const range = { firstChunk: 0, lastChunk: Number.MAX_SAFE_INTEGER };
    const reader = await this.#peers(member).read(wanted.id, wanted, range, { purpose: 'replication' });
    let left = wanted.size;
    while (left > 0) {
      const chunk = await reader.next();
      if (!chunk) throw this.error('protocol', 'the end came too early');
      chunks.push(chunk);
      left -= chunk.length;
    }
    reader.close();
    return chunks;
  }

  async drop(ids: readonly BlobId[]): Promise<void> {
    await this.#work();
    for (const id of ids) {
      if (this.disk.blobs.delete(id)) this.#onRemoved(id);
      this.#damage.delete(id);
    }
  }

  async check(ids: readonly BlobId[]): Promise<readonly Damage[]> {
    await this.#work();
    const foundAt = this.#clock.now();
    return ids.flatMap((id): Damage[] => {
      const blob = this.disk.blobs.get(id);
      if (!blob) return [{ id, kind: 'missing', foundAt }];
      return blob.isRotten ? [this.#noteDamage(id, 'corrupt')] : [];
    });
  }

  async damage(query: { after?: BlobId; max: number }): Promise<readonly Damage[]> {
    await this.#work();
    return page([...this.#damage.values()], query);
  }

  async forgetDamage(ids: readonly BlobId[]): Promise<void> {
    await this.#work();
    for (const id of ids) this.#damage.delete(id);
  }

  async scrub(): Promise<ScrubStatus> {
    await this.check([...this.disk.blobs.keys()]);
    return NO_SCRUB;
  }

  // ---------------------------------------------------------------------------------------------- inside

  #all(): StoredBlob[] {
    return [...this.disk.blobs.values()];
  }

  #confirm(ids: readonly BlobId[]): void {
    for (const id of ids) {
      const blob = this.disk.blobs.get(id);
      if (blob) blob.state = 'confirmed';
    }
  }

  #noteDamage(id: BlobId, kind: Damage['kind']): Damage {
    const damage = { id, kind, foundAt: this.#clock.now() };
    this.#damage.set(id, damage);
    return damage;
  }

  #status(): NodeStatus {
    const { member, requests, refused, state, disk } = this;
    return {
      ...{ member, requests, refusedRequests: refused, controlRequests: 0, state, pid: this.run },
      ...{ epoch: disk.epoch, storeId: disk.storeId, blobs: disk.blobs.size, damaged: this.#damage.size },
      ...{ storedBytes: 0, freeBytes: 2 ** 40, missingBlobs: 0, scrub: NO_SCRUB },
    };
  }
}

const NO_SCRUB: ScrubStatus = {
  ...{ bytes: 0, blobs: 0, roundStartedAt: null, lastRoundEndedAt: null, bytesPerSecondMax: 0 },
};

function staleEpoch(member: MemberId, epoch: Epoch): NodeError {
  return new NodeError('stale-epoch', member, `the epoch is ${epoch}`, { epoch });
}

const newDisk = (random: Random): Disk => ({
  storeId: hexOf(random, 16),
  epoch: 0 as Epoch,
  blobs: new Map(),
});

function page<T extends { readonly id: BlobId }>(
  entries: readonly T[],
  q: { after?: BlobId; max: number },
): T[] {
  return entries
    .filter((entry) => q.after === undefined || entry.id > q.after)
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .slice(0, q.max);
}
