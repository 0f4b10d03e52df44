/**
 * What a person at the terminal (or a script) sees of a start: one line for each step that took time, with its
 * milliseconds, on standard error; what scripts rely on (credentials, the ready line) on standard output.
 */
export interface Progress {
  /** Time since the step before, or the one given. */
  step(what: string, ms?: number): void;
  print(line: string): void;
  /** Something that a person has to do, on standard error. */
  notice(message: string): void;
}

export function openProgress(): Progress {
  const startedAt = performance.now();
  let lastAt = startedAt;
  return {
    step(what, ms) {
      const now = performance.now();
      const took = Math.round(ms ?? now - lastAt);
      if (ms === undefined) lastAt = now;
      process.stderr.write(`  ${String(Math.round(now - startedAt)).padStart(6)} ms  ${what} (${took} ms)\n`);
    },
    notice: (message) => void process.stderr.write(`antipode: ${message}\n`),
    print: (line) => void process.stdout.write(`${line}\n`),
  };
}
