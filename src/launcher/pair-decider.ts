/**
 * The decider of one directory pair. Invariants: a member is taken out of the synchronous set only after no process is
 * left in its data folder and the decision is on disk; it is put back on record only after commits wait for it again and it
 * has all that was acknowledged before; only a twin that is in is promoted, after no process of the old primary is left
 * and the promotion is on disk. Broken off between any two steps, the record says how the pair starts.
 * What to do is judged in judge-pair.ts; this file acts. An operator's orders: pair-orders.ts.
 */
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { MemberId, PairId } from '../base/ids.ts';
import { DECIDED_BY_ITSELF, type Decision, type DecisionLog, standingOf } from './decisions.ts';
import { judgePair, type ServerSight } from './judge-pair.ts';
import type { DirectoryRole, DirectoryState, FromMember, MemberState } from './messages.ts';
import { PairState } from './pair-state.ts';

/** What the decider can do to a member of its pair; the supervisor's children in life. */
export interface DirectoryHandle {
  readonly id: MemberId;
  /** Sends the role, now or when the agent is up. Words about earlier turns are not to be heeded. */
  take(role: DirectoryRole, turn: number): void;
  setSynchronous(on: boolean): void;
  /** Sends what has been decided, for the copy in the catalog. */
  remember(decisions: readonly Decision[]): void;
  /**
   * Ends the server by SIGKILL and, where it is not known which of the two hangs, its agent as well. Resolves when no
   * process of them is left.
   */
  kill(what: 'server' | 'server-and-agent'): Promise<void>;
}

/** Behind which a test breaks off. */
export type DeciderStep =
  | 'told-off'
  | 'old-primary-ended'
  | 'promotion-recorded'
  | 'promotion-told'
  | 'twin-ended'
  | 'out-recorded'
  | 'out-told'
  | 'return-told'
  | 'return-recorded'
  | 'return-tidied';

export interface DeciderOptions {
  readonly pair: PairId;
  /** The first is the primary until something else is decided. */
  readonly members: readonly [DirectoryHandle, DirectoryHandle];
  readonly decisions: DecisionLog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly deadlineMs: number;
  readonly onChange: () => void;
  /** The twin has returned: what was set aside for it may go. */
  readonly onReturned: (twin: MemberId) => void;
  readonly after?: (step: DeciderStep) => Promise<void> | void;
}

/** Who wants it, and whether the one who is out then returns by itself. */
export interface Cause {
  readonly why: string;
  readonly decidedBy: string;
  readonly mayReturn: boolean;
}

const BACK_OFF_FIRST_MS = 250;
const BACK_OFF_MAX_MS = 15_000;
/** After this long without trouble the next trouble is the first again. */
const CALM_MS = 60_000;

/** For the primary to make sure that commits wait: a checkpoint. */
const RETURN_MS = 60_000;

const byItself = (why: string): Cause => ({ why, decidedBy: DECIDED_BY_ITSELF, mayReturn: true });

export class PairDecider {
  readonly now: PairState;
  readonly #o: DeciderOptions;
  /** Set while a step is under way, and for the back-off after it. */
  #busy = false;
  #stopped = false;
  #failures = { count: 0, at: 0 };
  #reseed = false;

  constructor(o: DeciderOptions) {
    this.#o = o;
    const [first, second] = o.members;
    const standing = standingOf([first.id, second.id], o.decisions.last.get(o.pair));
    this.now = new PairState(o.pair, standing, () => o.clock.monotonic());
  }

  start(): void {
    const { standing } = this.now;
    // What a stop before the tidying left.
    if (standing.twinIn) this.#o.onReturned(standing.twin);
    this.startPrimary();
    if (standing.twinIn || standing.mayReturn) this.startTwin();
  }

  /** No more decisions: the store is being stopped. */
  stop(): void {
    this.#stopped = true;
  }

  get stopped(): boolean {
    return this.#stopped;
  }
  get state(): DirectoryState {
    return { ...this.now.state, term: this.#o.decisions.term(this.#o.pair) };
  }
  get primaryRuns(): boolean {
    return this.now.primary.state === 'running';
  }
  /** Commits can be made: the twin streams, or they do not wait for it. */
  get ready(): boolean {
    const { standing, replication } = this.now;
    return this.primaryRuns && (!standing.twinIn || replication?.state === 'streaming');
  }
  members(): readonly MemberState[] {
    return this.now.members(this.lastDecision?.why ?? null);
  }
  get lastDecision(): Decision | undefined {
    return this.#o.decisions.last.get(this.#o.pair);
  }
  handle(id: MemberId): DirectoryHandle {
    return this.#o.members.find((member) => member.id === id)!;
  }

  /** An agent's word. */
  heard(id: MemberId, message: FromMember): void {
    const { now } = this;
    if (message.type === 'postgres') {
      if (!now.heardPostgres(id, message)) return;
      if (message.pid === null && !this.#stopped)
        this.#o.log.warn({ member: id, problem: message.problem }, 'directory is down');
      if (message.pid !== null && id === now.standing.primary) this.#remember();
      this.#o.onChange();
    }
    if (message.type === 'alive') now.heardAlive(id, message.diskFull ?? false);
    if (message.type === 'replication') {
      const before = now.replication;
      now.heardAlive(id, message.diskFull ?? false);
      now.heardReplication(id, message.replication);
      if (before?.state !== now.replication?.state) this.#o.onChange();
      const { synchronous } = message.replication;
      // What was decided and what the server runs must agree; a reload that got lost is repeated.
      if (synchronous !== now.synchronous && before?.synchronous === synchronous)
        this.handle(now.standing.primary).setSynchronous(now.synchronous);
    }
  }

  /** An agent has ended, by itself or by a step of ours. Its server is stopped by its successor before a new start. */
  lost(id: MemberId): void {
    const { standing } = this.now;
    this.now.isDown(id);
    const isWanted = id === standing.twin && (standing.twinIn || standing.mayReturn);
    if (isWanted && !this.#busy && !this.#stopped) this.startTwin();
    this.#o.onChange();
  }

  /** Called several times a second. */
  async tick(): Promise<void> {
    if (this.#busy || this.#stopped) return;
    const { now } = this;
    if (now.returning) return this.#goOnReturning();
    const step = judgePair(now.sight(this.#o.deadlineMs));
    switch (step.kind) {
      case 'none':
        return;
      case 'restart-primary':
        return this.#act(() => this.#restartPrimary(step.why));
      case 'promote-twin':
        return this.#act(() => this.promote(byItself(step.why)));
      case 'leave-twin-out':
        return this.#act(() => this.leaveOut(byItself(step.why)));
      case 'return-twin':
        return this.#act(() => this.#beginReturn());
      case 'restart-twin':
        return this.#act(() => this.#restartTwin(step.reseed, step.why));
    }
  }

  async #act(step: () => Promise<void>): Promise<void> {
    await this.hold(step).catch((error: unknown) =>
      this.#o.log.error({ err: error, pair: this.#o.pair }, 'a step of the decider failed'),
    );
  }

  /** One step at a time. */
  async hold(step: () => Promise<void>): Promise<void> {
    if (this.#busy) throw new Error('another step is under way');
    this.#busy = true;
    try {
      await step();
    } finally {
      this.#busy = false;
      this.#o.onChange();
    }
  }
  changed(): void {
    this.#o.onChange();
  }
  get busy(): boolean {
    return this.#busy;
  }

  /** The old primary has ended, or is ended here. */
  async promote(cause: Cause): Promise<void> {
    const { primary, twin } = this.now.standing;
    this.#o.log.warn({ primary, twin, why: cause.why }, 'the twin takes over');
    await this.handle(primary).kill(toKill(this.now.primary));
    this.now.isDown(primary);
    await this.after('old-primary-ended');
    if (this.#stopped) return;
    this.record('promoted', twin, cause, `no process of ${primary} is left`);
    this.now.standing = { primary: twin, twin: primary, twinIn: false, mayReturn: cause.mayReturn };
    this.now.returning = null;
    await this.after('promotion-recorded');
    this.startPrimary();
    if (cause.mayReturn) this.startTwin();
    await this.after('promotion-told');
  }

  async leaveOut(cause: Cause): Promise<void> {
    const { primary, twin } = this.now.standing;
    await this.handle(twin).kill(toKill(this.now.twin));
    this.now.isKilled(twin);
    await this.after('twin-ended');
    if (this.#stopped) return;
    this.record('left-out', twin, cause, 'no process is left in its data folder');
    this.now.standing = { ...this.now.standing, twinIn: false, mayReturn: cause.mayReturn };
    await this.after('out-recorded');
    this.handle(primary).setSynchronous(false);
    await this.after('out-told');
  }

  /** Commits wait for it first; the record says so when it has all that came before. */
  async #beginReturn(): Promise<void> {
    const { now } = this;
    now.returning = { since: this.#o.clock.monotonic(), from: null };
    this.handle(now.standing.primary).setSynchronous(true);
    await this.after('return-told');
  }

  async #goOnReturning(): Promise<void> {
    const { now } = this;
    const { primary } = now.standing;
    if (now.hasReturned) return this.#act(() => this.#return());
    const time = this.#o.clock.monotonic();
    const since = Math.max(now.returning!.since, now.twinMovedAt);
    const isLate = time - since > this.#o.deadlineMs || time - now.returning!.since > RETURN_MS;
    const isWell = this.primaryRuns && now.twin.state === 'running';
    if (isWell && !isLate) return;
    now.returning = null;
    this.handle(primary).setSynchronous(false);
    if (isWell) return this.#act(() => this.#restartTwin(false, 'it did not return in time'));
  }

  async #return(): Promise<void> {
    const { now } = this;
    const { twin } = now.standing;
    const proof = `commits wait for it, and it has replayed up to ${now.replication?.replayed}`;
    this.record('returned', twin, byItself('it has caught up'), proof);
    now.standing = { ...now.standing, twinIn: true, mayReturn: true };
    now.returning = null;
    now.twinMovedAt = this.#o.clock.monotonic();
    await this.after('return-recorded');
    this.#o.onReturned(twin);
    await this.after('return-tidied');
  }

  async #restartTwin(reseed: boolean, why: string): Promise<void> {
    const { twin } = this.now.standing;
    this.#reseed ||= reseed || this.now.failsToStart;
    this.#o.log.warn({ member: twin, why, reseed: this.#reseed }, 'starting the twin again');
    await this.handle(twin).kill(toKill(this.now.twin));
    await this.#backOff();
    if (!this.#stopped) this.startTwin();
  }

  async #restartPrimary(why: string): Promise<void> {
    const { primary } = this.now.standing;
    this.#o.log.warn({ member: primary, why }, 'starting the primary again');
    await this.handle(primary).kill(toKill(this.now.primary));
    this.now.isKilled(primary);
    this.#o.onChange();
    await this.#backOff();
    if (!this.#stopped) this.startPrimary();
  }

  async #backOff(): Promise<void> {
    const now = this.#o.clock.monotonic();
    const calm = now - this.#failures.at > CALM_MS;
    this.#failures = { count: calm ? 0 : this.#failures.count + 1, at: now };
    await this.#o.clock.sleep(Math.min(BACK_OFF_FIRST_MS * 2 ** this.#failures.count, BACK_OFF_MAX_MS));
  }

  startPrimary(): void {
    const { primary, twin } = this.now.standing;
    this.now.returning = null;
    const turn = this.now.isStarting(primary);
    const term = this.#o.decisions.term(this.#o.pair);
    this.handle(primary).take({ kind: 'primary', synchronous: this.now.synchronous, twin, term }, turn);
  }

  startTwin(): void {
    const { primary, twin } = this.now.standing;
    const turn = this.now.isStarting(twin);
    this.handle(twin).take({ kind: 'standby', primary, reseed: this.#reseed }, turn);
    this.#reseed = false;
  }

  /** Durable when it returns. */
  record(what: Decision['what'], member: MemberId, cause: Cause, proof: string): void {
    const { pair, clock, decisions, log } = this.#o;
    const { why, decidedBy, mayReturn } = cause;
    const at = new Date(clock.now()).toISOString();
    decisions.append({
      ...{ at, pair, what, member, why, proof },
      ...(mayReturn ? {} : { mayReturn }),
      ...(decidedBy === DECIDED_BY_ITSELF ? {} : { decidedBy }),
    });
    log.warn({ pair, member, what, why, proof, decidedBy }, 'decided');
    this.#remember();
  }

  #remember(): void {
    if (this.primaryRuns)
      this.handle(this.now.standing.primary).remember(this.#o.decisions.history(this.#o.pair));
  }

  async after(step: DeciderStep): Promise<void> {
    await this.#o.after?.(step);
  }
}

/** An agent that reported its server's end is well. */
const toKill = (server: ServerSight): 'server' | 'server-and-agent' =>
  server.state === 'down' ? 'server' : 'server-and-agent';
