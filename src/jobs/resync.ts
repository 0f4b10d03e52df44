/**
 * Drives the return of members that the record calls `resyncing`: one task for each, of which the catalog's lease lets one
 * gateway go on. What fails is tried again after a growing pause; what another gateway drives is looked at again later.
 */
import type { MemberId } from '../base/ids.ts';
import { type ResyncDeps, type ResyncEnd, runResync } from '../dosm/resync/resync.ts';
import { NodeError } from '../nodes/protocol.ts';

export interface ResyncCounts {
  /** Runs that brought a member back, and those that broke off. */
  served: number;
  failed: number;
}
export interface ResyncTasks {
  readonly counts: Readonly<ResyncCounts>;
  /** Members whose resync this gateway drives, or tries to. */
  running(): readonly MemberId[];
  /** Starts what is to be started; does not wait for it. */
  look(): void;
  /** Tries at once what waits for its pause. */
  hurry(): void;
  close(): Promise<void>;
}

const RETRY_MS_FIRST = 1_000;
const RETRY_MS_MAX = 30_000;

interface Task {
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

export function createResyncTasks(deps: ResyncDeps): ResyncTasks {
  const { view, clients, clock, random, log } = deps;
  const counts: ResyncCounts = { served: 0, failed: 0 };
  const tasks = new Map<MemberId, Task>();
  const notBefore = new Map<MemberId, number>();
  const failures = new Map<MemberId, number>();
  let isClosed = false;

  const settled = (member: MemberId, end: ResyncEnd) => {
    failures.delete(member);
    if (end === 'serving') counts.served += 1;
    if (end === 'elsewhere') notBefore.set(member, clock.monotonic() + deps.leaseMs * random());
  };
  const failed = (member: MemberId, error: unknown) => {
    counts.failed += 1;
    const before = failures.get(member) ?? 0;
    failures.set(member, before + 1);
    const pauseMs = Math.min(RETRY_MS_MAX, RETRY_MS_FIRST * 2 ** before) * (0.5 + random() / 2);
    notBefore.set(member, clock.monotonic() + pauseMs);
    log.warn({ member, err: error, nextInMs: Math.round(pauseMs) }, 'resync broke off; it goes on');
  };
  const start = (member: MemberId): Task => {
    const stop = new AbortController();
    const run = async () => {
      try {
        settled(member, await runResync(deps, member, stop.signal));
      } catch (error) {
        if (stop.signal.aborted) return;
        failed(member, error);
        // The node knows more of its pair than this gateway.
        if (error instanceof NodeError && error.kind === 'stale-epoch') await view.reload(error.epoch);
      } finally {
        tasks.delete(member);
      }
    };
    return { stop, done: run() };
  };

  return {
    counts,
    running: () => [...tasks.keys()],
    look() {
      if (isClosed) return;
      for (const member of clients.keys()) {
        const isDue = clock.monotonic() >= (notBefore.get(member) ?? 0);
        if (view.stateOf(member) !== 'resyncing' || tasks.has(member) || !isDue) continue;
        tasks.set(member, start(member));
      }
    },
    hurry() {
      notBefore.clear();
      this.look();
    },
    async close() {
      isClosed = true;
      const running = [...tasks.values()];
      for (const { stop } of running) stop.abort(new Error('the gateway is closing'));
      await Promise.all(running.map(({ done }) => done));
    },
  };
}
