/** All directory pairs of one machine: a decider for each, and who hears what. */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import type { DecisionLog } from './decisions.ts';
import { dropAside, isStandbyFolder } from './directory-folder.ts';
import type { PlannedMember, PlannedPair } from './layout.ts';
import type { ClusterState, FromMember } from './messages.ts';
import { type DirectoryHandle, PairDecider } from './pair-decider.ts';

const TICK_MS = 100;

export interface DirectoryPairsOptions {
  readonly pairs: readonly PlannedPair[];
  readonly handle: (member: PlannedMember) => DirectoryHandle;
  readonly decisions: DecisionLog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly deadlineMs: number;
  readonly onChange: () => void;
}

export class DirectoryPairs {
  readonly #deciders: readonly { readonly pair: PlannedPair; readonly decider: PairDecider }[];
  #ticking: NodeJS.Timeout | undefined;

  constructor(o: DirectoryPairsOptions) {
    const { decisions, clock, log, deadlineMs, onChange } = o;
    this.#deciders = o.pairs.map((pair) => {
      const [primary, twin] = pair.members;
      const twinFolder = join(twin.dataDir, 'pg');
      const decider = new PairDecider(
        {
          pair: pair.id,
          primary: o.handle(primary),
          twin: o.handle(twin),
          ...{ decisions, clock, log, deadlineMs, onChange },
          onReturned: () => dropAside(twinFolder),
        },
        !isStandbyFolder(twinFolder),
      );
      return { pair, decider };
    });
  }

  start(): void {
    for (const { decider } of this.#deciders) decider.start();
    this.#ticking = setInterval(() => {
      for (const { decider } of this.#deciders) void decider.tick();
    }, TICK_MS);
  }

  /** No more decisions: the store is being stopped. */
  stop(): void {
    clearInterval(this.#ticking);
    for (const { decider } of this.#deciders) decider.stop();
  }

  get ready(): boolean {
    return this.#deciders.every(({ decider }) => decider.ready);
  }

  heard(id: MemberId, message: FromMember): void {
    this.#of(id)?.heard(id, message);
  }

  lost(id: MemberId): void {
    this.#of(id)?.lost(id);
  }

  get members(): ClusterState['members'] {
    return this.#deciders.flatMap(({ decider }) => decider.members());
  }

  get states(): ClusterState['directories'] {
    return this.#deciders.map(({ decider }) => decider.state);
  }

  #of(id: MemberId): PairDecider | undefined {
    return this.#deciders.find(({ pair }) => pair.members.some((member) => member.id === id))?.decider;
  }
}
