/** A deadline for an answer that may never come. The question itself goes on; its late result is dropped. */
import type { Clock } from './clock.ts';

/** @throws {Error} `no answer within N ms`, or what `answer` rejects with */
export async function within<T>(clock: Clock, ms: number, answer: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = clock.sleep(ms, timer.signal).then(
    () => {
      throw new Error(`no answer within ${ms} ms`);
    },
    // Aborted: `answer` has settled first, so nobody looks at this any more.
    () => new Promise<never>(() => {}),
  );
  try {
    return await Promise.race([answer, late]);
  } finally {
    timer.abort();
  }
}
