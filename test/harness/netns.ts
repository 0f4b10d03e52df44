/**
 * Networks of their own for tests: Linux network namespaces joined by virtual cables. Needs root and iproute2; a test asks
 * netnsProblem() first and is skipped with that reason, except where ANTIPODE_REQUIRE_NETNS=1 says that it must run.
 * What was made is gone after close() (namespaces take their cables with them).
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8', stdio: 'pipe' });

/** Why there can be no namespaces here, or null. @throws where they are required */
export function netnsProblem(): string | null {
  const problem = findProblem();
  if (problem && process.env.ANTIPODE_REQUIRE_NETNS === '1') {
    throw new Error(`network namespaces are required here: ${problem}`);
  }
  return problem;
}

function findProblem(): string | null {
  if (process.platform !== 'linux') return 'network namespaces are a matter of Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const name = `ap-try-${randomBytes(3).toString('hex')}`;
  try {
    ip('netns', 'add', name);
    ip('netns', 'exec', name, 'true');
  } catch (error) {
    return `no network namespaces here: ${(error as Error).message.split('\n')[0]}`;
  } finally {
    try {
      ip('netns', 'del', name);
    } catch {
      // It was not made.
    }
  }
  return null;
}

/** One end of a cable. */
export interface End {
  readonly space: string;
  readonly addresses: readonly string[];
}

export class NetLab {
  readonly #prefix = `ap${randomBytes(3).toString('hex')}`;
  readonly #spaces = new Map<string, string>();
  readonly #children: ChildProcess[] = [];
  #cables = 0;

  /** A namespace with loopback up. */
  add(space: string): void {
    const name = `${this.#prefix}-${space}`;
    ip('netns', 'add', name);
    this.#spaces.set(space, name);
    this.ip(space, 'link', 'set', 'lo', 'up');
  }

  nameOf(space: string): string {
    const name = this.#spaces.get(space);
    if (name === undefined) throw new Error(`there is no namespace ${space}`);
    return name;
  }

  /** Joins two namespaces. Addresses are CIDR texts. Answers the names of the two interfaces. */
  cable(one: End, other: End): readonly [string, string] {
    this.#cables += 1;
    const names = [`${this.#prefix}${this.#cables}a`, `${this.#prefix}${this.#cables}b`] as const;
    const [first, second] = [this.nameOf(one.space), this.nameOf(other.space)];
    ip('link', 'add', names[0], 'netns', first, 'type', 'veth', 'peer', 'name', names[1], 'netns', second);
    [one, other].forEach(({ space, addresses }, i) => {
      for (const address of addresses) {
        const now = address.includes(':') ? ['nodad'] : [];
        this.ip(space, 'addr', 'add', address, 'dev', names[i]!, ...now);
      }
      this.ip(space, 'link', 'set', names[i]!, 'up');
    });
    return names;
  }

  /** `ip` inside a namespace. */
  ip(space: string, ...args: string[]): string {
    return ip('-n', this.nameOf(space), ...args);
  }

  /** A kernel setting of the namespace, by its path below /proc/sys, e.g. `net/ipv4/ip_forward`. */
  setting(space: string, path: string, value: string): void {
    const [program, ...before] = this.inside(space);
    const script = 'printf %s "$1" > "/proc/sys/$2"';
    execFileSync(program, [...before, 'sh', '-c', script, 'sh', value, path], { stdio: 'pipe' });
  }

  /** What to put before a command line so that it runs in the namespace. */
  inside(space: string): readonly [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.nameOf(space)];
  }

  /** A program in the namespace; ended with the lab. */
  start(space: string, command: string, args: readonly string[]): ChildProcess {
    const [program, ...before] = this.inside(space);
    const child = spawn(program, [...before, command, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#children.push(child);
    return child;
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const name of this.#spaces.values()) ip('netns', 'del', name);
    this.#spaces.clear();
  }
}
