/**
 * One directory pair of a world: a primary and its synchronous twin over one model. A commit takes effect when the twin has
 * it, in the order in which the primary took it. When the primary fails, the twin has the first so many of those that were
 * under way, and nobody knows which: they take effect when it is promoted, their answers are lost, and so are the others.
 * In between nobody answers.
 */
import type { Random } from '../../src/base/clock.ts';
import type { Catalog } from '../../src/ddm/catalog.ts';
import type { ModelCatalog } from '../model/model-catalog.ts';
import { isWrite, type ModelLog } from './model-log.ts';
import type { Cut, Network } from './network.ts';
import { whole } from './seeded-random.ts';
import type { Trace } from './trace.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Until the twin has a commit. */
const REPLICATE_MS = 4;

/** Bugs put in on purpose. */
export interface DirectoryBugs {
  /** The twin lacks what was acknowledged so lately. */
  readonly lagMs?: number;
  /** The old primary goes on telling one gateway what it knows, for so long. */
  readonly oldReadsMs?: number;
}

export interface SimDirectoryOptions {
  readonly name: string;
  /** Whether a call is one of this pair's. */
  readonly isOwn: (call: string) => boolean;
  readonly log: ModelLog;
  readonly clock: VirtualClock;
  readonly network: Network;
  readonly random: Random;
  readonly trace: Trace;
  readonly bugs: DirectoryBugs;
}

type Run = () => Promise<unknown>;
interface Pending {
  readonly run: Run;
  readonly answer: (answer: Promise<unknown>) => void;
}

export class SimDirectory {
  /** Whether the way to the twin takes time; else a commit takes effect as it comes. Set while the primary is about to fail. */
  isSlow = false;
  readonly #o: SimDirectoryOptions;
  #pending: Pending[] = [];
  /** What the twin has of those that were under way when the primary failed; null: it has not failed. */
  #survivors: Run[] | null = null;
  #old: { readonly model: ModelCatalog; readonly gateway: string; readonly until: number } | null = null;

  constructor(o: SimDirectoryOptions) {
    this.#o = o;
  }

  get name(): string {
    return this.#o.name;
  }

  /** A call that has arrived. Its answer may never come. `onTaken`: it is under way to the twin. */
  take(
    call: string,
    args: readonly unknown[],
    from: string,
    run: Run,
    onTaken: () => void,
  ): Promise<unknown> {
    if (!isWrite(call)) return this.#oldAnswer(call, args, from) ?? run();
    if (!this.isSlow) return run();
    return new Promise((answer) => {
      const pending = { run, answer };
      this.#pending.push(pending);
      this.#o.clock.after(REPLICATE_MS, () => {
        if (this.#pending[0] !== pending) return; // lost meanwhile
        this.#pending.shift();
        answer(run());
      });
      onTaken();
    });
  }

  /** The primary fails, and nobody answers until the twin is promoted. */
  fail(how: Cut): void {
    if (this.#survivors) return;
    const { network, random, trace, name } = this.#o;
    const kept = whole(random, 0, this.#pending.length);
    trace.note('directory-fails', `${name} ${how}: ${this.#pending.length} under way, ${kept} on its twin`);
    if (this.#pending.length > kept) trace.note('commit-lost');
    if (kept > 0) trace.note('commit-survives');
    this.#survivors = this.#pending.slice(0, kept).map(({ run }) => run);
    this.#pending = [];
    network.shut(name, how);
  }

  async promote(): Promise<void> {
    const survivors = this.#survivors;
    if (!survivors) return;
    const { network, trace, name, log, bugs, clock, isOwn } = this.#o;
    const lost = clock.now() - (bugs.lagMs ?? 0);
    if (bugs.lagMs !== undefined) await log.forget((done) => !isOwn(done.name) || done.at < lost);
    if (bugs.oldReadsMs !== undefined)
      this.#old = {
        model: (await wrapped(log)).model,
        gateway: 'gateway-1',
        until: clock.monotonic() + bugs.oldReadsMs,
      };
    for (const run of survivors) await run().catch(() => {});
    trace.note('directory-promoted', name);
    this.#survivors = null;
    network.open(name);
  }

  #oldAnswer(call: string, args: readonly unknown[], from: string): Promise<unknown> | null {
    const old = this.#old;
    if (!old || call !== 'findVersion' || old.gateway !== from || this.#o.clock.monotonic() > old.until)
      return null;
    return old.model.findVersion(...(args as Parameters<Catalog['findVersion']>));
  }
}

const wrapped = async (log: ModelLog): Promise<{ model: ModelCatalog }> => ({ model: await log.rebuilt() });
