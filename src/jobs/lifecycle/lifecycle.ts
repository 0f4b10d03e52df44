/**
 * Applies the lifecycle rules of buckets. Every gateway runs it; a lease keeps them apart, one at a bucket. A pass goes through
 * what the rules may be about once, page by page: what it costs is the page, however many rules there are. After each page
 * the place is kept, so that whoever comes next goes on from there; a page that broke off is simply looked at again.
 *
 * Invariant: nothing happens to a version but what a rule says of it as it is when that is committed: the commit compares what
 * the rule saw, under the key's lock (ddm/lifecycle-source.ts). What is due is decided by the directory's clock.
 */
import type { Logger } from 'pino';
import type { Clock, Random } from '../../base/clock.ts';
import type { Catalog } from '../../ddm/catalog.ts';
import type { LifecycleCounts, LifecycleSource, LifecycleTurn } from '../../ddm/lifecycle-source.ts';
import { CALENDAR_DAY_MS, type Terms } from '../../lifecycle/due.ts';
import { Pass } from './pass.ts';

export interface LifecycleSettings {
  readonly leaseMs: number;
  /** How long one turn at a bucket lasts; then others have theirs. */
  readonly sliceMs: number;
  /** Versions looked at in one statement, and actions in one commit. */
  readonly pageMax: number;
  readonly batchMax: number;
  /** Of each gateway. */
  readonly actionsPerSecond: number;
  /** After midnight, over which the passes of a day begin. */
  readonly spreadMs: number;
}
export const LIFECYCLE_SETTINGS: LifecycleSettings = {
  leaseMs: 30_000,
  sliceMs: 20_000,
  pageMax: 500,
  batchMax: 50,
  actionsPerSecond: 500,
  spreadMs: 600_000,
};

export interface LifecycleOptions {
  readonly source: LifecycleSource;
  readonly catalog: Pick<Catalog, 'listUploads' | 'abortUpload'>;
  /** This gateway's id. */
  readonly owner: string;
  readonly terms: Terms;
  /** Whether this is known to be the catalog of the nodes' blobs: nothing is deleted before. */
  readonly isOurs: () => boolean;
  readonly settings?: Partial<LifecycleSettings>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

/** Since the start of this process. */
export interface LifecycleJobCounts extends LifecycleCounts {
  passes: number;
}
export const newLifecycleCounts = (): LifecycleJobCounts => ({
  ...{ passes: 0, scanned: 0, expired: 0, removed: 0, transitioned: 0, aborted: 0, kept: 0 },
});

/** How often buckets that are due are looked for. */
export const lifecyclePollMs = (dayMs: number | null): number =>
  dayMs === null ? 10_000 : Math.min(10_000, Math.max(100, dayMs / 10));

/** One run: a turn at every bucket that is due. @throws what the catalog threw, after the other directories have had theirs */
export async function applyLifecycles(
  o: LifecycleOptions,
  counts: LifecycleJobCounts,
  signal: AbortSignal,
): Promise<void> {
  if (!o.isOurs()) return;
  const settings = { ...LIFECYCLE_SETTINGS, ...o.settings };
  const failures: unknown[] = [];
  for (const pair of o.source.lifecyclePairs()) {
    try {
      for (;;) {
        signal.throwIfAborted();
        const turn = await o.source.takeLifecycle(pair, o.owner, settings.leaseMs);
        if (turn === null) break;
        await takeTurn(o, settings, turn, counts, signal);
      }
    } catch (error) {
      signal.throwIfAborted();
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

async function takeTurn(
  o: LifecycleOptions,
  settings: LifecycleSettings,
  turn: LifecycleTurn,
  counts: LifecycleJobCounts,
  signal: AbortSignal,
): Promise<void> {
  const { clock, source, log } = o;
  const pass = new Pass({ ...o, settings, turn, signal });
  const until = clock.monotonic() + settings.sliceMs;
  const save = (leaseMs: number, more: { endedAndNextAtMs?: number; error?: string } = {}) => {
    const gathered = pass.takeCounts();
    for (const [name, value] of Object.entries(gathered)) counts[name as keyof LifecycleCounts] += value;
    return source.saveLifecycle(turn, leaseMs, { position: pass.position, counts: gathered, ...more });
  };
  try {
    for (;;) {
      signal.throwIfAborted();
      const went = await pass.page();
      if (went === 'ended') break;
      if (went === 'stale') return void (await save(0));
      const isOver = clock.monotonic() >= until;
      if (!(await save(isOver ? 0 : settings.leaseMs)) || isOver) return;
    }
    await save(0, { endedAndNextAtMs: nextPassAt(o, settings, turn, pass.now) });
    counts.passes += 1;
    if (pass.hasActed) log.info({ job: 'lifecycle', bucket: turn.bucket, ...pass.total }, 'rules applied');
  } catch (error) {
    // Whoever takes the next turn need not wait for the lease to run out; when this fails too, it does.
    const message = error instanceof Error ? error.message : String(error);
    await save(0, signal.aborted ? {} : { error: message }).catch(() => {});
    throw error;
  }
}

/** Counted from the pass's beginning, as it may have looked at a version before midnight and end after it. */
function nextPassAt(
  o: LifecycleOptions,
  settings: LifecycleSettings,
  turn: LifecycleTurn,
  now: number,
): number {
  const { dayMs } = o.terms;
  if (dayMs !== null) return now + Math.max(100, dayMs / 5);
  const midnight = (Math.floor(turn.startedAt / CALENDAR_DAY_MS) + 1) * CALENDAR_DAY_MS;
  return Math.floor(midnight + o.random() * settings.spreadMs);
}
