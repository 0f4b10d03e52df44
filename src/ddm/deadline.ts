/** A wait that ends: by the clock that is given, so that tests decide what time it is. */
import { type Clock, OVER } from '../base/clock.ts';

/**
 * Resolves or rejects as `work` does. When `ms` pass first, calls `expire`, which makes `work` settle soon (it
 * destroys what work waits for); the caller sees work's own error then.
 */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  work: Promise<T>,
  expire: () => void,
): Promise<T> {
  const settled = new AbortController();
  clock.sleep(ms, settled.signal).then(expire, () => {});
  try {
    return await work;
  } finally {
    settled.abort(OVER);
  }
}
