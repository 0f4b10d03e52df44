/**
 * Asks suspects, and only them, whether they answer again: about once in `intervalMs` (jittered), each question
 * bounded by `deadlineMs`, at most `concurrency` at once. Knows nothing of how a member is asked.
 */
import type { Clock, Random } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import type { Suspicion } from './suspicion.ts';

export interface ProbeOptions {
  readonly suspicion: Suspicion;
  /** Resolves when the member answered well. Rejects otherwise, at the latest some time after the signal. */
  readonly probe: (member: MemberId, signal: AbortSignal) => Promise<unknown>;
  readonly clock: Clock;
  readonly random: Random;
  readonly onCleared?: (member: MemberId) => void;
  readonly intervalMs?: number;
  readonly deadlineMs?: number;
  readonly concurrency?: number;
}

export function startProbes(options: ProbeOptions): { close(): Promise<void> } {
  const { clock, random, suspicion } = options;
  const intervalMs = options.intervalMs ?? 1_000;
  const stop = new AbortController();
  const loop = async () => {
    while (!stop.signal.aborted) {
      await clock.sleep(intervalMs * (0.75 + random() / 2), stop.signal);
      const waiting = [...suspicion.suspects()];
      const lanes = Array.from({ length: Math.min(options.concurrency ?? 8, waiting.length) }, async () => {
        for (let member = waiting.pop(); member !== undefined; member = waiting.pop()) {
          await probeOne(options, member, stop.signal);
        }
      });
      await Promise.all(lanes);
    }
  };
  const running = loop().catch(() => {
    // The sleep was aborted: that is how the loop ends.
  });
  return {
    close: async () => {
      stop.abort(new Error('probes are stopped'));
      await running;
    },
  };
}

async function probeOne(options: ProbeOptions, member: MemberId, stop: AbortSignal): Promise<void> {
  const { suspicion, clock } = options;
  const ended = new AbortController();
  const signal = AbortSignal.any([stop, ended.signal]);
  const deadline = clock.sleep(options.deadlineMs ?? 1_000, signal).then(() => {
    throw new Error('no answer in time');
  });
  try {
    await Promise.race([options.probe(member, signal), deadline]);
    if (suspicion.good(member, clock.monotonic())) options.onCleared?.(member);
  } catch {
    if (!stop.aborted) suspicion.miss(member, clock.monotonic());
  } finally {
    ended.abort(new Error('the probe is over'));
    deadline.catch(() => {});
  }
}
