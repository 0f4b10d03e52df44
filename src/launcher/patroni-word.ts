/**
 * How long the word of a Patroni that it is the leader can be trusted: pure.
 *
 * Another member may be promoted as soon as the leader's lock has run out, `ttl` after its last renewal. A leader that
 * answers renewed it at an unknown moment before; a Patroni that is stopped right after its answer renews it no more, and
 * its Postgres goes on answering. So the word is counted from the renewal, not from the answer: in each turn of its loop
 * Patroni reads the cluster (dcs_last_seen is when) and then renews the lock, so the reading before the last one was
 * followed by a renewal. Ages are differences of the one clock of that host (its Date header and dcs_last_seen, whole
 * seconds both); from when it was asked our monotonic clock counts on.
 */

export interface PatroniAnswer {
  /** Our monotonic clock, before it was asked. */
  readonly askedAt: number;
  /** It says that it holds the leader lock. */
  readonly lock: boolean;
  /** Its Postgres is not in recovery. */
  readonly primary: boolean;
  readonly running: boolean;
  /** As it sees it, nobody holds the lock. */
  readonly unlocked: boolean;
  readonly syncStandby: boolean;
  readonly timeline: number | null;
  /** When it last read the cluster's state, and when it answered, both by its own clock. */
  readonly seenS: number;
  readonly dateS: number;
}

export interface PatroniConfig {
  readonly ttlS: number;
  readonly loopWaitS: number;
  readonly synchronous: boolean;
  readonly strict: boolean;
}

/** One reading of the cluster by that Patroni, with what was configured when it was first heard of. */
interface Reading {
  readonly seenS: number;
  readonly ttlS: number;
  readonly loopWaitS: number;
}
/** The last readings, newest first: settings that have changed count when all of them are of the new kind. */
export type Readings = readonly Reading[];
const READINGS_KEPT = 3;

/** Both clocks' readings are cut to whole seconds, and timers of leases are no finer. */
const ROUNDING_S = 2;

export function noteReading(before: Readings, answer: PatroniAnswer, config: PatroniConfig): Readings {
  const now: Reading = { seenS: answer.seenS, ttlS: config.ttlS, loopWaitS: config.loopWaitS };
  const newest = before[0];
  if (!newest || newest.seenS > now.seenS) return [now];
  if (newest.seenS === now.seenS)
    return [
      {
        ...now,
        ttlS: Math.min(newest.ttlS, now.ttlS),
        loopWaitS: Math.max(newest.loopWaitS, now.loopWaitS),
      },
      ...before.slice(1),
    ];
  return [now, ...before].slice(0, READINGS_KEPT);
}

/** Until when (our monotonic clock, ms) nobody else can hold the lock; null: this is no word that it holds it. */
export function leaderUntil(answer: PatroniAnswer, readings: Readings): number | null {
  const newest = readings[0];
  if (!answer.lock || !answer.primary || !answer.running || answer.unlocked || !newest) return null;
  const ttlS = Math.min(...readings.map((r) => r.ttlS));
  const loopWaitS = Math.max(...readings.map((r) => r.loopWaitS));
  // A clock that went back says nothing about ages.
  if (answer.dateS < newest.seenS) return null;
  // Of the first reading that is heard of, the one before is not known: a turn that took twice its time, say.
  const before = readings[1]?.seenS ?? newest.seenS - 2 * loopWaitS;
  const renewedAfterS = Math.min(before, newest.seenS - loopWaitS);
  const leftS = ttlS - (answer.dateS - renewedAfterS) - ROUNDING_S;
  return leftS > 0 ? answer.askedAt + leftS * 1_000 : null;
}

/** Why this cluster is not followed, in one line; null: it is as it must be. */
export function patroniProblem({ ttlS, loopWaitS, synchronous, strict }: PatroniConfig): string | null {
  if (!synchronous || !strict)
    return `Patroni is not in strict synchronous mode (synchronous_mode: ${onOff(synchronous)}, synchronous_mode_strict: ${onOff(strict)}): a leader that it makes may lack acknowledged writes; set both: patronictl edit-config`;
  const leastS = 2 * loopWaitS + ROUNDING_S + 2;
  if (ttlS < leastS)
    return `Patroni's ttl of ${ttlS} s leaves no time to trust a leader whose loop_wait is ${loopWaitS} s; give a ttl of ${leastS} s or more`;
  return null;
}
const onOff = (on: boolean): string => (on ? 'on' : 'off');
