/** What a keeper knows of its own server: what it was told, whether it runs, when it was last alive, when to start it again. */
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import { BackOff } from './back-off.ts';
import type { DirectoryEvent } from './directory-history.ts';
import type { DirectoryRole, FromMember, Replication } from './messages.ts';

/** What holds the server: directory-agent.ts. */
export interface ServerAgent {
  take(role: DirectoryRole, turn: number): void;
  setSynchronous(on: boolean): void;
  remember(events: readonly DirectoryEvent[]): void;
  end(): Promise<void>;
}

export interface ServerWatchOptions {
  readonly agent: (send: (message: FromMember) => void) => ServerAgent;
  /** Each word about the twin; null: none of the server that runs now. */
  readonly onReplication: (seen: Replication | null) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class ServerWatch {
  readonly agent: ServerAgent;
  readonly #o: ServerWatchOptions;
  readonly #backOff = new BackOff();
  /** What was told to the agent last; its words about earlier ones are not heeded. */
  #told = 0;
  state: 'none' | 'starting' | 'running' = 'none';
  pid: number | null = null;
  replication: Replication | null = null;
  /** Why it does not do what its role says. */
  problem: string | null = 'it has just started';
  /** The last sign of life; monotonic, as all times here. */
  aliveAt = 0;
  /** A standby: last seen to stream. */
  streamedAt = 0;

  constructor(o: ServerWatchOptions) {
    this.#o = o;
    this.agent = o.agent((message) => this.#heard(message));
  }

  get isRunning(): boolean {
    return this.state === 'running';
  }
  /** It does not run, and has rested long enough. */
  get mayStart(): boolean {
    return this.state === 'none' && this.#o.clock.monotonic() >= this.#backOff.until;
  }

  tell(role: DirectoryRole, problem: string): void {
    this.state = 'starting';
    this.#see(null);
    this.problem = problem;
    this.#o.log.info({ role: role.kind }, problem);
    this.#told += 1;
    this.agent.take(role, this.#told);
  }

  /** Said once for each reason. */
  wait(why: string): void {
    if (this.problem !== why) this.#o.log.warn(why);
    this.problem = why;
  }

  #see(seen: Replication | null): void {
    this.replication = seen;
    this.#o.onReplication(seen);
  }

  #heard(message: FromMember): void {
    const now = this.#o.clock.monotonic();
    if (message.type === 'postgres' && message.turn === this.#told) {
      this.pid = message.pid;
      this.#see(null);
      this.aliveAt = now;
      this.streamedAt = now;
      this.state = message.pid === null ? 'none' : 'running';
      this.problem = message.pid === null ? `Postgres is down (${message.problem ?? 'it ended'})` : null;
      if (message.pid === null) this.#backOff.failed(now);
    }
    if (message.type === 'progress') this.#o.log.info({ ms: message.ms }, message.step);
    if (message.type === 'alive') this.aliveAt = now;
    if (message.type === 'replication') {
      this.aliveAt = now;
      this.#see(message.replication);
    }
  }
}
