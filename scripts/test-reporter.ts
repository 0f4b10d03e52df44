/** A node:test reporter: one JSON line for each test that ended and each figure reported. Read by test-files.ts. */
import type { TestEvent } from 'node:test/reporters';
import { inspect } from 'node:util';

export type TestLine =
  | { readonly kind: 'passed'; readonly name: string }
  | { readonly kind: 'skipped'; readonly name: string; readonly reason: string }
  | { readonly kind: 'failed'; readonly name: string; readonly error: string }
  | { readonly kind: 'figure'; readonly text: string };

/** What the runner itself says about a file. */
const RUNNER_DIAGNOSTIC = /^(?:tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

function lineOf(event: TestEvent): TestLine | null {
  switch (event.type) {
    case 'test:pass': {
      const { name, details, skip } = event.data;
      if (skip !== undefined) return { kind: 'skipped', name, reason: String(skip) };
      return details.type === 'suite' ? null : { kind: 'passed', name };
    }
    case 'test:fail': {
      const error: Error & { failureType?: string } = event.data.details.error;
      // A suite fails because a test in it failed; that test has a line of its own.
      if (error.failureType === 'subtestsFailed') return null;
      return { kind: 'failed', name: event.data.name, error: describe(error.cause ?? error) };
    }
    case 'test:diagnostic':
      return RUNNER_DIAGNOSTIC.test(event.data.message) ? null : { kind: 'figure', text: event.data.message };
    default:
      return null;
  }
}

/** Without the frames of the test runner itself, which are the same for every test. */
function describe(error: unknown): string {
  if (!(error instanceof Error) || error.stack === undefined) return inspect(error);
  const stack = error.stack
    .split('\n')
    .filter((line) => !/^\s+at .*\(?node:internal\/(?:test_runner|process)/.test(line));
  return error.cause === undefined
    ? stack.join('\n')
    : `${stack.join('\n')}\ncaused by ${describe(error.cause)}`;
}

export default async function* reporter(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    const line = lineOf(event);
    if (line) yield `${JSON.stringify(line)}\n`;
  }
}
