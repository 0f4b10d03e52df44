/**
 * Answers to requests that take as long as they take: the head, signed, at once; then a newline every HEARTBEAT_MS;
 * at the end one line "MAC JSON". Invariant: heartbeats stop when the work has not advanced for WEDGED_MS, so that the
 * client's deadline, which runs between signs of life, ends a wait for a sick disk.
 * The work ends when the client leaves.
 */
import type { Clock } from '../../base/clock.ts';
import { resultMac } from '../request-auth.ts';
import { type Exchange, writeHead } from './exchange.ts';

const HEARTBEAT_MS = 500;
const WEDGED_MS = 30_000;

export interface Work {
  /** The client has left, or the node closes. */
  readonly signal: AbortSignal;
  advanced(): void;
}

export async function answerWithProgress(
  x: Exchange,
  clock: Clock,
  run: (work: Work) => Promise<unknown>,
): Promise<void> {
  const gone = new AbortController();
  x.res.once('close', () => gone.abort(new Error('the client left')));
  let advancedAt = clock.monotonic();
  const work: Work = {
    signal: gone.signal,
    advanced: () => {
      advancedAt = clock.monotonic();
    },
  };
  writeHead(x, 200, null, null, { kind: 'progress' });
  x.res.write('\n'); // so that the head leaves
  const timer = setInterval(() => {
    if (clock.monotonic() - advancedAt < WEDGED_MS && !x.res.destroyed) x.res.write('\n');
  }, HEARTBEAT_MS);
  try {
    const json = JSON.stringify(await run(work));
    x.res.end(`${resultMac(x.key, x.nonce, json)} ${json}\n`);
  } finally {
    clearInterval(timer);
  }
}
