/**
 * A directory that nobody supervises: keeps its role durably, starts Postgres in it, starts it again when it ends or
 * hangs, and carries out orders. The decider of the pair is the operator; takeover.ts has how the role changes hands.
 *
 *   none     → waits until judge-start.ts knows a role from the twin's word
 *   primary  → commits wait for the twin until an operator says that it is down; they wait again, once that is allowed,
 *              when the twin streams and is level. Ends its server when the twin has become the primary
 *   standby  → streams; when the primary does not wait for it and it cannot stream, it is seeded anew
 *
 * Invariants: every change of the role is on disk before it is acted upon; commits stop waiting for the twin by an
 * order alone.
 */
import type { Logger } from 'pino';
import { type Clock, OVER } from '../base/clock.ts';
import type { MemberId, PairId } from '../base/ids.ts';
import type { Settings } from '../config.ts';
import type { AgentClient } from './agent-client.ts';
import type { AgentOrders } from './agent-control.ts';
import type {
  AgentRefusal,
  AgentStatus,
  GiveUpOrder,
  Lease,
  LeaseOrder,
  SynchronousOrder,
  TakeOverOrder,
} from './agent-protocol.ts';
import type { RoleRecord } from './agent-role.ts';
import type { ClusterIdentity } from './control-file.ts';
import { isLevel } from './judge-pair.ts';
import { judgeStart } from './judge-start.ts';
import type { FromMember } from './messages.ts';
import { Office, type RoleStore } from './office.ts';
import { RoleHistory } from './role-history.ts';
import { type ServerAgent, ServerWatch } from './server-watch.ts';
import { refuseTakeOver, stepOfTakeOver, type TakingOver } from './takeover.ts';

const TICK_MS = 500;
/** A process that did not run itself cannot blame its server for silence. */
const ASLEEP_MS = 2_000;
/** A standby that runs and does not stream, while the primary does its part, will not do so by itself. */
const STREAM_MS = 30_000;
/** Until the running server has taken over what was decided. */
const CONFIRM_MS = 5_000;
/** Until a server has ended in order, or by force. */
const ENDED_MS = 35_000;
const POLL_MS = 50;

export interface DirectoryFolder {
  state(): AgentStatus['dataState'];
  identity(): ClusterIdentity | null;
  make(): Promise<void>;
  /** Ends by force what runs in it. */
  kill(): Promise<void>;
  dropAside(): void;
}

export interface KeeperOptions {
  readonly member: MemberId;
  readonly pair: PairId;
  readonly twin: { readonly id: MemberId; readonly client: AgentClient; readonly isFirst: boolean };
  readonly settings: Pick<Settings, 'directoryDeadlineMs' | 'directoryLease'>;
  readonly roles: RoleStore;
  readonly folder: DirectoryFolder;
  readonly agent: (send: (message: FromMember) => void) => ServerAgent;
  readonly newOrder: () => string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class DirectoryKeeper implements AgentOrders {
  readonly #o: KeeperOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #server: ServerWatch;
  readonly #office: Office;
  readonly #over = new AbortController();
  #tickedAt = 0;
  #reseed = false;
  #takingOverSince: number | null = null;

  constructor(o: KeeperOptions) {
    this.#o = o;
    this.#clock = o.clock;
    this.#log = o.log;
    const { roles, clock, log, settings } = o;
    const history = new RoleHistory({ pair: o.pair, self: o.member, twin: o.twin.id });
    const changed = (before: RoleRecord | null, after: RoleRecord) => {
      const events = history.note(before, after);
      if (events) this.#server.agent.remember(events);
    };
    this.#office = new Office({ roles, clock, log, settings: settings.directoryLease, changed });
    this.#server = new ServerWatch({
      ...{ agent: o.agent, clock, log },
      onReplication: (seen) => this.#office.cover.note(seen, this.#record?.synchronous === true),
    });
  }

  async run(): Promise<void> {
    this.#office.tellFound();
    const { renewMs } = this.#o.settings.directoryLease;
    const renewal = this.#repeat(renewMs, () => this.#office.renew(this.#o.twin.client));
    await Promise.all([this.#repeat(TICK_MS, () => this.#tick()), renewal]);
  }

  async #repeat(everyMs: number, step: () => Promise<void>): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      try {
        await step();
      } catch (error) {
        this.#server.wait((error as Error).message);
        this.#log.error({ err: error }, 'a step failed');
      }
      await this.#clock.sleep(everyMs, signal).catch(() => {});
    }
  }

  async end(): Promise<void> {
    this.#over.abort(OVER);
    await this.#server.agent.end();
  }

  status(): AgentStatus {
    const record = this.#record;
    const identity = this.#o.folder.identity();
    return {
      member: this.#o.member,
      role: record?.role ?? 'none',
      term: record?.term ?? 0,
      turn: record?.turn ?? 0,
      step: record?.step ?? null,
      trustMs: this.#office.trustMs(this.#server.isRunning),
      synchronous: record?.synchronous ?? true,
      mayReturn: record?.mayReturn ?? false,
      since: record?.since ?? new Date(this.#clock.now()).toISOString(),
      why: record?.why ?? 'it has no role yet',
      decidedBy: record?.decidedBy ?? this.#o.member,
      pid: this.#server.pid,
      dataState: this.#o.folder.state(),
      systemId: identity?.systemId ?? null,
      timeline: identity?.timeline ?? null,
      replication: this.#server.replication,
      problem: this.#server.problem ?? this.#leaseProblem(),
    };
  }

  get #record(): RoleRecord | null {
    return this.#office.record;
  }

  #leaseProblem(): string | null {
    const { role, synchronous } = this.#record ?? {};
    if (role !== 'primary' || !synchronous || this.#office.leaseLeftMs > 0) return null;
    const why = this.#office.refused ?? 'it does not answer';
    return `it answers nobody while ${this.#o.twin.id} gives it no lease (${why})`;
  }

  /** Off takes the twin out at once; on lets it in when it is level. */
  async setSynchronous(order: SynchronousOrder): Promise<AgentStatus | AgentRefusal> {
    const record = this.#record;
    if (record?.role !== 'primary' || record.step !== null) return 'not-primary';
    if (order.turn !== record.turn) return 'turn-passed';
    const { on, why, decidedBy } = order;
    if (!on && !order.assertTwinDown) return 'not-asserted';
    if (!on && record.synchronous && this.#server.replication?.state === 'streaming' && !order.force)
      return 'twin-streams';
    // A twin that answers notes that it is out, and is then never promoted; or it is at that already.
    if (!on && record.synchronous && (await this.#office.isTwinTakingOver(this.#o.twin.client)))
      return 'twin-takes-over';
    if (this.#record !== record) return 'turn-passed';
    const synchronous = on && record.synchronous;
    this.#office.set({ ...record, synchronous, mayReturn: on && !synchronous, why, decidedBy });
    this.#server.agent.setSynchronous(synchronous);
    await this.#until(CONFIRM_MS, () => this.#server.replication?.synchronous === synchronous);
    return this.status();
  }

  lease = async (order: LeaseOrder): Promise<Lease | AgentRefusal> => this.#office.give(order);

  async takeOver(order: TakeOverOrder): Promise<AgentStatus | AgentRefusal> {
    const asked = this.#record;
    if (asked?.role !== 'standby') return 'not-standby';
    if (order.turn !== asked.turn) return 'turn-passed';
    const isStronger = asked.step?.kind === 'taking-over' && !asked.step.asserted && order.assertTwinDown;
    if (asked.step?.kind === 'taking-over' && !isStronger) return 'under-way';
    const primary = await this.#askTwin();
    const record = this.#record;
    if (record?.turn !== asked.turn) return 'turn-passed';
    const refusal = refuseTakeOver(order, { record, isRunning: this.#server.isRunning }, primary);
    if (refusal) return refusal;
    const { why, decidedBy, assertTwinDown: asserted } = order;
    const step = { kind: 'taking-over', order: this.#o.newOrder(), asserted } as const;
    this.#office.set({ ...record, step, why, decidedBy });
    this.#takingOverSince = this.#clock.monotonic();
    return this.status();
  }

  async giveUp({ term, order, why, decidedBy }: GiveUpOrder): Promise<AgentStatus | AgentRefusal> {
    const record = this.#record;
    if (record?.step?.kind === 'gave-up' && record.step.order === order) return this.status();
    if (record?.role !== 'primary' || record.step !== null) return 'not-primary';
    if (record.term !== term) return 'other-term';
    if (this.#office.isGivingUp) return 'under-way';
    if (!this.#server.isRunning) return 'not-running';
    const isLevelNow = this.#server.replication !== null && isLevel(this.#server.replication);
    if (!record.synchronous || !this.#office.cover.isWhole || !isLevelNow) return 'not-level';
    this.#office.beginGivingUp();
    try {
      this.#server.tell({ kind: 'off' }, 'it gives up its role');
      const hasEnded = await this.#until(ENDED_MS, () => this.#server.state === 'none');
      // Else it is still the primary, and is started again when it has ended.
      if (!hasEnded || this.#record !== record) return 'not-running';
      const step = { kind: 'gave-up', order } as const;
      this.#office.set({ ...record, role: 'standby', synchronous: false, step, why, decidedBy });
      this.#server.problem = `it has given up its role to ${this.#o.twin.id}`;
      return this.status();
    } finally {
      this.#office.resume();
    }
  }

  async #until(ms: number, condition: () => boolean): Promise<boolean> {
    const end = this.#clock.monotonic() + ms;
    while (!condition() && this.#clock.monotonic() < end && !this.#over.signal.aborted)
      await this.#clock.sleep(POLL_MS);
    return condition();
  }

  async #tick(): Promise<void> {
    const now = this.#clock.monotonic();
    if (now - this.#tickedAt > ASLEEP_MS) this.#server.aliveAt = now;
    this.#tickedAt = now;
    if (this.#record?.step?.kind === 'taking-over') await this.#takeOver(this.#record, this.#record.step);
    if (this.#server.state === 'starting' || this.#office.isGivingUp) return;
    if (this.#server.state === 'none') {
      if (this.#server.mayStart) await this.#start(await this.#askTwin());
      return;
    }
    const deadlineMs = this.#o.settings.directoryDeadlineMs;
    if (now - this.#server.aliveAt > deadlineMs) {
      this.#log.error(
        { pid: this.#server.pid, deadlineMs },
        'Postgres does not answer: it is ended by force',
      );
      this.#server.aliveAt = now;
      await this.#o.folder.kill();
    } else if (this.#record?.role === 'primary') await this.#preside(this.#record);
    else this.#follow(await this.#askTwin(), now);
  }

  async #start(twin: AgentStatus | null): Promise<void> {
    const step = judgeStart({
      isFirst: this.#o.twin.isFirst,
      record: this.#record,
      dataState: this.#o.folder.state(),
      systemId: this.#o.folder.identity()?.systemId ?? null,
      twinId: this.#o.twin.id,
      twin,
    });
    if (this.#over.signal.aborted) return;
    if (step.kind === 'wait') return this.#server.wait(step.why);
    if (step.kind === 'make') {
      this.#log.info(step.why);
      this.#server.wait('it makes the catalog');
      await this.#o.folder.make();
    }
    if (step.kind === 'standby') this.#becomeStandby(step.term, step.why);
    else this.#becomePrimary(step.why);
  }

  #becomePrimary(why: string): void {
    const record = this.#record;
    if (record?.role !== 'primary') {
      const facts = { term: record?.term ?? 1, step: null, synchronous: true, mayReturn: false, leaseMs: 0 };
      this.#office.set({ ...facts, role: 'primary', why, decidedBy: this.#o.member });
    }
    const { synchronous } = this.#record!;
    this.#server.tell({ kind: 'primary', synchronous, twin: this.#o.twin.id }, 'it is starting');
  }

  #becomeStandby(term: number, why: string): void {
    const record = this.#record;
    const facts = { term, step: null, synchronous: false, mayReturn: false, leaseMs: record?.leaseMs ?? 0 };
    const isAnother = record?.role !== 'standby' || record.term !== term || record.step?.kind === 'gave-up';
    if (isAnother) this.#office.set({ ...facts, role: 'standby', why, decidedBy: this.#o.member });
    const seeds = this.#o.folder.state() !== 'standby' || this.#reseed;
    if (seeds) this.#office.setOut('it is seeded anew');
    const role = { kind: 'standby', primary: this.#o.twin.id, reseed: this.#reseed } as const;
    this.#server.tell(role, seeds ? 'it is being seeded' : 'it is starting');
    this.#reseed = false;
  }

  /** A primary that runs: has its promotion been done, has its twin taken over, may its twin return. */
  async #preside(record: RoleRecord): Promise<void> {
    if (record.step?.kind === 'promoting') {
      this.#office.set({ ...record, step: null }, record.since);
      return;
    }
    if (this.#office.refused === 'not-standby') {
      const twin = await this.#askTwin();
      if (twin?.role === 'primary' && twin.term > record.term) {
        this.#server.tell({ kind: 'off' }, `${twin.member} has become the primary: its Postgres is ended`);
        return;
      }
    }
    this.#watchTwin(record);
  }

  /** What was decided and what the server runs must agree; a twin that may return does when it is level. */
  #watchTwin(record: RoleRecord): void {
    const replication = this.#server.replication;
    if (!replication || this.#record !== record) return;
    // Before commits wait for it again it has been told that they did not: so that it never takes itself for whole.
    const isReady = isLevel(replication) && this.#office.hasSaidOut && this.#office.leaseLeftMs > 0;
    if (!record.synchronous && record.mayReturn && isReady) {
      const why = `it streams and has replayed up to ${replication.replayed}`;
      this.#office.set({ ...record, synchronous: true, mayReturn: false, why });
      this.#server.agent.setSynchronous(true);
    } else if (replication.synchronous !== record.synchronous)
      this.#server.agent.setSynchronous(record.synchronous);
  }

  /** A standby that the primary does without, and that cannot stream, is seeded anew. */
  #follow(primary: AgentStatus | null, now: number): void {
    const seen = primary?.role === 'primary' && primary.pid !== null ? primary.replication : null;
    if (primary?.role === 'primary' && !primary.synchronous) this.#office.setOut(primary.why);
    if (!primary || !seen) {
      this.#server.streamedAt = now;
      this.#server.problem = `${this.#o.twin.id} does not say how it sees this standby`;
      return;
    }
    if (seen.state === 'streaming') {
      this.#server.streamedAt = now;
      this.#server.problem = null;
      if (primary.synchronous && isLevel(seen)) this.#o.folder.dropAside();
      return;
    }
    this.#server.problem = 'it does not stream';
    const isLost = seen.slot === 'lost' || now - this.#server.streamedAt > STREAM_MS;
    const { record } = this.#office;
    if (primary.synchronous || !isLost || record?.step) return;
    this.#log.warn({ slot: seen.slot }, 'it cannot stream any more: it is seeded anew');
    this.#reseed = true;
    this.#becomeStandby(record!.term, 'it cannot stream any more');
  }

  /** One step of taking over, by what is written and what is seen. */
  async #takeOver(record: RoleRecord, step: TakingOver): Promise<void> {
    this.#takingOverSince ??= this.#clock.monotonic();
    const ageMs = this.#clock.monotonic() - this.#takingOverSince;
    const own = { isRunning: this.#server.isRunning, ageMs };
    const leaseLeftMs = () => this.#office.givenLeftMs;
    const { client: twin } = this.#o.twin;
    const next = await stepOfTakeOver({ record, step, ...own }, { leaseLeftMs, twin, log: this.#log });
    // An order that came meanwhile goes on from its own record.
    if (this.#record !== record || this.#over.signal.aborted) return;
    if (next.kind === 'wait') this.#server.wait(`it takes over: ${next.why}`);
    if (next.kind === 'abandon') {
      this.#takingOverSince = null;
      this.#office.set({ ...record, step: null, why: `it did not take over: ${next.why}` });
    }
    if (next.kind !== 'promote') return;
    this.#takingOverSince = null;
    this.#log.warn({ proof: next.proof, term: record.term + 1 }, 'it takes over');
    const office = { role: 'primary', term: record.term + 1, step: { kind: 'promoting' } } as const;
    this.#office.set({ ...record, ...office, synchronous: false, mayReturn: false });
    this.#server.tell({ kind: 'primary', synchronous: false, twin: this.#o.twin.id }, 'it is being promoted');
  }

  async #askTwin(): Promise<AgentStatus | null> {
    const { client, id } = this.#o.twin;
    return client.status().catch((error: unknown) => {
      this.#log.debug({ err: error, twin: id }, 'the twin does not answer');
      return null;
    });
  }
}
