/** A store's record and members, small enough to see through: for tests of the monitor under a virtual clock. */
import type { Epoch, MemberId, PairId } from '../../../src/base/ids.ts';
import {
  allServing,
  type Conditions,
  type MemberCondition,
  type RecordedState,
  viewOf,
} from '../../../src/twin/condition.ts';
import type { Declaration, Heard, Stance, Watched } from '../../../src/twin/judge.ts';
import { buildTopology } from '../../../src/twin/load.ts';
import { type MonitorOptions, type MonitorTimings, startMonitor } from '../../../src/twin/monitor.ts';
import { Suspicion } from '../../../src/twin/suspicion.ts';
import { seededRandom } from '../../world/seeded-random.ts';
import { VirtualClock } from '../../world/virtual-clock.ts';

export const id = (text: string) => text as MemberId;
export const epoch = (value: number) => value as Epoch;

export function topologyOf(hosts: readonly number[] = [11, 12], centers: 1 | 2 = 2) {
  const subnets = ['10.1.0.0/24', '10.2.0.0/24'];
  return buildTopology({
    centers:
      centers === 2
        ? [
            { name: 'a', subnets: [subnets[0]!] },
            { name: 'b', subnets: [subnets[1]!] },
          ]
        : [{ name: 'a', subnets }],
    members: [1, 2].flatMap((subnet) =>
      hosts.map((host) => ({ kind: 'node' as const, address: `10.${subnet}.0.${host}`, port: 7100 })),
    ),
  });
}

export function watchedOf(topology: ReturnType<typeof topologyOf>): Watched[] {
  return [...topology.pairs.values()].flatMap((pair) =>
    pair.members.map((member) => {
      const { twin, center } = topology.members.get(member)!;
      return { member, twin: twin!, pair: pair.id, center: center! };
    }),
  );
}

/** The record of the root pair, with its compare-and-set. */
export class FakeRoot {
  conditions: Conditions;
  isAway = false;
  readonly history: string[] = [];
  readonly #watched: readonly Watched[];

  constructor(topology: ReturnType<typeof topologyOf>) {
    this.conditions = allServing(topology);
    this.#watched = watchedOf(topology);
  }

  change(change: Declaration): { reason: string } | null {
    if (this.isAway) throw new Error('the root is away');
    const { subject, to } = change;
    const own = this.#watched.filter((w) =>
      subject.kind === 'member' ? w.member === subject.member : w.center === subject.center,
    );
    const known =
      subject.kind === 'member' ? this.conditions.pairEpochs.get(own[0]!.pair) : this.conditions.epoch;
    if (known !== change.expectedEpoch) return { reason: 'stale-epoch' };
    if (
      to === 'failed-over' &&
      own.some((w) => this.stateOf(w.member) === 'serving' && this.stateOf(w.twin) !== 'serving')
    )
      return { reason: 'twin-not-serving' };
    const name = subject.kind === 'member' ? subject.member : `center ${subject.center}`;
    this.history.push(`${name} ${to}`);
    for (const w of own)
      this.set(w.member, { state: to, why: change.why, mayReturn: change.mayReturn ?? true });
    return null;
  }

  stateOf(member: MemberId): RecordedState {
    return this.conditions.members.get(member)!.state;
  }

  /** A new epoch when the state changes. */
  set(member: MemberId, change: Partial<MemberCondition>): void {
    const before = this.conditions;
    const was = before.members.get(member)!;
    const pair = this.#watched.find((w) => w.member === member)!.pair;
    const isNew = change.state !== undefined && change.state !== was.state;
    const next = epoch(before.epoch + (isNew ? 1 : 0));
    this.conditions = {
      epoch: next,
      centers: before.centers,
      members: new Map([...before.members, [member, { ...was, ...change }]]),
      pairEpochs: isNew ? new Map([...before.pairEpochs, [pair, next]]) : before.pairEpochs,
    };
  }

  epochOf(pair: string): Epoch {
    return this.conditions.pairEpochs.get(pair as PairId)!;
  }
}

export class FakeMember {
  state: Stance = 'fenced';
  epoch = epoch(0);
  storeId: string;
  /** Rejects, or never answers, while it is down. */
  behave: () => Promise<void> = async () => {};
  probes = 0;
  readonly told: string[] = [];

  constructor(member: MemberId) {
    this.storeId = `disk of ${member}`;
  }

  async probe(): Promise<Heard> {
    this.probes += 1;
    await this.behave();
    return { state: this.state, epoch: this.epoch, storeId: this.storeId };
  }

  async tell(told: { state: Stance; epoch: Epoch }): Promise<Heard> {
    await this.behave();
    if (told.epoch < this.epoch) throw Object.assign(new Error('stale'), { epoch: this.epoch });
    this.state = told.state;
    this.epoch = told.epoch;
    this.told.push(`${told.state} ${told.epoch}`);
    return { state: this.state, epoch: this.epoch, storeId: this.storeId };
  }

  restart(): void {
    this.state = 'fenced';
  }
}

export const refuses = async (): Promise<void> => {
  throw new Error('connection refused');
};
export const hangs = (): Promise<void> => new Promise(() => {});

export interface World {
  readonly clock: VirtualClock;
  readonly root: FakeRoot;
  readonly members: ReadonlyMap<MemberId, FakeMember>;
  readonly of: (name: string) => FakeMember;
  /** Another gateway that watches the same store. */
  gateway(change?: Partial<MonitorOptions>): {
    monitor: ReturnType<typeof startMonitor>;
    suspicion: Suspicion;
    warnings: string[];
  };
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

export function makeWorld(
  o: { seed?: number; hosts?: readonly number[]; centers?: 1 | 2; timings?: Partial<MonitorTimings> } = {},
): World {
  const clock = new VirtualClock();
  const random = seededRandom(o.seed ?? 1);
  const topology = topologyOf(o.hosts, o.centers);
  const root = new FakeRoot(topology);
  const watched = watchedOf(topology);
  const members = new Map(watched.map((w) => [w.member, new FakeMember(w.member)]));
  const monitors: ReturnType<typeof startMonitor>[] = [];
  return {
    clock,
    root,
    members,
    of: (name) => members.get(id(name))!,
    gateway(change = {}) {
      const suspicion = new Suspicion();
      const warnings: string[] = [];
      const monitor = startMonitor({
        watched,
        conditions: viewOf(() => root.conditions),
        suspicion,
        probe: (member) => members.get(member)!.probe(),
        tell: (member, told) => members.get(member)!.tell(told),
        declare: async (declaration) => root.change(declaration),
        adoptStore: async (member, storeId) => {
          if (root.isAway) throw new Error('the root is away');
          if (root.conditions.members.get(member)!.storeId === null) root.set(member, { storeId });
        },
        clock,
        random,
        log: { info: () => {}, warn: (_facts: unknown, text?: string) => void warnings.push(text ?? '') },
        ...(o.timings ? { timings: o.timings } : {}),
        ...change,
      });
      monitors.push(monitor);
      return { monitor, suspicion, warnings };
    },
    pass: (ms) => clock.run(clock.sleep(ms)),
    close: async () => {
      await clock.run(Promise.all(monitors.map((monitor) => monitor.close())));
    },
  };
}
