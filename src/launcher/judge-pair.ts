/**
 * Whether a directory pair is well, and what to do about it: pure, from what has been seen to one step at most.
 *
 *   in   commits wait for the twin. A twin that has ended, or that misses its deadline while the primary answers, is
 *        left out (after it has been ended by force).
 *   out  commits do not wait. A twin that streams and has caught up returns; one that runs and cannot stream is seeded anew.
 *
 * A primary that has ended, misses its deadline or has no room left on its disk: a twin that is in and answers is promoted.
 * One that is out is never: it lacks what was acknowledged since. Then, and while the twin does not answer either, the
 * primary is started again (a hung one is ended by force: who is hung cannot blame the twin).
 */
import type { Replication } from './messages.ts';

export interface PairSight {
  /** Now, and all other times: monotonic milliseconds. */
  readonly now: number;
  readonly deadlineMs: number;
  readonly twinIn: boolean;
  /** Of a twin that is out: whether it is started and waited for again. */
  readonly mayReturn: boolean;
  readonly primary: ServerSight;
  readonly twin: ServerSight;
  /** The primary's last word about its twin; null before the first. */
  readonly replication: Replication | null;
  /** When the twin was last seen to stream and to be level or to move on (or, later, when the primary came up). */
  readonly twinMovedAt: number;
}
export interface ServerSight {
  /** starting: told to run, not yet accepting. down: ended, or refused to start. */
  readonly state: 'starting' | 'running' | 'down';
  /** Since when. */
  readonly since: number;
  /** The last sign of life. */
  readonly aliveAt: number;
  /** Its disk takes nothing more. */
  readonly diskFull?: boolean;
}

export type Step =
  | { readonly kind: 'none' }
  | { readonly kind: 'restart-primary'; readonly why: string }
  | { readonly kind: 'promote-twin'; readonly why: string }
  | { readonly kind: 'leave-twin-out'; readonly why: string }
  | { readonly kind: 'restart-twin'; readonly reseed: boolean; readonly why: string }
  | { readonly kind: 'return-twin'; readonly proof: string };

/** Recovery after a crash, or seeding; longer is a hang. */
const START_MS = 300_000;
/** Longer than crash recovery of a busy server takes; commits wait as long, or get 503. */
const TWIN_START_MS = 20_000;
/** A twin that runs and does not stream, while the primary does its part, will not do so by itself. */
const STREAM_MS = 10_000;

/** A primary that is not up after this long is replaced by a twin that could be. */
const PRIMARY_START_MS = 60_000;
/** Agents speak several times a second: a twin that was silent for longer is asked to speak first. */
const FRESH_MS = 1_500;

const NONE: Step = { kind: 'none' };

export function judgePair(sight: PairSight): Step {
  const { primary, twin, twinIn, replication } = sight;
  const candidate = judgeCandidate(sight);
  const trouble = primaryTrouble(sight, candidate === 'ready');
  if (trouble !== null) {
    if (candidate === 'ready') return { kind: 'promote-twin', why: trouble };
    return candidate === 'silent' ? NONE : { kind: 'restart-primary', why: trouble };
  }
  if (primary.state !== 'running') return NONE;
  if (primary.diskFull && !twin.diskFull && candidate === 'ready' && replication && isLevel(replication))
    return { kind: 'promote-twin', why: 'its disk is full' };
  return twinIn ? judgeIn(sight) : judgeOut(sight, twin);
}

/** Whether the twin could be the primary: it has all that was acknowledged, and answers. */
function judgeCandidate({ now, deadlineMs, twinIn, twin }: PairSight): 'ready' | 'silent' | 'none' {
  if (!twinIn || twin.state !== 'running') return 'none';
  const silentMs = now - twin.aliveAt;
  if (silentMs <= Math.min(FRESH_MS, deadlineMs)) return 'ready';
  return silentMs <= deadlineMs ? 'silent' : 'none';
}

function primaryTrouble({ now, deadlineMs, primary }: PairSight, replaceable: boolean): string | null {
  const startMs = replaceable ? PRIMARY_START_MS : START_MS;
  if (primary.state === 'down') return 'its Postgres has ended';
  if (primary.state === 'running')
    return now - primary.aliveAt > deadlineMs ? `no answer for ${deadlineMs} ms` : null;
  return now - primary.since > startMs ? `not up after ${startMs} ms` : null;
}

function judgeIn({ now, deadlineMs, twin, replication, twinMovedAt }: PairSight): Step {
  const out = (why: string): Step => ({ kind: 'leave-twin-out', why });
  if (twin.state === 'down') return out('its Postgres has ended');
  if (twin.state === 'starting')
    return now - twin.since > TWIN_START_MS ? out(`not up after ${TWIN_START_MS} ms`) : NONE;
  if (replication?.slot === 'lost') return out('the primary no longer has what it needs');
  if (now - twin.aliveAt > deadlineMs) return out(`no answer for ${deadlineMs} ms`);
  if (now - twinMovedAt > deadlineMs) return out(`no progress for ${deadlineMs} ms`);
  return NONE;
}

function judgeOut(sight: PairSight, twin: ServerSight): Step {
  const { now, deadlineMs, replication, mayReturn } = sight;
  if (!mayReturn) return NONE;
  if (twin.state === 'down') return { kind: 'restart-twin', reseed: false, why: 'it is down' };
  if (twin.state === 'starting')
    return now - twin.since > START_MS
      ? { kind: 'restart-twin', reseed: false, why: `not up after ${START_MS} ms` }
      : NONE;
  if (now - twin.aliveAt > deadlineMs)
    return { kind: 'restart-twin', reseed: false, why: `no answer for ${deadlineMs} ms` };
  if (replication?.slot === 'lost')
    return { kind: 'restart-twin', reseed: true, why: 'the primary no longer has what it needs' };
  const since = Math.max(twin.since, sight.primary.since, sight.twinMovedAt);
  if (replication?.state !== 'streaming')
    return now - since > STREAM_MS
      ? { kind: 'restart-twin', reseed: true, why: `it does not stream after ${STREAM_MS} ms` }
      : NONE;
  if (isLevel(replication) && !twin.diskFull)
    return { kind: 'return-twin', proof: `streams and has replayed up to ${replication.replayed}` };
  return NONE;
}

/** The positions are read at one moment; a busy primary is ahead by what is on its way. */
const ON_ITS_WAY_BYTES = 256 * 1024;
export const isLevel = (replication: Replication): boolean =>
  replication.state === 'streaming' &&
  replication.replayed !== null &&
  replication.flushed - replication.replayed <= ON_ITS_WAY_BYTES;
