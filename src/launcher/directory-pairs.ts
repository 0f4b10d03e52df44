/** All directory pairs of one machine: a decider for each, and who hears what. */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { MemberId, PairId } from '../base/ids.ts';
import type { DecisionLog } from './decisions.ts';
import { dropAside } from './directory-folder.ts';
import type { PlannedMember, PlannedPair } from './layout.ts';
import type { ClusterState, DirectoryWordMessage, FromMember } from './messages.ts';
import { type DirectoryHandle, PairDecider } from './pair-decider.ts';
import { enterFailover, leaveFailover, type Order, OrderRefused } from './pair-orders.ts';

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
  readonly #o: DirectoryPairsOptions;
  readonly #deciders: { readonly pair: PlannedPair; readonly decider: PairDecider }[];
  readonly #clock: Clock;
  #ticking: NodeJS.Timeout | undefined;

  constructor(o: DirectoryPairsOptions) {
    this.#o = o;
    this.#clock = o.clock;
    this.#deciders = o.pairs.map((pair) => ({ pair, decider: this.#decider(pair) }));
  }

  #decider(pair: PlannedPair): PairDecider {
    const { decisions, clock, log, deadlineMs, onChange, handle } = this.#o;
    const folders = new Map(pair.members.map(({ id, dataDir }) => [id, join(dataDir, 'pg')]));
    const [first, second] = pair.members;
    return new PairDecider({
      pair: pair.id,
      members: [handle(first), handle(second)],
      ...{ decisions, clock, log, deadlineMs, onChange },
      onReturned: (twin) => dropAside(folders.get(twin)!),
    });
  }

  /** One pair more while the others run: its folders are there. */
  add(pair: PlannedPair): void {
    const decider = this.#decider(pair);
    this.#deciders.push({ pair, decider });
    decider.start();
  }

  isReady(id: PairId): boolean {
    return this.#deciders.some(({ pair, decider }) => pair.id === id && decider.ready);
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

  /** An operator's word. @throws {OrderRefused} */
  async order(action: 'enter' | 'leave', order: Order): Promise<DirectoryWordMessage> {
    const decider = this.#of(order.member);
    if (!decider) throw new OrderRefused('no such directory runs here');
    const done = action === 'enter' ? enterFailover : leaveFailover;
    return done(decider, order, this.#clock);
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
