/**
 * A directory's role as it is written down, and the leases that go with it, without a supervisor. Invariants: what is
 * decided is durable before it is acted upon; a standby gives leases only while it is settled as one; a primary whose
 * commits wait for its twin may be trusted only while a lease of that twin holds.
 */
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { Settings } from '../config.ts';
import { type AgentClient, AgentRefused } from './agent-client.ts';
import type { AgentRefusal, Lease, LeaseOrder } from './agent-protocol.ts';
import type { RoleRecord } from './agent-role.ts';
import { GivenLease, HeldLease } from './lease.ts';
import type { Replication } from './messages.ts';

export interface RoleStore {
  read(): RoleRecord | null;
  /** Durable when it returns. */
  write(record: RoleRecord): void;
}

export interface OfficeOptions {
  readonly roles: RoleStore;
  readonly settings: Settings['directoryLease'];
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn' | 'debug'>;
  /** After each change, and once of what is found at the start (`before` is null then). */
  readonly changed: (before: RoleRecord | null, after: RoleRecord) => void;
}

export class Office {
  readonly #o: OfficeOptions;
  readonly #held: HeldLease;
  readonly #given: GivenLease;
  /** Of a primary: whether its twin has everything that was acknowledged before commits waited for it. */
  readonly cover = new Cover();
  #record: RoleRecord | null;
  #isGivingUp = false;
  /** The twin has heard, since commits do without it, that they do. */
  #saidOut = false;
  #refused: AgentRefusal | null = null;

  constructor(o: OfficeOptions) {
    this.#o = o;
    this.#record = o.roles.read();
    this.#held = new HeldLease(o.clock);
    const { leaseMs, marginMs } = o.settings;
    const earlierMs = this.#record?.role === 'standby' ? Math.max(leaseMs, this.#record.leaseMs) : 0;
    this.#given = new GivenLease(o.clock, { marginMs, earlierMs });
  }

  get record(): RoleRecord | null {
    return this.#record;
  }
  /** Why the twin gave no lease when it was asked last. */
  get refused(): AgentRefusal | null {
    return this.#refused;
  }
  get hasSaidOut(): boolean {
    return this.#saidOut;
  }
  get leaseLeftMs(): number {
    return this.#held.leftMs;
  }
  get givenLeftMs(): number {
    return this.#given.leftMs;
  }

  /** @param since of the decision that this goes on with; else now */
  set(record: Omit<RoleRecord, 'turn' | 'since'>, since = new Date(this.#o.clock.now()).toISOString()): void {
    const next: RoleRecord = { ...record, since, turn: (this.#record?.turn ?? 0) + 1 };
    this.#o.roles.write(next);
    const before = this.#record;
    this.#record = next;
    if (before?.role !== next.role || before.term !== next.term) {
      this.#held.giveUp();
      this.#refused = null;
      this.#isGivingUp = false;
      this.#saidOut = false;
    }
    if (next.synchronous) this.#saidOut = false;
    this.#o.log.warn(next, 'decided');
    this.#o.changed(before, next);
  }

  tellFound(): void {
    if (this.#record) this.#o.changed(null, this.#record);
  }

  /** From now on nobody is to trust it, whatever lease it holds. */
  beginGivingUp(): void {
    this.#isGivingUp = true;
    this.#held.giveUp();
  }
  /** It has not come about. */
  resume(): void {
    this.#isGivingUp = false;
  }
  get isGivingUp(): boolean {
    return this.#isGivingUp;
  }

  /** For how long this member may be taken for the primary from now on. */
  trustMs(isRunning: boolean): number {
    const record = this.#record;
    if (record?.role !== 'primary' || record.step !== null || !isRunning || this.#isGivingUp) return 0;
    return record.synchronous ? this.#held.leftMs : this.#o.settings.leaseMs;
  }

  /** As primary: asks the twin for the next lease. Never throws. */
  async renew(twin: Pick<AgentClient, 'lease'>): Promise<void> {
    const record = this.#record;
    if (record?.role !== 'primary' || record.step !== null || this.#isGivingUp) return;
    const said = !record.synchronous ? 'out' : this.cover.isWhole ? 'in' : 'catching-up';
    const askedAt = this.#o.clock.monotonic();
    try {
      const { leaseMs } = await twin.lease({ term: record.term, twin: said });
      const now = this.#record;
      if (now?.role !== 'primary' || now.term !== record.term || this.#isGivingUp) return;
      this.#held.given(askedAt, leaseMs);
      this.#refused = null;
      if (said === 'out' && !now.synchronous) this.#saidOut = true;
    } catch (error) {
      if (error instanceof AgentRefused) this.#refused = error.reason;
      this.#o.log.debug({ err: error }, 'no lease');
    }
  }

  /** As primary, before commits go on without the twin: it is told, if it answers, so that it cannot take over after that. */
  async isTwinTakingOver(twin: Pick<AgentClient, 'lease' | 'status'>): Promise<boolean> {
    const { term } = this.#record!;
    try {
      await twin.lease({ term, twin: 'out' });
      return false;
    } catch (error) {
      if (!(error instanceof AgentRefused)) return false;
      if (error.reason === 'under-way') return true;
      return twin.status().then(
        ({ role }) => role === 'primary',
        () => false,
      );
    }
  }

  /** As standby: gives one. What the primary says of it is noted first: a member that is out is never promoted. */
  give({ term, twin }: LeaseOrder): Lease | AgentRefusal {
    const record = this.#record;
    if (record?.role !== 'standby') return 'not-standby';
    if (record.step !== null) return 'under-way';
    if (term !== record.term) return 'other-term';
    const { leaseMs } = this.#o.settings;
    const synchronous = twin === 'in' || (twin === 'catching-up' && record.synchronous);
    const longestMs = Math.max(leaseMs, record.leaseMs);
    if (record.synchronous !== synchronous || record.leaseMs !== longestMs)
      this.set({ ...record, synchronous, leaseMs: longestMs });
    this.#given.give(leaseMs);
    return { leaseMs };
  }

  /** As standby: it lacks, or may lack, what was acknowledged. */
  setOut(why: string): void {
    if (this.#record?.role === 'standby' && this.#record.synchronous)
      this.set({ ...this.#record, synchronous: false, why });
  }
}

/** What a primary knows of its twin's completeness; forgotten whenever the twin does not stream. */
export class Cover {
  #from: number | null = null;
  #isWhole = false;

  /** @param seen null: the server has just started, or has ended */
  note(seen: Replication | null, isSynchronous: boolean): void {
    if (!seen?.synchronous || !isSynchronous || seen.state !== 'streaming') {
      this.#from = null;
      this.#isWhole = false;
      return;
    }
    this.#from ??= seen.flushed;
    if (seen.replayed !== null && seen.replayed >= this.#from) this.#isWhole = true;
  }

  /** Commits wait for the twin, and it has replayed all that was there when they began to. */
  get isWhole(): boolean {
    return this.#isWhole;
  }
}
