/**
 * Copies blobs from other nodes to this one, node to node. Every chunk is verified against the root that the caller
 * brought before it is written; a blob becomes visible whole, durable and with the state that was asked for, or not at
 * all. Invariant: what is here and verifies is never given up; what does not is replaced by good bytes in one step.
 * A source that is silent is passed over for the rest of the request, so that it costs a deadline or two and not one a blob.
 * Bounded: BLOBS_MAX at once on the node, each with about a MiB in memory, BLOBS_PER_REQUEST_MAX of one request.
 */
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import { LIMITS } from '../base/limits.ts';
import { type BlobStore, type Reservation, StoreError } from './blob-store/blob-store.ts';
import { Slots } from './blob-store/keyed-lock.ts';
import { verifyBlob } from './blob-store/verify-blob.ts';
import { createNodeClient } from './client.ts';
import { chunkBytes, chunkCount, digest } from './digest-tree.ts';
import { Pace } from './pace.ts';
import {
  type BlobReader,
  type InventoryEntry,
  type NodeClient,
  type NodeDeadlines,
  NodeError,
  type NodeErrorKind,
  type PullRequest,
  type PullResult,
} from './protocol.ts';
import type { Work } from './server/progress.ts';

const BLOBS_MAX = 64;
const BLOBS_PER_REQUEST_MAX = 8;
/** Nobody waits for the first byte here, so a busy source gets more time than it has with a gateway. */
const DEADLINES: NodeDeadlines = { connectMs: 500, firstByteMs: 2_000, stallMs: 3_000 };

/** A source that was silent so often in a row is not asked again for the same request. */
const SILENCES_MAX = 3;
const SILENT: ReadonlySet<NodeErrorKind> = new Set(['unreachable', 'timeout']);

type Wanted = PullRequest['blobs'][number];
interface Source {
  readonly client: NodeClient;
  silences: number;
  lastSilence: NodeError | null;
}
interface Job {
  readonly sources: readonly Source[];
  readonly pace: Pace;
  readonly work: Work;
}

export interface PullerOptions {
  readonly store: BlobStore;
  readonly secret: Buffer;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'error'>;
}

export class Puller {
  readonly #options: PullerOptions;
  readonly #store: BlobStore;
  readonly #slots = new Slots(BLOBS_MAX);

  constructor(options: PullerOptions) {
    this.#options = options;
    this.#store = options.store;
  }

  /** One result for each blob, in order. Rejects when the work is called off. */
  async pull(request: PullRequest, work: Work): Promise<PullResult[]> {
    const { secret, clock } = this.#options;
    const sources = request.sources.map((source): Source => {
      const client = createNodeClient({ ...source, secret, deadlines: DEADLINES, clock });
      return { client, silences: 0, lastSilence: null };
    });
    const job: Job = { sources, pace: new Pace(clock, request.bytesPerSecondMax ?? 0), work };
    const results: PullResult[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < request.blobs.length) {
        const at = next;
        next += 1;
        results[at] = await this.#slots.run(() => this.#pullOne(request.blobs[at]!, job));
        work.advanced();
      }
    };
    try {
      const ended = await Promise.allSettled(Array.from({ length: BLOBS_PER_REQUEST_MAX }, worker));
      for (const end of ended) if (end.status === 'rejected') throw end.reason;
      return results;
    } finally {
      await Promise.all(sources.map(({ client }) => client.close().catch(() => {})));
    }
  }

  async #pullOne(wanted: Wanted, job: Job): Promise<PullResult> {
    const { id } = wanted;
    try {
      job.work.signal.throwIfAborted();
      const here = this.#store.stat(id);
      if (here && !isSame(here, wanted)) throw new StoreError('conflict', 'the blob exists with other bytes');
      const isGood = here !== null && (await this.#isGood(here, wanted, job));
      if (!isGood) await this.#copy({ ...wanted, replace: here !== null }, job);
      // Also after a copy: somebody else may have brought the blob meanwhile.
      await this.#store.settle(id, wanted.state, wanted.intent);
      return { id, outcome: isGood ? 'had' : 'pulled' };
    } catch (error) {
      if (job.work.signal.aborted) throw error;
      return this.#failure(id, error);
    }
  }

  #failure(id: Wanted['id'], error: unknown): PullResult {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof NodeError) return { id, outcome: 'failed', kind: error.kind, error: message };
    if (error instanceof StoreError && error.kind !== 'closed') {
      return { id, outcome: 'failed', kind: error.kind, error: message };
    }
    this.#options.log.error({ err: error, blob: id }, 'a blob could not be pulled');
    return { id, outcome: 'failed', error: message };
  }

  /** Read again when the caller doubts it, or when it is known to be damaged. */
  async #isGood(here: InventoryEntry, wanted: Wanted, { work }: Job): Promise<boolean> {
    const isDamaged = this.#store.notes.isDamaged(here.id);
    if (!wanted.replace && !isDamaged) return true;
    const verdict = await verifyBlob(this.#store, here, async () => {
      work.signal.throwIfAborted();
      work.advanced();
    });
    if (verdict === 'sound') {
      if (isDamaged) await this.#store.notes.forgetDamage([here.id]);
      return true;
    }
    if (verdict !== 'removed') await this.#store.report(here.id, verdict);
    return false;
  }

  /** From the first source that has it. @throws {NodeError} of the last one; {StoreError} of our own disk, at once */
  async #copy(wanted: Wanted, job: Job): Promise<void> {
    let failure: NodeError | null = null;
    for (const source of job.sources) {
      if (source.silences >= SILENCES_MAX) {
        failure = source.lastSilence;
        continue;
      }
      try {
        await this.#copyFrom(source.client, wanted, job);
        source.silences = 0;
        return;
      } catch (error) {
        if (!(error instanceof NodeError) || job.work.signal.aborted) throw error;
        failure = error;
        source.silences = SILENT.has(error.kind) ? source.silences + 1 : 0;
        source.lastSilence = error;
      }
    }
    throw failure ?? new Error('no source was named');
  }

  async #copyFrom(source: NodeClient, wanted: Wanted, job: Job): Promise<void> {
    const { id, size } = wanted;
    const reservation = await this.#store.reserve(size);
    try {
      await job.pace.take(Math.min(size, LIMITS.chunkBytes), job.work.signal, job.work.advanced);
      const range = { firstChunk: 0, lastChunk: chunkCount(size) - 1 };
      const options = { purpose: 'replication', signal: job.work.signal } as const;
      const reader = await source.read(id, wanted, range, options);
      try {
        if (size <= LIMITS.smallBlobBytesMax) await this.#takeSmall(reader, wanted, reservation);
        else await this.#takeLarge(reader, wanted, reservation, job);
      } finally {
        reader.close();
      }
    } finally {
      reservation.release();
    }
  }

  async #takeSmall(reader: BlobReader, wanted: Wanted, reservation: Reservation): Promise<void> {
    const chunk = (await reader.next()) ?? Buffer.alloc(0);
    const chunkDigest = digest(chunk);
    const frame = Buffer.concat([digest(chunkDigest), chunkDigest, chunk]);
    await this.#store.putSmall(wanted, wanted.root, frame, reservation);
  }

  async #takeLarge(reader: BlobReader, wanted: Wanted, reservation: Reservation, job: Job): Promise<void> {
    const sink = await this.#store.createLarge(wanted, reservation);
    try {
      for (let chunk = await reader.next(), at = 1; chunk; chunk = await reader.next(), at += 1) {
        await sink.append([chunk], digest(chunk));
        job.work.advanced();
        const next = at < chunkCount(wanted.size) ? chunkBytes(wanted.size, at) : 0;
        await job.pace.take(next, job.work.signal, job.work.advanced);
      }
      job.work.signal.throwIfAborted();
      await sink.commit(wanted.root);
    } finally {
      await sink.discard();
    }
  }
}

const isSame = (here: InventoryEntry, wanted: Wanted): boolean =>
  here.size === wanted.size && here.root.equals(wanted.root);
