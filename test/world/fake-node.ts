/**
 * A storage node and its client in one, in memory, on a virtual clock. It keeps what NodeClient promises (deadlines,
 * verified chunks, error kinds) and misbehaves below that as its `faults` say. Counts what is asked and left open.
 */
import type { Clock, Random } from '../../src/base/clock.ts';
import type { BlobId, Epoch, MemberId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import {
  type BlobReader,
  type BlobWriter,
  type Damage,
  type InventoryEntry,
  type NodeClient,
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
import { RangeDigests } from '../../src/nodes/range-digests.ts';
import { FIRST_EPOCH } from '../../src/twin/condition.ts';
import { QUIET_NODE } from '../harness/node-status.ts';
import { FakeReader, FakeWriter } from './fake-handles.ts';

export interface Faults {
  /** Refuses connections. */
  down?: boolean;
  /** SIGSTOP: accepts and never answers. */
  stopped?: boolean;
  full?: boolean;
  /** Latency of each answer, ms. */
  slowMs?: number;
  /** The next readers (or writers) break after so many chunks, once. */
  cutReadAfter?: number;
  cutWriteAfter?: number;
  stallReadAfter?: number;
  stallWriteAfter?: number;
  fullWriteAfter?: number;
  /** The next readers find a wrong digest at this chunk of the blob. */
  corruptAtChunk?: number;
  /** A client that breaks its promise: the end, or a chunk of the wrong length, comes too early. */
  endAtChunk?: number;
  shortAtChunk?: number;
  /** The blob is durable and the answer to finish() is lost. */
  loseFinishAnswer?: boolean;
  /** The next pull ends so. */
  failPull?: NodeErrorKind;
}

export interface StoredBlob {
  readonly id: BlobId;
  readonly size: number;
  readonly root: Buffer;
  intent: WriteIntent;
  state: 'pending' | 'confirmed';
  readonly chunks: readonly Buffer[];
}

export const FAKE_DEADLINES = { connectMs: 250, firstByteMs: 1_000, stallMs: 2_000 };

export class FakeNode implements NodeClient {
  readonly member: MemberId;
  readonly blobs = new Map<BlobId, StoredBlob>();
  faults: Faults = {};
  readonly calls = { read: 0, write: 0, confirm: 0, delete: 0, status: 0, pull: 0 };
  /** Data requests that met the wrong epoch or state. */
  refused = 0;
  requests = 0;
  controlRequests = 0;
  state: NodeState = 'serving';
  epoch = 1 as Epoch;
  /** Raised when it is told to stop serving. */
  term = 0;
  /** Blobs whose bytes changed on the disk. */
  readonly rotten = new Set<BlobId>();
  readonly damaged = new Map<BlobId, Damage>();
  openHandles = 0;
  /** All nodes of the world, to pull from. */
  peers: ReadonlyMap<MemberId, FakeNode> = new Map();
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(member: MemberId, clock: Clock, random: Random) {
    this.member = member;
    this.#clock = clock;
    this.#random = random;
  }

  error(kind: NodeErrorKind): NodeError {
    return new NodeError(kind, this.member, kind);
  }

  /** One answer, in time or by its deadline. */
  async answer(deadlineMs: number, signal?: AbortSignal, isStalled = false): Promise<void> {
    const latencyMs = this.#random() + (this.faults.slowMs ?? 0);
    const isSilent = isStalled || this.faults.stopped === true || latencyMs > deadlineMs;
    try {
      if (this.faults.down) await this.#clock.sleep(0, signal);
      else await this.#clock.sleep(isSilent ? deadlineMs : latencyMs, signal);
    } catch {
      throw this.error('aborted');
    }
    if (this.faults.down) throw this.error('unreachable');
    if (isSilent || this.faults.stopped) throw this.error('timeout');
  }

  /** What a data request meets before anything else. */
  admit(options?: { epoch?: Epoch; lastResort?: boolean }): void {
    const { epoch = FIRST_EPOCH, lastResort = false } = options ?? {};
    if (epoch < this.epoch || (this.state !== 'serving' && !(lastResort && this.state === 'resyncing'))) {
      this.refused += 1;
      throw this.#refusal(epoch < this.epoch ? 'stale-epoch' : 'fenced');
    }
    this.epoch = epoch;
    this.requests += 1;
  }

  #refusal(kind: 'stale-epoch' | 'fenced'): NodeError {
    return new NodeError(kind, this.member, kind, { epoch: this.epoch });
  }

  async #control(): Promise<void> {
    await this.answer(FAKE_DEADLINES.firstByteMs);
    this.controlRequests += 1;
  }

  async write(
    id: BlobId,
    size: number,
    intent: WriteIntent,
    options?: { epoch?: Epoch; signal?: AbortSignal },
  ): Promise<BlobWriter> {
    this.calls.write += 1;
    await this.answer(FAKE_DEADLINES.firstByteMs, options?.signal);
    this.admit(options);
    if (this.faults.full) throw this.error('full');
    return new FakeWriter(this, id, size, intent);
  }

  async read(
    id: BlobId,
    blob: { size: number; root: Buffer },
    range: { firstChunk: number; lastChunk: number },
    options?: { epoch?: Epoch; signal?: AbortSignal; lastResort?: boolean; purpose?: 'replication' },
  ): Promise<BlobReader> {
    this.calls.read += 1;
    await this.answer(FAKE_DEADLINES.firstByteMs, options?.signal);
    if (options?.purpose === 'replication') this.controlRequests += 1;
    else this.admit(options);
    const stored = this.blobs.get(id);
    if (!stored) throw this.error('not-found');
    if (!stored.root.equals(blob.root) || stored.size !== blob.size) throw this.error('corrupt');
    return new FakeReader(this, stored, range);
  }

  async pull({ sources, blobs }: PullRequest, signal?: AbortSignal): Promise<readonly PullResult[]> {
    this.calls.pull += 1;
    await this.answer(FAKE_DEADLINES.firstByteMs, signal);
    this.controlRequests += 1;
    const fault = this.faults.failPull;
    delete this.faults.failPull;
    return blobs.map((blob) => {
      const failed = (kind: NodeErrorKind): PullResult => ({
        id: blob.id,
        outcome: 'failed',
        kind,
        error: kind,
      });
      return fault ? failed(fault) : this.#pullOne(blob, sources, failed);
    });
  }

  #pullOne(
    { id, size, root, state, intent, replace }: PullRequest['blobs'][number],
    sources: PullRequest['sources'],
    failed: (kind: NodeErrorKind) => PullResult,
  ): PullResult {
    const here = this.blobs.get(id);
    if (here && (here.size !== size || !here.root.equals(root))) return failed('conflict');
    if (here && !(this.rotten.has(id) && (replace || this.damaged.has(id)))) {
      here.intent = intent;
      if (state === 'confirmed') here.state = state;
      return { id, outcome: 'had' };
    }
    if (this.faults.full) return failed('full');
    let kind: NodeErrorKind = 'not-found';
    for (const { member } of sources) {
      const peer = this.peers.get(member);
      const stored = peer?.blobs.get(id);
      if (!stored || peer!.faults.down || peer!.faults.stopped || !stored.root.equals(root)) continue;
      if (!peer!.rotten.has(id)) {
        this.#remove([id]);
        const kept = here?.state === 'confirmed' ? here.state : state;
        this.blobs.set(id, { id, size, root, state: kept, intent, chunks: stored.chunks });
        return { id, outcome: 'pulled' };
      }
      kind = 'corrupt';
    }
    return failed(kind);
  }

  async stat(id: BlobId): Promise<InventoryEntry | null> {
    await this.#control();
    return this.blobs.get(id) ?? null;
  }

  async confirm(ids: readonly BlobId[]): Promise<void> {
    this.calls.confirm += 1;
    await this.#control();
    for (const id of ids) {
      const blob = this.blobs.get(id);
      if (blob) blob.state = 'confirmed';
    }
  }

  async delete(ids: readonly BlobId[], options?: { epoch?: Epoch }): Promise<void> {
    this.calls.delete += 1;
    await this.answer(FAKE_DEADLINES.firstByteMs);
    this.admit(options);
    this.#remove(ids);
  }

  async drop(ids: readonly BlobId[]): Promise<void> {
    this.calls.delete += 1;
    await this.#control();
    this.#remove(ids);
  }

  #remove(ids: readonly BlobId[]): void {
    for (const id of ids) {
      this.blobs.delete(id);
      this.rotten.delete(id);
      this.damaged.delete(id);
    }
  }

  async pending(query: { before: number; after?: BlobId; max: number }): Promise<readonly InventoryEntry[]> {
    await this.#control();
    const entries = [...this.blobs.values()].filter(
      (blob) => blob.state === 'pending' && blob.intent.intentAt < query.before,
    );
    return page(entries, query);
  }

  async inventory(query: {
    after?: BlobId;
    max: number;
    prefix?: string;
    scope?: 'home' | 'handoff';
  }): Promise<readonly InventoryEntry[]> {
    await this.#control();
    const { prefix = '', scope } = query;
    const entries = [...this.blobs.values()].filter(
      ({ id, intent }) =>
        id.startsWith(prefix) && (!scope || (scope === 'handoff') === (intent.handoffFor !== undefined)),
    );
    return page(entries, query);
  }

  async digests(prefix?: string): Promise<readonly RangeDigest[]> {
    await this.#control();
    const digests = new RangeDigests();
    for (const blob of this.blobs.values()) if (blob.intent.handoffFor === undefined) digests.add(blob);
    return digests.ranges(prefix);
  }

  async setCondition({ state, epoch }: { state: NodeState; epoch: Epoch }): Promise<NodeStatus> {
    await this.#control();
    if (epoch < this.epoch) throw this.#refusal('stale-epoch');
    if (this.state === 'serving' && state !== 'serving') this.term += 1;
    this.epoch = epoch;
    this.state = state;
    return this.#status();
  }

  async status(): Promise<NodeStatus> {
    this.calls.status += 1;
    await this.#control();
    return this.#status();
  }

  #status(): NodeStatus {
    const { member, requests, controlRequests, refused, state, epoch } = this;
    const figures = { requests, controlRequests, refusedRequests: refused, damaged: this.damaged.size };
    return { ...QUIET_NODE, ...figures, member, state, epoch, blobs: this.blobs.size };
  }

  async check(ids: readonly BlobId[]): Promise<readonly Damage[]> {
    await this.#control();
    const foundAt = this.#clock.now();
    return ids.flatMap((id): Damage[] => {
      if (!this.blobs.has(id)) return [{ id, kind: 'missing', foundAt }];
      if (!this.rotten.has(id)) return [];
      const damage: Damage = { id, kind: 'corrupt', foundAt };
      this.damaged.set(id, damage);
      return [damage];
    });
  }

  async damage(query: { after?: BlobId; max: number }): Promise<readonly Damage[]> {
    await this.#control();
    return page([...this.damaged.values()], query);
  }

  async forgetDamage(ids: readonly BlobId[]): Promise<void> {
    await this.#control();
    for (const id of ids) this.damaged.delete(id);
  }

  /** A round takes no time. */
  async scrub({ start }: { start?: boolean }): Promise<ScrubStatus> {
    if (start) await this.check([...this.rotten]);
    else await this.#control();
    return QUIET_NODE.scrub;
  }

  async close(): Promise<void> {}
}

function page<T extends { readonly id: BlobId }>(
  entries: readonly T[],
  query: { after?: BlobId; max: number },
): readonly T[] {
  return entries
    .filter((entry) => query.after === undefined || entry.id > query.after)
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .slice(0, query.max);
}

export const WORLD_CHUNK_BYTES = LIMITS.chunkBytes;
