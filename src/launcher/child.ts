/**
 * One member as the supervisor sees it: a forked process that is started again, with a growing pause, when it ends
 * unasked. Its channel is its tether; its process group is its own, so that Ctrl-C reaches the supervisor alone.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { environmentWith, SUPERVISED_ENVIRONMENT } from '../config.ts';
import type { FromMember, ToMember } from './messages.ts';

/** They wait for the disk, not for a core: half of them may flush at once, which the journal then does together. */
export const NODE_DISK_THREADS = 16;
const PAUSE_FIRST_MS = 200;
const PAUSE_MAX_MS = 10_000;
/** A run of this length ends the series of failures. */
const CALM_MS = 30_000;

export interface ChildSpec {
  readonly id: string;
  readonly kind: 'gateway' | 'node' | 'directory';
  readonly configFile: string;
  readonly cli: string;
}

export interface ChildEvents {
  message(message: FromMember): void;
  /** The process has ended; `again`: it will be started again in so many ms. */
  ended(how: string, again: number | null): void;
}

export class Child {
  readonly spec: ChildSpec;
  readonly #events: ChildEvents;
  #process: ChildProcess | null = null;
  #failures = 0;
  #startedAt = 0;
  #stopping = false;
  #timer: NodeJS.Timeout | undefined;
  #words = '';
  #listening = false;
  /** Sent when the process says that it listens. */
  #queued: ToMember[] = [];

  constructor(spec: ChildSpec, events: ChildEvents) {
    this.spec = spec;
    this.#events = events;
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  start(): void {
    const { kind, configFile, cli } = this.spec;
    const child = fork(cli, [kind, '--config', configFile], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      detached: true,
      env: environmentWith({
        ...SUPERVISED_ENVIRONMENT,
        ...(kind === 'node' ? { UV_THREADPOOL_SIZE: String(NODE_DISK_THREADS) } : {}),
      }),
    });
    this.#process = child;
    this.#startedAt = performance.now();
    this.#words = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#words = (this.#words + text).slice(-4_096);
    });
    child.on('message', (message: FromMember) => {
      if (message.type === 'listening') {
        this.#listening = true;
        for (const queued of this.#queued.splice(0)) this.send(queued);
      }
      this.#events.message(message);
    });
    child.once('error', () => this.#gone(child, 'could not be started'));
    child.once('exit', (code, signal) => this.#gone(child, signal ?? `exit code ${code}`));
  }

  send(message: ToMember): void {
    if (this.#process?.connected) this.#process.send(message, undefined, {}, () => {});
  }

  /** At once when the process listens, else as soon as it does; forgotten when it ends before. */
  sendWhenListening(message: ToMember): void {
    if (this.#listening) this.send(message);
    else this.#queued.push(message);
  }

  /** Ends it, by its own orderly end within `ms`, else by SIGKILL of its group. It is not started again. */
  async stop(ms: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#process;
    if (!child) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    if (child.exitCode !== null || child.signalCode !== null) return;
    this.send({ type: 'stop' });
    const timer = setTimeout(() => this.#signal('SIGKILL'), ms);
    await ended;
    clearTimeout(timer);
  }

  /** SIGKILL; resolves when the process is gone. It is started again. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.#signal('SIGKILL');
    await ended;
  }

  #signal(name: NodeJS.Signals): void {
    try {
      process.kill(-this.#process!.pid!, name);
    } catch {
      // Gone meanwhile.
    }
  }

  #gone(child: ChildProcess, how: string): void {
    if (this.#process !== child) return;
    this.#process = null;
    this.#listening = false;
    this.#queued = [];
    const words = this.#words
      .trim()
      .split('\n')
      .findLast((line) => /^antipode: |error/i.test(line))
      ?.replace(/^antipode: /, '');
    const what = words ? `${how}: ${words.trim()}` : how;
    if (this.#stopping) {
      this.#events.ended(what, null);
      return;
    }
    if (performance.now() - this.#startedAt > CALM_MS) this.#failures = 0;
    const pause = Math.min(PAUSE_FIRST_MS * 2 ** this.#failures++, PAUSE_MAX_MS);
    this.#timer = setTimeout(() => this.start(), pause);
    this.#events.ended(what, pause);
  }
}
