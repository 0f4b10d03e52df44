/**
 * Reads every blob again and again, at a rate, so that bytes that changed on the disk are found before they are needed.
 *
 *   resting --roundMs since the last round began, or asked to start--> round --last blob read--> resting
 *
 * A round goes through the ids in order. Its cursor is durable (every SAVE_MS and at an orderly end), so a restart goes
 * on where it was, reading at most SAVE_MS worth of bytes twice; a blob that was half read is read again.
 * It yields to clients: while more than BUSY_REQUESTS data requests are under way it waits, but for one chunk a second.
 * Damage goes to the store's list. Rate 0: the scrub stands still, wherever it is.
 */
import type { Logger } from 'pino';
import { z } from 'zod';
import { type Clock, OVER } from '../base/clock.ts';
import type { BlobId } from '../base/ids.ts';
import { type Verdict, type VerifiableStore, verifyBlob } from './blob-store/verify-blob.ts';
import type { ScrubCommand } from './control-codec.ts';
import { blobIdSchema } from './entry-codec.ts';
import { Pace } from './pace.ts';
import type { Damage, InventoryEntry, ScrubStatus } from './protocol.ts';

export const SCRUB_BYTES_PER_SECOND = 8 * 1024 * 1024;
export const SCRUB_ROUND_MS = 7 * 24 * 3_600_000;
/** Reading an empty or tiny blob costs about as much as reading this much of a large one. */
const BLOB_COST_BYTES = 4 * 1024;
const PAGE = 100;
const SAVE_MS = 10_000;
const BUSY_REQUESTS = 4;
const BUSY_STEP_MS = 50;
const BUSY_MS_MAX = 1_000;
/** A round that is due is noticed within this. */
const REST_MS = 60_000;
const AFTER_ERROR_MS = 60_000;
const NAME = 'scrub';

/** What of a store the scrub needs. */
export interface ScrubbedStore extends VerifiableStore {
  readonly notes: { get(name: string): unknown; put(name: string, document: object): Promise<void> };
  inventory(query: { after?: BlobId; max: number }): readonly InventoryEntry[];
  report(id: BlobId, kind: Damage['kind']): Promise<void>;
}

export interface ScrubOptions {
  readonly store: ScrubbedStore;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn' | 'error'>;
  readonly bytesPerSecondMax: number;
  readonly roundMs: number;
  /** Data requests that are being served. */
  readonly underWay: () => number;
}

const progressSchema = z.object({
  cursor: blobIdSchema.nullable(),
  bytes: z.number(),
  blobs: z.number(),
  roundStartedAt: z.number().nullable(),
  lastRoundEndedAt: z.number().nullable(),
});
interface Progress {
  /** The last blob that was read. */
  cursor: BlobId | null;
  bytes: number;
  blobs: number;
  roundStartedAt: number | null;
  lastRoundEndedAt: number | null;
}
const FRESH: Progress = { cursor: null, bytes: 0, blobs: 0, roundStartedAt: null, lastRoundEndedAt: null };

export class Scrub {
  readonly #options: ScrubOptions;
  readonly #pace: Pace;
  readonly #ended = new AbortController();
  /** Ends a rest when something was commanded. */
  #commanded = new AbortController();
  #progress: Progress;
  #startAsked = false;
  #savedAt: number;
  #running: Promise<void> | null = null;

  constructor(options: ScrubOptions) {
    this.#options = options;
    this.#pace = new Pace(options.clock, options.bytesPerSecondMax);
    const stored = progressSchema.safeParse(options.store.notes.get(NAME));
    this.#progress = stored.success ? stored.data : { ...FRESH };
    this.#savedAt = options.clock.monotonic();
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends it, with its cursor saved. */
  async close(): Promise<void> {
    this.#ended.abort(OVER);
    await this.#running;
  }

  status(): ScrubStatus {
    const { bytes, blobs, roundStartedAt, lastRoundEndedAt } = this.#progress;
    const { bytesPerSecondMax } = this.#pace;
    return { bytes, blobs, roundStartedAt, lastRoundEndedAt, bytesPerSecondMax };
  }

  command({ start, bytesPerSecondMax }: ScrubCommand): ScrubStatus {
    if (bytesPerSecondMax !== undefined) this.#pace.bytesPerSecondMax = bytesPerSecondMax;
    if (start) this.#startAsked = true;
    this.#commanded.abort(OVER);
    this.#commanded = new AbortController();
    return this.status();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      try {
        if (this.#begin()) await this.#round();
        if (!this.#startAsked || this.#pace.bytesPerSecondMax === 0) await this.#rest(REST_MS);
      } catch (error) {
        if (signal.aborted) break;
        this.#options.log.error({ err: error }, 'the scrub was interrupted');
        await this.#rest(AFTER_ERROR_MS).catch(() => {});
      }
    }
    await this.#save().catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'the position of the scrub could not be saved');
    });
  }

  /** Until a command, or so long. Rejects at the end. */
  async #rest(ms: number): Promise<void> {
    const signal = AbortSignal.any([this.#ended.signal, this.#commanded.signal]);
    await this.#options.clock.sleep(ms, signal).catch(() => this.#ended.signal.throwIfAborted());
  }

  /** Whether a round is under way from now on. */
  #begin(): boolean {
    if (this.#pace.bytesPerSecondMax === 0) return false;
    if (this.#startAsked) {
      // A round under way begins anew: whoever asks wants what is there now to be read.
      this.#startAsked = false;
      this.#progress = { ...this.#progress, cursor: null, bytes: 0, blobs: 0, roundStartedAt: this.#now() };
      return true;
    }
    const { roundStartedAt, lastRoundEndedAt } = this.#progress;
    if (roundStartedAt !== null) return true;
    if (lastRoundEndedAt !== null && this.#now() - lastRoundEndedAt < this.#options.roundMs) return false;
    this.#progress = { ...FRESH, lastRoundEndedAt, roundStartedAt: this.#now() };
    return true;
  }

  #now(): number {
    return this.#options.clock.now();
  }

  /** Ends early when it is to stand still, or to begin anew. */
  async #round(): Promise<void> {
    const { store } = this.#options;
    for (;;) {
      const { cursor } = this.#progress;
      const page = store.inventory({ max: PAGE, ...(cursor === null ? {} : { after: cursor }) });
      if (page.length === 0) break;
      for (const entry of page) {
        if (this.#startAsked || this.#pace.bytesPerSecondMax === 0) return;
        await this.#verify(entry);
      }
    }
    this.#progress.cursor = null;
    this.#progress.roundStartedAt = null;
    this.#progress.lastRoundEndedAt = this.#now();
    await this.#save();
  }

  async #verify(entry: InventoryEntry): Promise<void> {
    const { store, log, clock } = this.#options;
    const progress = this.#progress;
    const verdict = await this.#read(entry, progress);
    if (verdict === 'missing' || verdict === 'corrupt') {
      log.warn({ blob: entry.id, damage: verdict }, 'the scrub found damage');
      await store.report(entry.id, verdict);
    }
    progress.blobs += 1;
    progress.cursor = entry.id;
    if (clock.monotonic() - this.#savedAt >= SAVE_MS) await this.#save();
  }

  /** null: it could not be told, and the round goes on. */
  async #read(entry: InventoryEntry, progress: Progress): Promise<Verdict | null> {
    const { store, log } = this.#options;
    const { signal } = this.#ended;
    try {
      return await verifyBlob(store, entry, async (bytes) => {
        await this.#yield();
        await this.#pace.take(bytes + BLOB_COST_BYTES, signal);
        progress.bytes += bytes;
      });
    } catch (error) {
      signal.throwIfAborted();
      log.error({ blob: entry.id, err: error }, 'the scrub could not read a blob');
      return null;
    }
  }

  async #yield(): Promise<void> {
    const { clock, underWay } = this.#options;
    const until = clock.monotonic() + BUSY_MS_MAX;
    while (underWay() > BUSY_REQUESTS && clock.monotonic() < until) {
      await clock.sleep(BUSY_STEP_MS, this.#ended.signal);
    }
  }

  async #save(): Promise<void> {
    await this.#options.store.notes.put(NAME, this.#progress);
    this.#savedAt = this.#options.clock.monotonic();
  }
}
