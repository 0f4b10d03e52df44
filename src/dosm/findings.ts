/**
 * What reads find out about replicas, on its way to the catalog: a repair for each one that is missing or corrupt, a
 * record for each one found off the map. Nobody waits for it and nothing depends on it: what is dropped, on overflow
 * or because the directory is away, the next read finds again. So: each finding once, a bounded queue, batches.
 */
import type { Clock } from '../base/clock.ts';
import type { BlobId, MemberId } from '../base/ids.ts';
import type { BlobRef, ClusterCatalog, NewRepair } from '../ddm/catalog.ts';
import type { BlobDamage } from './finder.ts';
import { OVER } from './guard.ts';

export interface FindingCounts {
  sent: number;
  dropped: number;
}
export interface FindingOptions {
  readonly catalog: Pick<ClusterCatalog, 'addRepairs' | 'recordOffMap'>;
  readonly clock: Clock;
  readonly flushMs?: number;
  readonly queuedMax?: number;
}

const FLUSH_MS = 500;
/** What addRepairs takes. */
const BATCH_MAX = 1_000;
const QUEUED_MAX = 10_000;

export class Findings {
  readonly counts: FindingCounts = { sent: 0, dropped: 0 };
  readonly #options: FindingOptions;
  /** By (blob, member): the last word on a replica. `lost` is not taken back by `missing`. */
  readonly #repairs = new Map<string, NewRepair>();
  readonly #offMap = new Map<string, { readonly blobId: BlobId; readonly member: MemberId }>();
  readonly #closing = new AbortController();
  #flushing: Promise<void> | null = null;

  constructor(options: FindingOptions) {
    this.#options = options;
  }

  readonly onDamage = ({ blob, member, kind }: BlobDamage): void => {
    const known = this.#repairs.get(`${blob.id} ${member}`);
    if (known && kind === 'missing') return;
    const repair = { blobId: blob.id, member, reason: kind, foundBy: 'read' };
    this.#push(this.#repairs, `${blob.id} ${member}`, repair);
  };

  readonly onFoundOffMap = (blob: BlobRef, member: MemberId): void => {
    this.#push(this.#offMap, `${blob.id} ${member}`, { blobId: blob.id, member });
  };

  /** Sends what is queued at once, and takes no more. Bounded by `ms`. */
  async close(ms: number): Promise<void> {
    this.#closing.abort(OVER);
    const stop = new AbortController();
    const late = this.#options.clock.sleep(ms, stop.signal).catch(() => {});
    await Promise.race([this.#flushing, late]);
    stop.abort(OVER);
  }

  #push<T>(queue: Map<string, T>, key: string, finding: T): void {
    const isFull = this.#repairs.size + this.#offMap.size >= (this.#options.queuedMax ?? QUEUED_MAX);
    if (this.#closing.signal.aborted || (isFull && !queue.has(key))) {
      this.counts.dropped += 1;
      return;
    }
    queue.set(key, finding);
    this.#flushing ??= this.#flush();
  }

  async #flush(): Promise<void> {
    const { clock, catalog, flushMs = FLUSH_MS } = this.#options;
    while (this.#repairs.size + this.#offMap.size > 0) {
      // Closing cuts the wait short; what is queued is still sent.
      await clock.sleep(flushMs, this.#closing.signal).catch(() => {});
      // What was found where nobody expected it first: its repairs then have a source on record.
      for (const { blobId, member } of take(this.#offMap, BATCH_MAX))
        await this.#send(1, () => catalog.recordOffMap(blobId, member));
      const repairs = take(this.#repairs, BATCH_MAX);
      if (repairs.length > 0) await this.#send(repairs.length, () => catalog.addRepairs(repairs));
    }
    this.#flushing = null;
  }

  async #send(count: number, send: () => Promise<unknown>): Promise<void> {
    try {
      await send();
      this.counts.sent += count;
    } catch {
      this.counts.dropped += count;
    }
  }
}

function take<T>(queue: Map<string, T>, max: number): T[] {
  const taken: T[] = [];
  for (const [key, value] of queue) {
    if (taken.length === max) break;
    queue.delete(key);
    taken.push(value);
  }
  return taken;
}
