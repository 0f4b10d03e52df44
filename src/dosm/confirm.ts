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
interface Queue {
  ids: BlobId[];
  readonly send: (ids: readonly BlobId[]) => Promise<void>;
  flushing: Promise<void> | null;
}

export class NodeNotices {
  readonly counts: NoticeCounts = { sent: 0, dropped: 0 };
  readonly #confirms = new Map<MemberId, Queue>();
  readonly #discards = new Map<MemberId, Queue>();
  readonly #options: { clock: Clock; flushMs: number; batchIdsMax: number; queuedIdsMax: number };
  readonly #closing = new AbortController();

  constructor(
    clients: ReadonlyMap<MemberId, NodeClient>,
    options: { clock: Clock; flushMs: number; batchIdsMax: number; queuedIdsMax: number },
  ) {
    this.#options = options;
    for (const [member, client] of clients) {
      this.#confirms.set(member, { ids: [], send: (ids) => client.confirm(ids), flushing: null });
      this.#discards.set(member, { ids: [], send: (ids) => client.delete(ids), flushing: null });
    }
  }

  confirm(id: BlobId, members: readonly MemberId[]): void {
    for (const member of members) this.#push(this.#confirms.get(member), id);
  }

  discard(id: BlobId, members: readonly MemberId[]): void {
    for (const member of members) this.#push(this.#discards.get(member), id);
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

  #push(queue: Queue | undefined, id: BlobId): void {
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
