/**
 * A storage node and its client in one, in memory, on a virtual clock. It keeps what NodeClient promises (deadlines,
 * verified chunks, error kinds) and misbehaves below that as its `faults` say. Counts what is asked and left open.
 */
import type { Clock, Random } from '../../src/base/clock.ts';
import type { BlobId, Epoch, MemberId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { DigestTreeBuilder } from '../../src/nodes/digest-tree.ts';
import {
  type BlobReader,
  type BlobWriter,
  type InventoryEntry,
  type NodeClient,
  NodeError,
  type NodeErrorKind,
  type NodeState,
  type NodeStatus,
  type PullRequest,
  type PullResult,
  type WriteIntent,
} from '../../src/nodes/protocol.ts';

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
  readonly intent: WriteIntent;
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
  state: NodeState = 'serving';
  epoch = 1 as Epoch;
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
    const { epoch } = options ?? {};
    if (epoch !== undefined && epoch < this.epoch) {
      this.refused += 1;
      const stale = this.error('stale-epoch');
      stale.epoch = this.epoch;
      throw stale;
    }
    if (epoch !== undefined) this.epoch = epoch;
    if (this.state === 'serving' || (this.state === 'resyncing' && options?.lastResort)) return;
    this.refused += 1;
    throw this.error('fenced');
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
    options?: { epoch?: Epoch; signal?: AbortSignal; lastResort?: boolean },
  ): Promise<BlobReader> {
    this.calls.read += 1;
    await this.answer(FAKE_DEADLINES.firstByteMs, options?.signal);
    this.admit(options);
    const stored = this.blobs.get(id);
    if (!stored) throw this.error('not-found');
    if (!stored.root.equals(blob.root) || stored.size !== blob.size) throw this.error('corrupt');
    return new FakeReader(this, stored, range);
  }

  async pull({ sources, blobs }: PullRequest, signal?: AbortSignal): Promise<readonly PullResult[]> {
    this.calls.pull += 1;
    await this.answer(FAKE_DEADLINES.firstByteMs, signal);
    const fault = this.faults.failPull;
    delete this.faults.failPull;
    return blobs.map(({ id, size, root, state, intent }) => {
      const failed = (kind: NodeErrorKind): PullResult => ({ id, outcome: 'failed', kind, error: kind });
      if (fault) return failed(fault);
      if (this.blobs.has(id)) return { id, outcome: 'had' };
      if (this.faults.full) return failed('full');
      for (const source of sources) {
        const peer = this.peers.get(source.member);
        const stored = peer?.blobs.get(id);
        if (!stored || peer!.faults.down || peer!.faults.stopped || !stored.root.equals(root)) continue;
        this.blobs.set(id, { id, size, root, state, intent, chunks: stored.chunks });
        return { id, outcome: 'pulled' };
      }
      return failed('not-found');
    });
  }

  async stat(id: BlobId): Promise<InventoryEntry | null> {
    await this.answer(FAKE_DEADLINES.firstByteMs);
    return this.blobs.get(id) ?? null;
  }

  async confirm(ids: readonly BlobId[]): Promise<void> {
    this.calls.confirm += 1;
    await this.answer(FAKE_DEADLINES.firstByteMs);
    for (const id of ids) {
      const blob = this.blobs.get(id);
      if (blob) blob.state = 'confirmed';
    }
  }

  async delete(ids: readonly BlobId[]): Promise<void> {
    this.calls.delete += 1;
    await this.answer(FAKE_DEADLINES.firstByteMs);
    for (const id of ids) this.blobs.delete(id);
  }

  async pending(query: { before: number; after?: BlobId; max: number }): Promise<readonly InventoryEntry[]> {
    await this.answer(FAKE_DEADLINES.firstByteMs);
    const entries = [...this.blobs.values()].filter(
      (blob) => blob.state === 'pending' && blob.intent.intentAt < query.before,
    );
    return page(entries, query);
  }

  async inventory(query: { after?: BlobId; max: number }): Promise<readonly InventoryEntry[]> {
    await this.answer(FAKE_DEADLINES.firstByteMs);
    return page([...this.blobs.values()], query);
  }

  async status(): Promise<NodeStatus> {
    this.calls.status += 1;
    await this.answer(FAKE_DEADLINES.firstByteMs);
    return {
      member: this.member,
      requests: this.calls.read + this.calls.write,
      controlRequests: this.calls.status,
      blobs: this.blobs.size,
      storedBytes: 0,
      freeBytes: 0,
      pid: 0,
    };
  }

  async close(): Promise<void> {}
}

function page(entries: StoredBlob[], query: { after?: BlobId; max: number }): readonly InventoryEntry[] {
  return entries
    .filter((entry) => query.after === undefined || entry.id > query.after)
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .slice(0, query.max);
}

/** What writer and reader share: they are open until they end, and a call in flight ends when they are closed. */
abstract class Handle {
  protected readonly node: FakeNode;
  protected readonly closed = new AbortController();
  #isOpen = true;
  #isBusy = false;

  constructor(node: FakeNode) {
    this.node = node;
    node.openHandles += 1;
  }

  protected end(): void {
    if (this.#isOpen) this.node.openHandles -= 1;
    this.#isOpen = false;
    this.closed.abort(new Error('closed'));
  }

  protected async call<T>(run: () => Promise<T>): Promise<T> {
    if (this.#isBusy) throw new Error(`${this.node.member}: two calls at once`);
    if (!this.#isOpen) throw this.node.error('aborted');
    this.#isBusy = true;
    try {
      return await run();
    } catch (error) {
      this.end();
      throw error;
    } finally {
      this.#isBusy = false;
    }
  }
}

class FakeWriter extends Handle implements BlobWriter {
  readonly #id: BlobId;
  readonly #size: number;
  readonly #intent: WriteIntent;
  readonly #chunks: Buffer[] = [];
  readonly #tree = new DigestTreeBuilder();

  constructor(node: FakeNode, id: BlobId, size: number, intent: WriteIntent) {
    super(node);
    this.#id = id;
    this.#size = size;
    this.#intent = intent;
  }

  write(chunk: Buffer, digest: Buffer): Promise<void> {
    return this.call(async () => {
      const { faults } = this.node;
      const after = this.#chunks.length;
      if (takeFault(faults, 'cutWriteAfter', after)) throw this.node.error('unreachable');
      if (takeFault(faults, 'fullWriteAfter', after)) throw this.node.error('full');
      const isStalled = takeFault(faults, 'stallWriteAfter', after);
      await this.node.answer(FAKE_DEADLINES.stallMs, this.closed.signal, isStalled);
      this.#chunks.push(chunk);
      this.#tree.push(digest);
    });
  }

  finish(root: Buffer): Promise<void> {
    return this.call(async () => {
      await this.node.answer(FAKE_DEADLINES.stallMs, this.closed.signal);
      const size = this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      if (size !== this.#size || !this.#tree.root().equals(root)) throw this.node.error('protocol');
      const { blobs, faults } = this.node;
      blobs.set(this.#id, {
        id: this.#id,
        size,
        root,
        intent: this.#intent,
        state: 'pending',
        chunks: this.#chunks,
      });
      if (faults.loseFinishAnswer) {
        faults.loseFinishAnswer = false;
        await this.node.answer(FAKE_DEADLINES.stallMs, this.closed.signal, true);
      }
      this.end();
    });
  }

  abort(): void {
    this.end();
  }
}

class FakeReader extends Handle implements BlobReader {
  readonly #blob: StoredBlob;
  readonly #last: number;
  readonly #first: number;
  #index: number;

  constructor(node: FakeNode, blob: StoredBlob, range: { firstChunk: number; lastChunk: number }) {
    super(node);
    this.#blob = blob;
    this.#first = range.firstChunk;
    this.#index = range.firstChunk;
    this.#last = range.lastChunk;
  }

  next(): Promise<Buffer | null> {
    return this.call(async () => {
      if (this.#index > this.#last) {
        this.end();
        return null;
      }
      const { faults } = this.node;
      const after = this.#index - this.#first;
      if (takeFault(faults, 'cutReadAfter', after)) throw this.node.error('unreachable');
      const isStalled = takeFault(faults, 'stallReadAfter', after);
      await this.node.answer(FAKE_DEADLINES.stallMs, this.closed.signal, isStalled);
      if (faults.corruptAtChunk === this.#index) throw this.node.error('corrupt');
      if (takeFault(faults, 'endAtChunk', this.#index)) return null;
      const chunk = this.#blob.chunks[this.#index]!;
      this.#index += 1;
      return takeFault(faults, 'shortAtChunk', this.#index - 1) ? chunk.subarray(1) : chunk;
    });
  }

  close(): void {
    this.end();
  }
}

type CountedFault = {
  [K in keyof Faults]-?: Faults[K] extends number | undefined ? K : never;
}[keyof Faults];

/** True once, when the fault is due. */
function takeFault(faults: Faults, name: CountedFault, at: number): boolean {
  const due = faults[name];
  if (due === undefined || at < due) return false;
  delete faults[name];
  return true;
}

export const WORLD_CHUNK_BYTES = LIMITS.chunkBytes;
