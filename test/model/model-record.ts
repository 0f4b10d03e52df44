/** The record of conditions, epochs and resyncs of the model catalog: what the root pair keeps. */
import type { Epoch, MemberId, PairId } from '../../src/base/ids.ts';
import type {
  ConditionChange,
  ConditionEvent,
  ConditionRefusal,
  Outcome,
  ResyncState,
} from '../../src/ddm/catalog.ts';
import {
  type CenterCondition,
  type Conditions,
  FIRST_EPOCH,
  type MemberCondition,
  type RecordedState,
} from '../../src/twin/condition.ts';
import type { MemberKind, Topology } from '../../src/twin/topology.ts';

type Subject = ConditionChange['subject'];
interface MemberRow extends Pick<MemberCondition, 'member'> {
  readonly kind: MemberKind;
  readonly center: string;
  readonly pair: PairId;
  readonly twin: MemberId;
  readonly address: string;
  readonly port: number;
}
type ResyncRow = ResyncState & { readonly leasedUntil: number };

const done = <T>(value: T) => ({ outcome: 'done', value }) as const;
const refused = <R extends string>(reason: R, detail?: string) =>
  ({ outcome: 'refused', reason, ...(detail !== undefined && { detail }) }) as const;

export class ModelRecord {
  readonly #now: () => number;
  #epoch = FIRST_EPOCH;
  readonly #rows = new Map<MemberId, MemberRow>();
  readonly #members = new Map<MemberId, MemberCondition>();
  readonly #centers = new Map<string, CenterCondition>();
  readonly #pairEpochs = new Map<PairId, Epoch>();
  readonly #weights = new Map<PairId, { weight: number; isSet: boolean }>();
  readonly #history: ConditionEvent[] = [];
  readonly #resyncs = new Map<MemberId, ResyncRow>();

  constructor(now: () => number) {
    this.#now = now;
  }

  epochOf = (pair: PairId): Epoch => this.#pairEpochs.get(pair) ?? FIRST_EPOCH;
  membersOf = (pair: PairId): MemberId[] =>
    [...this.#rows.values()].filter((row) => row.pair === pair).map((row) => row.member);

  register(topology: Topology): void {
    const facts = { state: 'serving', since: new Date(this.#now()), why: '', decidedBy: '' } as const;
    for (const { name } of topology.centers)
      if (!this.#centers.has(name)) this.#centers.set(name, { center: name, ...facts });
    for (const pair of topology.pairs.values()) {
      if (!this.#pairEpochs.has(pair.id)) this.#pairEpochs.set(pair.id, FIRST_EPOCH);
      if (pair.kind === 'node' && !this.#weights.get(pair.id)?.isSet)
        this.#weights.set(pair.id, { weight: pair.weight, isSet: false });
      for (const id of pair.members) {
        const { kind, center, twin, address, port } = topology.members.get(id)!;
        const where = { center: center!, address, port };
        this.#rows.set(id, { member: id, kind, pair: pair.id, twin: twin!, ...where });
        if (!this.#members.has(id))
          this.#members.set(id, { member: id, ...facts, mayReturn: true, storeId: null });
      }
    }
  }

  pairs = () =>
    [...this.weights()].sort().map(([id, weight]) => ({
      id,
      weight,
      members: [...this.#rows.values()]
        .filter((row) => row.pair === id)
        .map(({ member, center, address, port }) => ({ id: member, center, address, port }))
        .sort((a, b) => (a.id < b.id ? -1 : 1)),
    }));

  read = (): Conditions => ({
    epoch: this.#epoch,
    members: new Map(this.#members),
    centers: new Map(this.#centers),
    pairEpochs: new Map(this.#pairEpochs),
  });

  #subjects(subject: Subject): MemberRow[] {
    return [...this.#rows.values()].filter((row) =>
      subject.kind === 'member'
        ? row.member === subject.member
        : row.center === subject.center && row.kind === 'node',
    );
  }
  #stateOf = (member: MemberId): RecordedState => this.#members.get(member)!.state;

  change(c: ConditionChange): Outcome<Conditions, ConditionRefusal> {
    const rows = this.#subjects(c.subject);
    const current = c.subject.kind === 'center' ? this.#epoch : this.epochOf(rows[0]?.pair ?? ('' as PairId));
    if (rows.length === 0) return refused('no-such-subject');
    if (c.expectedEpoch !== undefined && c.expectedEpoch !== current)
      return refused('stale-epoch', `the epoch is ${current}`);
    if (c.subject.kind === 'center' && c.to !== 'failed-over')
      return refused('not-allowed', 'a center comes back member by member');
    const changing = rows.filter((row) => this.#stateOf(row.member) !== c.to);
    for (const row of rows) {
      if (row.kind !== 'node') return refused('not-allowed', `${row.member} is a directory`);
      const refusal = changing.includes(row) ? this.#refusal(c, row, changing) : null;
      if (refusal) return refusal;
    }
    this.#carryOut(c, rows, changing);
    return done(this.read());
  }

  #refusal(c: ConditionChange, row: MemberRow, changing: readonly MemberRow[]) {
    const { state, mayReturn } = this.#members.get(row.member)!;
    const from = { serving: 'resyncing', resyncing: 'failed-over', 'failed-over': null }[c.to];
    if (from && state !== from) return refused('not-allowed', `${row.member} is ${state}`);
    if (c.to === 'resyncing' && !mayReturn) return refused('not-allowed', `${row.member} waits for leave`);
    if (c.to !== 'failed-over' || c.force) return null;
    const twin = this.#stateOf(row.twin);
    if (twin !== 'serving')
      return refused('twin-not-serving', `${row.twin}, the twin of ${row.member}, is ${twin}`);
    return changing.some((other) => other.member === row.twin)
      ? refused('twin-not-serving', `${row.twin}, the twin of ${row.member}, would fail over with it`)
      : null;
  }

  #carryOut(c: ConditionChange, rows: readonly MemberRow[], changing: readonly MemberRow[]): void {
    if (c.to === 'failed-over' && !c.mayReturn)
      for (const row of rows) if (!changing.includes(row)) this.#hold(row.member, c);
    const center = c.subject.kind === 'center' ? c.subject.center : null;
    const isNewCenter =
      center !== null && (changing.length > 0 || this.#centers.get(center)!.state !== 'failed-over');
    if (changing.length === 0 && !isNewCenter) return;
    this.#epoch = (this.#epoch + 1) as Epoch;
    for (const { member, pair } of changing) {
      this.#pairEpochs.set(pair, this.#epoch);
      this.#enterMember(member, c);
      this.#endResync(member, c);
    }
    if (isNewCenter) this.#enterCenter(center, c.to, c.why, c.decidedBy);
    if (c.to === 'serving') this.#endCenterFailover(rows[0]!.center, c.decidedBy);
  }

  #enterMember(member: MemberId, c: ConditionChange): void {
    const { storeId } = this.#members.get(member)!;
    const { to: state, why, decidedBy } = c;
    this.#members.set(member, {
      ...{ member, state, since: new Date(this.#now()), why, decidedBy },
      mayReturn: state !== 'failed-over' || (c.mayReturn ?? false),
      storeId: state === 'serving' ? (c.storeId ?? storeId) : storeId,
    });
    this.#note(member, state, why, decidedBy);
  }

  #enterCenter(center: string, state: RecordedState, why: string, decidedBy: string): void {
    this.#centers.set(center, { center, state, since: new Date(this.#now()), why, decidedBy });
    this.#note(`center ${center}`, state, why, decidedBy);
  }

  #endCenterFailover(center: string, decidedBy: string): void {
    const isOut = this.#centers.get(center)?.state !== 'serving';
    const nodes = this.#subjects({ kind: 'center', center });
    if (isOut && nodes.every(({ member }) => this.#stateOf(member) === 'serving'))
      this.#enterCenter(center, 'serving', 'each of its nodes serves', decidedBy);
  }

  #endResync(member: MemberId, c: ConditionChange): void {
    const row = this.#resyncs.get(member);
    if (!row || c.to === 'resyncing' || row.phase === 'done' || row.phase === 'failed') return;
    const { lastError: _, ...rest } = row;
    const ended = { ...rest, updatedAt: new Date(this.#now()), leasedUntil: this.#now() };
    this.#resyncs.set(
      member,
      c.to === 'serving' ? { ...ended, phase: 'done' } : { ...ended, phase: 'failed', lastError: c.why },
    );
  }

  #hold(member: MemberId, { why, decidedBy }: Pick<ConditionChange, 'why' | 'decidedBy'>): void {
    const condition = this.#members.get(member)!;
    if (!condition.mayReturn) return;
    this.#members.set(member, { ...condition, mayReturn: false, why, decidedBy });
    this.#note(member, 'failed-over', why, decidedBy, this.epochOf(this.#rows.get(member)!.pair));
  }

  allowReturn(subject: Subject, decidedBy: string): Outcome<Conditions, 'no-such-subject'> {
    const rows = this.#subjects(subject);
    if (rows.length === 0) return refused('no-such-subject');
    for (const { member, pair } of rows) {
      const condition = this.#members.get(member)!;
      if (condition.state !== 'failed-over' || condition.mayReturn) continue;
      this.#members.set(member, { ...condition, mayReturn: true });
      this.#note(member, 'failed-over', 'may return', decidedBy, this.epochOf(pair));
    }
    return done(this.read());
  }

  #note(subject: string, state: RecordedState, why: string, decidedBy: string, epoch = this.#epoch): void {
    const id = this.#history.length + 1;
    this.#history.push({ id, subject, state, epoch, at: new Date(this.#now()), why, decidedBy });
  }

  history = (max: number, before = Number.POSITIVE_INFINITY): ConditionEvent[] =>
    this.#history
      .filter((event) => event.id < before)
      .reverse()
      .slice(0, max);

  adoptStore(member: MemberId, storeId: string): string | null {
    const condition = this.#members.get(member);
    if (condition?.state === 'serving' && condition.storeId === null)
      this.#members.set(member, { ...condition, storeId });
    return this.#members.get(member)?.storeId ?? null;
  }

  lease(
    { member, epoch, owner, leaseMs }: { member: MemberId; epoch: Epoch; owner: string; leaseMs: number },
    progress: Partial<ResyncState>,
  ): ResyncState | null {
    const now = this.#now();
    const pair = this.#rows.get(member)?.pair;
    const isValid = pair !== undefined && this.epochOf(pair) === epoch;
    if (!isValid && progress.phase !== 'done' && progress.phase !== 'failed') return null;
    let row = this.#resyncs.get(member);
    if (isValid && (!row || row.epoch < epoch))
      row = {
        ...{ member, epoch, owner, phase: 'tombstones', startedAt: new Date(now), updatedAt: new Date(now) },
        ...{ comparedRanges: 0, toPull: 0, pulledBlobs: 0, pulledBytes: 0, removedBlobs: 0, lag: 0 },
        leasedUntil: now,
      };
    if (row?.epoch !== epoch || !(row.owner === owner || (isValid && row.leasedUntil <= now))) return null;
    const given = Object.fromEntries(Object.entries(progress).filter(([, value]) => value !== undefined));
    const renewed = { ...row, ...given, owner, updatedAt: new Date(now), leasedUntil: now + leaseMs };
    this.#resyncs.set(member, renewed);
    return shownResync(renewed);
  }
  resyncs = (): ResyncState[] =>
    [...this.#resyncs.values()].sort((a, b) => (a.member < b.member ? -1 : 1)).map(shownResync);

  setWeight(pair: PairId, weight: number): Outcome<null, 'no-such-pair'> {
    if (!(weight >= 0 && Number.isFinite(weight))) throw new RangeError('a weight is 0 or more');
    if (!this.#weights.has(pair)) return refused('no-such-pair');
    this.#weights.set(pair, { weight, isSet: true });
    return done(null);
  }
  weights = (): Map<PairId, number> =>
    new Map([...this.#weights].map(([pair, { weight }]) => [pair, weight] as const));
}

const shownResync = ({ leasedUntil: _, ...row }: ResyncRow): ResyncState => row;
