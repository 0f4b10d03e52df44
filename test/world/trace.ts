/**
 * What happened in a world, in order: a running hash (equal in every replay of a seed) and the last lines, for people.
 */
import { createHash } from 'node:crypto';

const LINES_KEPT = 400;

export class Trace {
  readonly #hash = createHash('sha256');
  readonly #lines: string[] = [];
  readonly #now: () => number;
  readonly counts = new Map<string, number>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** `kind` is counted; what follows is told. */
  note(kind: string, text = ''): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    const line = `${this.#now().toFixed(3)} ${kind} ${text}`;
    this.#hash.update(line);
    this.#lines.push(line);
    if (this.#lines.length > 2 * LINES_KEPT) this.#lines.splice(0, LINES_KEPT);
  }

  count(kind: string): number {
    return this.counts.get(kind) ?? 0;
  }

  hash(): string {
    return this.#hash.copy().digest('hex');
  }

  tail(max = LINES_KEPT): string {
    return this.#lines.slice(-max).join('\n');
  }
}
