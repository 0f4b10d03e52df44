/**
 * Carries moves of buckets between directories on (src/ddm/bucket-mover.ts). Every gateway runs it; a lease in the catalog
 * keeps them apart, and one that dies is replaced by whoever comes next. Where a directory is away, it is tried again soon:
 * writes into a bucket may be waiting for it.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Clock, Random } from '../base/clock.ts';
import { CatalogUnavailable } from '../ddm/catalog.ts';
import { type Loop, startLoop } from './loop.ts';

export interface MoveBucketsOptions {
  readonly catalog: { carryOnBucketMoves(o: { owner: string; signal: AbortSignal }): Promise<void> };
  readonly self: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

const INTERVAL_MS = 1_000;

export function startMoveBuckets({ catalog, self, clock, random, log }: MoveBucketsOptions): Loop {
  // A gateway that was started again is another owner.
  const owner = `${self} ${randomUUID()}`;
  const run = async (signal: AbortSignal) => {
    try {
      await catalog.carryOnBucketMoves({ owner, signal });
    } catch (error) {
      if (!(error instanceof CatalogUnavailable)) throw error;
      log.info({ err: error }, 'the moves of buckets wait for a directory');
    }
  };
  return startLoop({ name: 'move-buckets', intervalMs: INTERVAL_MS, run, clock, random, log });
}
