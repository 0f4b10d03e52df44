/**
 * Runs one job again and again until it is stopped: about every `intervalMs` (jittered, so that gateways do not run
 * in step), later and later while it fails. One run at a time; close() waits for the run under way, which gets a signal.
 */
import type { Logger } from 'pino';
import type { Clock, Random } from '../base/clock.ts';

export interface LoopOptions {
  readonly name: string;
  readonly intervalMs: number;
  readonly run: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}
export interface LoopCounts {
  runs: number;
  failures: number;
  /** Wall clock of the last run that went well, ms since the epoch; null before. */
  lastGoodAt: number | null;
}
export interface Loop {
  readonly counts: Readonly<LoopCounts>;
  close(): Promise<void>;
}

/** Failing job: at most this many intervals between two runs. */
const BACK_OFF_FACTOR_MAX = 16;

export function startLoop(options: LoopOptions): Loop {
  const { name, intervalMs, run, clock, random, log } = options;
  const stop = new AbortController();
  const counts: LoopCounts = { runs: 0, failures: 0, lastGoodAt: null };

  const loop = async () => {
    let factor = 1;
    for (;;) {
      await clock.sleep(intervalMs * factor * (0.5 + random()), stop.signal);
      counts.runs += 1;
      try {
        await run(stop.signal);
        factor = 1;
        counts.lastGoodAt = clock.now();
      } catch (error) {
        if (stop.signal.aborted) return;
        counts.failures += 1;
        factor = Math.min(factor * 2, BACK_OFF_FACTOR_MAX);
        log.warn({ job: name, err: error, nextInMs: Math.round(intervalMs * factor) }, 'job failed');
      }
    }
  };
  const running = loop().catch(() => {
    // The sleep was aborted: that is how the loop ends.
  });
  return {
    counts,
    close: async () => {
      stop.abort(new Error('jobs are stopping'));
      await running;
    },
  };
}
