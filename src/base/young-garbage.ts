/**
 * Keeps the buffers of passing bodies from piling up. V8 collects its young generation when that is full of objects; a
 * buffer is a small object there, whatever it holds, so that a stream leaves a hundred MiB of dead buffers between two
 * collections, each on pages that the processor's cache has forgotten. A collection for each PASSED_BYTES of body
 * costs about a millisecond. A smaller young generation would do the same, but costs small requests and listings a third more.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { type: 'minor' }) => void;

const PASSED_BYTES = 8 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as Collect;
setFlagsFromString('--no-expose-gc');

let passed = 0;

/** Call with the length of each buffer that a socket gave. */
export function bytesPassed(bytes: number): void {
  passed += bytes;
  if (passed < PASSED_BYTES) return;
  passed = 0;
  collect({ type: 'minor' });
}
