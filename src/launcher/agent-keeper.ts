/**
 * A directory that nobody supervises: keeps its role durably, starts Postgres in it, starts it again when it ends or
 * hangs, and takes orders on the control port. The decider of the pair is the operator.
 *
 *   none     → waits until judge-start.ts knows a role from the twin's word
 *   primary  → commits wait for the twin until an operator says that it is down; they wait again, once that is allowed,
 *              when the twin streams and is level
 *   standby  → streams; when the primary does not wait for it and it cannot stream, it is seeded anew
 *
 * Invariants: every change of the role is on disk before it is acted upon; commits stop waiting for the twin by an
 * order alone.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { type Clock, OVER, systemClock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import type { MemberConfig } from '../config.ts';
import { buildTopology } from '../twin/load.ts';
import type { AgentClient } from './agent-client.ts';
import { openAgentControl } from './agent-control.ts';
import { agentAt, clientOf } from './agent-peers.ts';
import type { AgentRefusal, AgentStatus, SynchronousOrder } from './agent-protocol.ts';
import { type RoleRecord, readRole, writeRole } from './agent-role.ts';
import type { NameAnswers } from './agent-search.ts';
import { readControlFile } from './control-file.ts';
import { DirectoryAgent } from './directory-agent.ts';
import { dropAside, isStandbyFolder, makePrimaryFolder } from './directory-folder.ts';
import { isLevel } from './judge-pair.ts';
import { judgeStart } from './judge-start.ts';
import type { FromMember, Replication } from './messages.ts';
import { isInitialized } from './postgres.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { killFolder } from './postgres-processes.ts';
import { readKey, readPasswords } from './secrets.ts';

const TICK_MS = 500;
/** A process that did not run itself cannot blame its server for silence. */
const ASLEEP_MS = 2_000;
const BACK_OFF_FIRST_MS = 250;
const BACK_OFF_MAX_MS = 15_000;
const CALM_MS = 60_000;
/** A standby that runs and does not stream, while the primary does its part, will not do so by itself. */
const STREAM_MS = 30_000;
/** Until the running server has taken over what was decided. */
const CONFIRM_MS = 5_000;

export interface Keeper {
  end(): Promise<void>;
}

/** Opens the control port first: of two processes for one member the second ends before it touches the folder. */
export async function startKeeper(
  config: MemberConfig,
  log: Logger,
  binaries: PostgresBinaries,
  names: Pick<NameAnswers, 'answer'>,
): Promise<Keeper> {
  const keeper = new AgentKeeper(config, log, binaries, systemClock);
  const control = await openAgentControl({
    member: config.member,
    ...agentAt(config, config.member),
    secret: readKey(config.secretsDir, 'cluster'),
    ...{ clock: systemClock, log },
    status: () => keeper.status(),
    answerSearch: names.answer,
    setSynchronous: (order) => keeper.setSynchronous(order),
  });
  const running = keeper.run();
  return {
    async end() {
      await control.close();
      await keeper.end();
      await running;
    },
  };
}

class AgentKeeper {
  readonly #config: MemberConfig;
  readonly #log: Logger;
  readonly #binaries: PostgresBinaries;
  readonly #clock: Clock;
  readonly #agent: DirectoryAgent;
  readonly #folder: string;
  readonly #twin: { readonly id: MemberId; readonly client: AgentClient; readonly isFirst: boolean };
  readonly #over = new AbortController();
  #record: RoleRecord | null;
  /** What was told to the agent last; its words about earlier ones are not heeded. */
  #told = 0;
  #server: 'none' | 'starting' | 'running' = 'none';
  #pid: number | null = null;
  #replication: Replication | null = null;
  #problem: string | null = 'it has just started';
  #aliveAt = 0;
  #tickedAt = 0;
  #streamedAt = 0;
  #failures = { count: 0, at: Number.NEGATIVE_INFINITY };
  #startAt = 0;
  #reseed = false;

  constructor(config: MemberConfig, log: Logger, binaries: PostgresBinaries, clock: Clock) {
    this.#config = config;
    this.#log = log;
    this.#binaries = binaries;
    this.#clock = clock;
    this.#folder = join(config.dataDir, 'pg');
    this.#record = readRole(config.dataDir);
    this.#twin = twinOf(config, clock);
    this.#agent = new DirectoryAgent(config, { log, send: (message) => this.#heard(message) }, binaries);
  }

  async run(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      try {
        await this.#tick();
      } catch (error) {
        this.#wait((error as Error).message);
        this.#log.error({ err: error }, 'a step failed');
      }
      await this.#clock.sleep(TICK_MS, signal).catch(() => {});
    }
  }

  async end(): Promise<void> {
    this.#over.abort(OVER);
    await this.#agent.end();
  }

  status(): AgentStatus {
    const record = this.#record;
    const identity = readControlFile(this.#folder);
    return {
      member: this.#config.member,
      role: record?.role ?? 'none',
      term: record?.term ?? 0,
      turn: record?.turn ?? 0,
      synchronous: record?.synchronous ?? true,
      mayReturn: record?.mayReturn ?? false,
      since: record?.since ?? new Date(this.#clock.now()).toISOString(),
      why: record?.why ?? 'it has no role yet',
      decidedBy: record?.decidedBy ?? this.#config.member,
      pid: this.#pid,
      dataState: this.#dataState(),
      systemId: identity?.systemId ?? null,
      timeline: identity?.timeline ?? null,
      replication: this.#replication,
      problem: this.#problem,
    };
  }

  /** Off takes the twin out at once; on, where the twin is not level yet, lets it in when it is. */
  async setSynchronous(order: SynchronousOrder): Promise<AgentStatus | AgentRefusal> {
    const record = this.#record;
    if (record?.role !== 'primary') return 'not-primary';
    if (order.turn !== record.turn) return 'turn-passed';
    const { on, why, decidedBy } = order;
    if (!on && !order.assertTwinDown) return 'not-asserted';
    if (!on && record.synchronous && this.#replication?.state === 'streaming' && !order.force)
      return 'twin-streams';
    const isLevelNow = this.#replication !== null && isLevel(this.#replication);
    const synchronous = on && (record.synchronous || isLevelNow);
    this.#setRecord({ ...record, synchronous, mayReturn: on && !synchronous, why, decidedBy });
    this.#agent.setSynchronous(synchronous);
    const until = this.#clock.monotonic() + CONFIRM_MS;
    while (this.#server === 'running' && this.#replication?.synchronous !== synchronous) {
      if (this.#clock.monotonic() > until) break;
      await this.#clock.sleep(50);
    }
    return this.status();
  }

  async #tick(): Promise<void> {
    const now = this.#clock.monotonic();
    if (now - this.#tickedAt > ASLEEP_MS) this.#aliveAt = now;
    this.#tickedAt = now;
    if (this.#server === 'starting') return;
    if (this.#server === 'none') {
      if (now >= this.#startAt) await this.#start(await this.#askTwin());
      return;
    }
    const deadlineMs = this.#config.settings.directoryDeadlineMs;
    if (now - this.#aliveAt > deadlineMs) {
      this.#log.error({ pid: this.#pid, deadlineMs }, 'Postgres does not answer: it is ended by force');
      this.#aliveAt = now;
      await killFolder(this.#folder);
    } else if (this.#record?.role === 'primary') this.#watchTwin(this.#record);
    else this.#follow(await this.#askTwin(), now);
  }

  async #start(twin: AgentStatus | null): Promise<void> {
    const step = judgeStart({
      isFirst: this.#twin.isFirst,
      record: this.#record,
      dataState: this.#dataState(),
      systemId: readControlFile(this.#folder)?.systemId ?? null,
      twinId: this.#twin.id,
      twin,
    });
    if (this.#over.signal.aborted) return;
    if (step.kind === 'wait') return this.#wait(step.why);
    if (step.kind === 'make') {
      this.#log.info(step.why);
      this.#wait('it makes the catalog');
      const { superuser } = readPasswords(this.#config.secretsDir);
      await makePrimaryFolder(this.#binaries, this.#folder, superuser);
    }
    const role = step.kind === 'standby' ? 'standby' : 'primary';
    const term = step.kind === 'standby' ? step.term : (this.#record?.term ?? 1);
    if (this.#record?.role !== role || this.#record.term !== term) {
      const decidedBy = this.#config.member;
      const synchronous = role === 'primary';
      this.#setRecord({ role, term, synchronous, mayReturn: false, why: step.why, decidedBy });
    }
    this.#tell(role);
  }

  #tell(role: 'primary' | 'standby'): void {
    this.#server = 'starting';
    this.#replication = null;
    this.#problem = this.#dataState() === 'empty' || this.#reseed ? 'it is being seeded' : 'it is starting';
    this.#log.info({ role }, this.#problem);
    const twin = this.#twin.id;
    this.#told += 1;
    this.#agent.take(
      role === 'primary'
        ? { kind: role, synchronous: this.#record!.synchronous, twin }
        : { kind: role, primary: twin, reseed: this.#reseed },
      this.#told,
    );
    this.#reseed = false;
  }

  #heard(message: FromMember): void {
    const now = this.#clock.monotonic();
    if (message.type === 'postgres' && message.turn === this.#told) {
      this.#pid = message.pid;
      this.#replication = null;
      this.#aliveAt = now;
      this.#streamedAt = now;
      if (message.pid !== null) {
        this.#server = 'running';
        this.#problem = null;
      } else {
        this.#server = 'none';
        this.#problem = `Postgres is down (${message.problem ?? 'it ended'})`;
        this.#backOff(now);
      }
    }
    if (message.type === 'progress') this.#log.info({ ms: message.ms }, message.step);
    if (message.type === 'alive') this.#aliveAt = now;
    if (message.type === 'replication') {
      this.#aliveAt = now;
      this.#replication = message.replication;
    }
  }

  #backOff(now: number): void {
    const count = now - this.#failures.at > CALM_MS ? 0 : this.#failures.count + 1;
    this.#failures = { count, at: now };
    this.#startAt = now + Math.min(BACK_OFF_FIRST_MS * 2 ** count, BACK_OFF_MAX_MS);
  }

  /** What was decided and what the server runs must agree; a twin that may return does when it is level. */
  #watchTwin(record: RoleRecord): void {
    const replication = this.#replication;
    if (!replication) return;
    if (!record.synchronous && record.mayReturn && isLevel(replication)) {
      const why = `it streams and has replayed up to ${replication.replayed}`;
      this.#setRecord({ ...record, synchronous: true, mayReturn: false, why });
      this.#agent.setSynchronous(true);
    } else if (replication.synchronous !== record.synchronous) this.#agent.setSynchronous(record.synchronous);
  }

  /** A standby that the primary does without, and that cannot stream, is seeded anew. */
  #follow(primary: AgentStatus | null, now: number): void {
    const seen = primary?.role === 'primary' && primary.pid !== null ? primary.replication : null;
    if (!primary || !seen) {
      this.#streamedAt = now;
      this.#problem = `${this.#twin.id} does not say how it sees this standby`;
      return;
    }
    if (seen.state === 'streaming') {
      this.#streamedAt = now;
      this.#problem = null;
      if (primary.synchronous && isLevel(seen)) dropAside(this.#folder);
      return;
    }
    this.#problem = 'it does not stream';
    const isLost = seen.slot === 'lost' || now - this.#streamedAt > STREAM_MS;
    if (primary.synchronous || !isLost) return;
    this.#log.warn({ slot: seen.slot }, 'it cannot stream any more: it is seeded anew');
    this.#reseed = true;
    this.#tell('standby');
  }

  #setRecord(record: Omit<RoleRecord, 'turn' | 'since'>): void {
    const since = new Date(this.#clock.now()).toISOString();
    const next: RoleRecord = { ...record, since, turn: (this.#record?.turn ?? 0) + 1 };
    writeRole(this.#config.dataDir, next);
    this.#record = next;
    this.#log.warn(next, 'decided');
  }

  /** Said once for each reason. */
  #wait(why: string): void {
    if (this.#problem !== why) this.#log.warn(why);
    this.#problem = why;
  }

  #dataState(): AgentStatus['dataState'] {
    if (!isInitialized(this.#folder)) return 'empty';
    return isStandbyFolder(this.#folder) ? 'standby' : 'primary';
  }

  async #askTwin(): Promise<AgentStatus | null> {
    return this.#twin.client.status().catch((error: unknown) => {
      this.#log.debug({ err: error, twin: this.#twin.id }, 'the twin does not answer');
      return null;
    });
  }
}

function twinOf(config: MemberConfig, clock: Clock): { id: MemberId; client: AgentClient; isFirst: boolean } {
  const pairs = [...buildTopology(config.cluster).pairs.values()];
  const self = config.member as MemberId;
  const pair = pairs.find((p) => p.members.includes(self));
  if (!pair) throw new Error(`${self} is in no pair`);
  const isFirst = pair.members[0] === self;
  const id = pair.members[isFirst ? 1 : 0];
  return { id, isFirst, client: clientOf(config, id, clock) };
}
