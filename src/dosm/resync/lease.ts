/**
 * The lease of one member's resync: one gateway drives it, renews it while it works (also in the middle of a long pull),
 * and writes its progress with it. When it cannot renew in time, or another gateway has it, `signal` ends the work: by
 * then somebody else may go on. Two at once do no harm, as every step may be repeated.
 */
import type { Clock } from '../../base/clock.ts';
import type { Epoch, MemberId } from '../../base/ids.ts';
import type { ResyncState } from '../../ddm/catalog.ts';
import type { WholeCatalog } from './types.ts';

export type ResyncFigures = {
  -readonly [K in
    | 'comparedRanges'
    | 'toPull'
    | 'pulledBlobs'
    | 'pulledBytes'
    | 'removedBlobs'
    | 'lag']: ResyncState[K];
};
export interface LeaseOptions {
  readonly catalog: Pick<WholeCatalog, 'leaseResync'>;
  readonly clock: Clock;
  readonly member: MemberId;
  readonly epoch: Epoch;
  readonly owner: string;
  readonly leaseMs: number;
}

export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
}

export class ResyncLease {
  readonly figures: ResyncFigures;
  readonly #options: LeaseOptions;
  readonly #lost = new AbortController();
  readonly #stop = new AbortController();
  #phase: ResyncState['phase'];
  #renewedAt: number;
  readonly #renewing: Promise<void>;

  private constructor(options: LeaseOptions, state: ResyncState) {
    this.#options = options;
    const { comparedRanges, pulledBlobs, pulledBytes, removedBlobs, lag } = state;
    // What is left to pull is counted anew by every run.
    this.figures = { comparedRanges, toPull: pulledBlobs, pulledBlobs, pulledBytes, removedBlobs, lag };
    this.#phase = state.phase;
    this.#renewedAt = options.clock.monotonic();
    this.#renewing = this.#renewRegularly().catch(() => {
      // Stopped: that is how it ends.
    });
  }

  /** null: another gateway has it. */
  static async take(options: LeaseOptions): Promise<ResyncLease | null> {
    const { member, epoch, owner, leaseMs } = options;
    const state = await options.catalog.leaseResync({ member, epoch, owner, leaseMs });
    return state && new ResyncLease(options, state);
  }

  /** Aborted when the lease is lost. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  async enter(phase: ResyncState['phase']): Promise<void> {
    this.#phase = phase;
    await this.save();
  }

  /** Writes the figures. @throws {LeaseLost} and what the catalog threw */
  async save(lastError?: string): Promise<void> {
    const { catalog, clock, member, epoch, owner, leaseMs } = this.#options;
    const state = await catalog.leaseResync(
      { member, epoch, owner, leaseMs },
      { ...this.figures, phase: this.#phase, ...(lastError === undefined ? {} : { lastError }) },
    );
    if (!state) this.#lose('another gateway resyncs the member');
    this.#lost.signal.throwIfAborted();
    this.#renewedAt = clock.monotonic();
  }

  /** Renews no more. With `giveUp` another gateway may go on at once, else when the lease has run out. */
  async close(giveUp: boolean): Promise<void> {
    this.#stop.abort(new Error('the resync is over'));
    await this.#renewing;
    if (!giveUp || this.#lost.signal.aborted) return;
    const { catalog, member, epoch, owner } = this.#options;
    await catalog.leaseResync({ member, epoch, owner, leaseMs: 0 }).catch(() => {
      // It runs out by itself.
    });
  }

  async #renewRegularly(): Promise<void> {
    const { clock, leaseMs } = this.#options;
    for (;;) {
      await clock.sleep(leaseMs / 3, this.#stop.signal);
      try {
        await this.save();
      } catch {
        if (this.#lost.signal.aborted) return;
        if (clock.monotonic() - this.#renewedAt >= leaseMs)
          this.#lose('the lease could not be renewed in time');
      }
    }
  }

  #lose(why: string): void {
    if (!this.#lost.signal.aborted) this.#lost.abort(new LeaseLost(why));
  }
}
