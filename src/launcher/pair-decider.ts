/**
 * The decider of one directory pair. Invariants: a member is taken out of the synchronous set only after no process is
 * left in its data folder and the decision is on disk; it is put back only after it has caught up, and that is on disk too.
 * What to do is judged in judge-pair.ts; this file sees and acts.
 */
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { MemberId, PairId } from '../base/ids.ts';
import type { Decision, DecisionLog } from './decisions.ts';
import { isLevel, judgePair, type ServerSight } from './judge-pair.ts';
import type { Condition, DirectoryRole, DirectoryState, FromMember, Replication } from './messages.ts';

/** What the decider can do to a member of its pair; the supervisor's children in life. */
export interface DirectoryHandle {
  readonly id: MemberId;
  /** Sends the role, now or when the agent is up. Words about earlier turns are not to be heeded. */
  take(role: DirectoryRole, turn: number): void;
  setSynchronous(on: boolean): void;
  /**
   * Ends the server by SIGKILL and, where it is not known which of the two hangs, its agent as well. Resolves when no
   * process of them is left.
   */
  kill(what: 'server' | 'server-and-agent'): Promise<void>;
}

export interface DeciderOptions {
  readonly pair: PairId;
  readonly primary: DirectoryHandle;
  readonly twin: DirectoryHandle;
  readonly decisions: DecisionLog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly deadlineMs: number;
  readonly onChange: () => void;
  /** The twin has returned: what was set aside for it may go. */
  readonly onReturned: () => void;
}

const BACK_OFF_FIRST_MS = 250;
const BACK_OFF_MAX_MS = 15_000;
/** After this long without trouble the next trouble is the first again. */
const CALM_MS = 60_000;
/** A twin that fails to start this often in a row is seeded anew. */
const FAILED_STARTS_MAX = 2;

interface Server extends ServerSight {
  readonly pid: number | null;
  readonly turn: number;
}

export class PairDecider {
  readonly #o: DeciderOptions;
  #primary: Server;
  #twin: Server;
  #replication: Replication | null = null;
  #twinMovedAt: number;
  #twinIn: boolean;
  /** Set while a step is under way, and for the back-off after it. */
  #busy = false;
  #stopped = false;
  #failures = { count: 0, at: 0 };
  #failedStarts = 0;
  #reseed: boolean;
  #turn = 0;

  constructor(o: DeciderOptions, reseed: boolean) {
    this.#o = o;
    this.#twinIn = !['left-out', 'may-return', 'promoted'].includes(o.decisions.last.get(o.pair)?.what ?? '');
    this.#primary = this.#starting();
    this.#twin = this.#starting();
    this.#twinMovedAt = o.clock.monotonic();
    this.#reseed = reseed;
  }

  start(): void {
    this.#startPrimary();
    this.#startTwin();
  }

  /** No more decisions: the store is being stopped. */
  stop(): void {
    this.#stopped = true;
  }

  get state(): DirectoryState {
    const { pair, primary, twin } = this.#o;
    const up = this.#primary.state === 'running';
    const condition = !up
      ? 'lost'
      : this.#twinIn && this.#twin.state === 'running'
        ? 'redundant'
        : 'degraded';
    return { pair, primary: primary.id, twin: twin.id, synchronous: this.#twinIn, condition };
  }

  get primaryRuns(): boolean {
    return this.#primary.state === 'running';
  }

  /** Commits can be made: the twin streams, or they do not wait for it. */
  get ready(): boolean {
    return this.primaryRuns && (!this.#twinIn || this.#replication?.state === 'streaming');
  }

  members(): readonly { id: MemberId; pid: number | null; condition: Condition; primary: boolean }[] {
    const { primary, twin } = this.#o;
    const twinRuns = this.#twin.state === 'running';
    const twinOut: Condition =
      twinRuns && this.#replication?.state === 'streaming' ? 'resyncing' : 'failed-over';
    return [
      {
        id: primary.id,
        pid: this.#primary.pid,
        condition: this.primaryRuns ? 'serving' : 'suspect',
        primary: true,
      },
      {
        id: twin.id,
        pid: this.#twin.pid,
        condition: this.#twinIn ? (twinRuns ? 'serving' : 'suspect') : twinOut,
        primary: false,
      },
    ];
  }

  /** An agent's word. */
  heard(id: MemberId, message: FromMember): void {
    const now = this.#o.clock.monotonic();
    const isPrimary = id === this.#o.primary.id;
    if (message.type === 'postgres') {
      const { turn } = isPrimary ? this.#primary : this.#twin;
      if (message.turn !== turn) return;
      const state = message.pid === null ? 'down' : 'running';
      const server: Server = { state, pid: message.pid, turn, since: now, aliveAt: now };
      if (isPrimary) this.#primary = server;
      else {
        // A server that ended before it ran is one that could not start.
        if (state === 'running') this.#failedStarts = 0;
        else if (this.#twin.state === 'starting') this.#failedStarts++;
        this.#twin = server;
      }
      if (state === 'running') this.#twinMovedAt = now;
      else if (!this.#stopped)
        this.#o.log.warn({ member: id, problem: message.problem }, 'directory is down');
      this.#o.onChange();
    }
    if (message.type === 'alive') this.#twin = { ...this.#twin, aliveAt: now };
    if (message.type === 'replication') this.#seen(message.replication, now);
  }

  /** An agent has ended, by itself or by a step of ours. Its server is stopped by its successor before a new start. */
  lost(id: MemberId): void {
    const isPrimary = id === this.#o.primary.id;
    if (this.#busy || this.#stopped) {
      const down: Server = { ...this.#starting(), state: 'down' };
      if (isPrimary) this.#primary = down;
      else this.#twin = down;
    } else if (isPrimary) this.#startPrimary();
    else this.#startTwin();
    this.#o.onChange();
  }

  #seen(replication: Replication, now: number): void {
    const before = this.#replication;
    this.#primary = { ...this.#primary, aliveAt: now };
    this.#replication = replication;
    const movesOn =
      replication.state === 'streaming' && (replication.replayed ?? 0) > (before?.replayed ?? 0);
    if (isLevel(replication) || movesOn) this.#twinMovedAt = now;
    if (before?.state !== replication.state) this.#o.onChange();
    // What was decided and what the server runs must agree; a reload that got lost is repeated.
    if (replication.synchronous !== this.#twinIn && before?.synchronous === replication.synchronous)
      this.#o.primary.setSynchronous(this.#twinIn);
  }

  /** Called several times a second. */
  async tick(): Promise<void> {
    if (this.#busy || this.#stopped) return;
    if (this.#primary.state === 'down') return this.#hold(() => this.#restartPrimary('it is down'));
    const step = judgePair({
      now: this.#o.clock.monotonic(),
      deadlineMs: this.#o.deadlineMs,
      twinIn: this.#twinIn,
      primary: this.#primary,
      twin: this.#twin,
      replication: this.#replication,
      twinMovedAt: this.#twinMovedAt,
    });
    switch (step.kind) {
      case 'none':
        return;
      case 'restart-primary':
        return this.#hold(() => this.#restartPrimary(step.why));
      case 'leave-twin-out':
        return this.#hold(() => this.#leaveOut(step.why));
      case 'return-twin':
        return this.#hold(() => this.#return(step.proof));
      case 'restart-twin':
        return this.#hold(() => this.#restartTwin(step.reseed, step.why));
    }
  }

  async #hold(step: () => Promise<void>): Promise<void> {
    this.#busy = true;
    try {
      await step();
    } catch (error) {
      this.#o.log.error({ err: error, pair: this.#o.pair }, 'a step of the decider failed');
    } finally {
      this.#busy = false;
      this.#o.onChange();
    }
  }

  async #leaveOut(why: string): Promise<void> {
    const { twin, primary } = this.#o;
    await twin.kill(toKill(this.#twin));
    if (this.#stopped) return;
    this.#twin = { ...this.#twin, state: 'down', pid: null };
    this.#record('left-out', why, 'no process is left in its data folder');
    this.#twinIn = false;
    primary.setSynchronous(false);
  }

  async #return(proof: string): Promise<void> {
    this.#record('returned', 'it has caught up', proof);
    this.#twinIn = true;
    this.#twinMovedAt = this.#o.clock.monotonic();
    this.#o.primary.setSynchronous(true);
    this.#o.onReturned();
  }

  async #restartTwin(reseed: boolean, why: string): Promise<void> {
    this.#reseed ||= reseed || this.#failedStarts >= FAILED_STARTS_MAX;
    this.#o.log.warn({ member: this.#o.twin.id, why, reseed: this.#reseed }, 'starting the twin again');
    await this.#o.twin.kill(toKill(this.#twin));
    await this.#backOff();
    if (!this.#stopped) this.#startTwin();
  }

  async #restartPrimary(why: string): Promise<void> {
    this.#o.log.warn({ member: this.#o.primary.id, why }, 'starting the primary again');
    await this.#o.primary.kill(toKill(this.#primary));
    this.#primary = { ...this.#primary, state: 'down', pid: null };
    this.#o.onChange();
    await this.#backOff();
    if (!this.#stopped) this.#startPrimary();
  }

  async #backOff(): Promise<void> {
    const now = this.#o.clock.monotonic();
    const calm = now - this.#failures.at > CALM_MS;
    this.#failures = { count: calm ? 0 : this.#failures.count + 1, at: now };
    await this.#o.clock.sleep(Math.min(BACK_OFF_FIRST_MS * 2 ** this.#failures.count, BACK_OFF_MAX_MS));
  }

  #startPrimary(): void {
    this.#primary = this.#starting();
    this.#replication = null;
    const role = { kind: 'primary', synchronous: this.#twinIn, twin: this.#o.twin.id } as const;
    this.#o.primary.take(role, this.#primary.turn);
  }

  #startTwin(): void {
    this.#twin = this.#starting();
    const role = { kind: 'standby', primary: this.#o.primary.id, reseed: this.#reseed } as const;
    this.#o.twin.take(role, this.#twin.turn);
    this.#reseed = false;
  }

  #record(what: Decision['what'], why: string, proof: string): void {
    const at = new Date(this.#o.clock.now()).toISOString();
    this.#o.decisions.append({ at, pair: this.#o.pair, what, member: this.#o.twin.id, why, proof });
    this.#o.log.warn({ pair: this.#o.pair, member: this.#o.twin.id, what, why, proof }, 'decided');
  }

  #starting(): Server {
    const now = this.#o.clock.monotonic();
    return { state: 'starting', pid: null, turn: ++this.#turn, since: now, aliveAt: now };
  }
}

/** An agent that reported its server's end is well. */
const toKill = (server: ServerSight): 'server' | 'server-and-agent' =>
  server.state === 'down' ? 'server' : 'server-and-agent';
