/**
 * Tells nodes what became of blobs: confirmed (a row names them) or discarded (none ever will). Nobody waits for
 * it and nothing depends on it: what is dropped here, on overflow or failure, the reaper does later. So: bounded
 * queues, one call at a time per node and verb, no repetition.
 */
import type { Clock } from '../base/clock.ts';
import type { BlobId, MemberId } from '../base/ids.ts';
import type { NodeClient } from '../nodes/protocol.ts';
import { OVER } from './guard.ts';

export interface NoticeCounts {
  sent: number;
  dropped: number;
}
export interface NoticeOptions {
  readonly clients: ReadonlyMap<MemberId, Pick<NodeClient, 'confirm' | 'drop'>>;
  /** A member in failover gets no request. */
  readonly isServing: (member: MemberId) => boolean;
  readonly clock: Clock;
  readonly flushMs: number;
  readonly batchIdsMax: number;
  readonly queuedIdsMax: number;
}
interface Queue {
  ids: BlobId[];
  readonly send: (ids: readonly BlobId[]) => Promise<void>;
  flushing: Promise<void> | null;
}

export class NodeNotices {
  readonly counts: NoticeCounts = { sent: 0, dropped: 0 };
  readonly #confirms = new Map<MemberId, Queue>();
  readonly #discards = new Map<MemberId, Queue>();
  readonly #options: NoticeOptions;
  readonly #closing = new AbortController();

  constructor(options: NoticeOptions) {
    this.#options = options;
  }

  confirm(id: BlobId, members: readonly MemberId[]): void {
    for (const member of members) this.#push(this.#queue(this.#confirms, member, 'confirm'), id);
  }

  discard(id: BlobId, members: readonly MemberId[]): void {
    for (const member of members) this.#push(this.#queue(this.#discards, member, 'drop'), id);
  }

  /** null for a member that nobody can reach. */
  #queue(queues: Map<MemberId, Queue>, member: MemberId, verb: 'confirm' | 'drop'): Queue | null {
    const known = queues.get(member);
    if (known) return known;
    const client = this.#options.clients.get(member);
    if (!client) return null;
    const send = async (ids: readonly BlobId[]) => {
      if (!this.#options.isServing(member)) throw new Error('not serving: it is told nothing');
      await client[verb](ids);
    };
    const queue: Queue = { ids: [], send, flushing: null };
    queues.set(member, queue);
    return queue;
  }

  /** Sends what is queued at once, and takes no more. Bounded by `ms`. */
  async close(ms: number): Promise<void> {
    this.#closing.abort(new Error('the gateway is closing'));
    const stop = new AbortController();
    const all = [...this.#confirms.values(), ...this.#discards.values()].map((queue) => queue.flushing);
    const late = this.#options.clock.sleep(ms, stop.signal).catch(() => {});
    await Promise.race([Promise.all(all), late]);
    stop.abort(OVER);
  }

  #push(queue: Queue | null, id: BlobId): void {
    if (!queue || this.#closing.signal.aborted || queue.ids.length >= this.#options.queuedIdsMax) {
      this.counts.dropped += 1;
      return;
    }
    queue.ids.push(id);
    queue.flushing ??= this.#flush(queue);
  }

  async #flush(queue: Queue): Promise<void> {
    const { clock, flushMs, batchIdsMax } = this.#options;
    while (queue.ids.length > 0) {
      // Closing cuts the wait short; what is queued is still sent.
      await clock.sleep(flushMs, this.#closing.signal).catch(() => {});
      const batch = queue.ids.splice(0, batchIdsMax);
      try {
        await queue.send(batch);
        this.counts.sent += batch.length;
      } catch {
        this.counts.dropped += batch.length;
      }
    }
    queue.flushing = null;
  }
}
