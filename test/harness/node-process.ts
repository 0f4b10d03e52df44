/** Storage nodes as child processes: to be killed, stopped, continued and started again on the same folder and port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { NodeMainOptions } from './node-main.ts';

const MAIN = fileURLToPath(new URL('./node-main.ts', import.meta.url));

export class NodeProcess {
  port = 0;
  readonly #options: Omit<NodeMainOptions, 'port'>;
  readonly #wrapper: readonly string[];
  #child: ChildProcess | null = null;

  /** `wrapper`: what stands before the command line, e.g. `ip netns exec …`. */
  constructor(options: Omit<NodeMainOptions, 'port'>, wrapper: readonly string[] = []) {
    this.#options = options;
    this.#wrapper = wrapper;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** On the port it had before, if it had one. */
  async start(): Promise<void> {
    const options: NodeMainOptions = { ...this.#options, port: this.port };
    const command = [...this.#wrapper, process.execPath, MAIN, JSON.stringify(options)];
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
    const child = spawn(command[0]!, command.slice(1), { stdio: [...stdio] });
    this.#child = child;
    const [message] = (await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => Promise.reject(new Error('the node ended before it was ready'))),
    ])) as [{ port: number }];
    this.port = message.port;
  }

  /** kill -9. Resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** SIGSTOP: it accepts and never answers. */
  stop(): void {
    this.#child?.kill('SIGSTOP');
  }

  continue(): void {
    this.#child?.kill('SIGCONT');
  }
}
