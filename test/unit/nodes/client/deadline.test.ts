/** Deadlines: silence ends a wait, a busy node is waited for within bounds, and a late event loop blames nobody. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, systemClock } from '../../../../src/base/clock.ts';
import { Deadline, Life } from '../../../../src/nodes/client/deadline.ts';

const MS = 40;
/** Its own monotonic time stands still: the node was heard of just now, however late the event loop is. */
const lively: Clock = { ...systemClock, monotonic: () => 0 };

/** Until it has expired; then what would come too often has time to. */
async function untilExpired(expired: () => number): Promise<number> {
  const until = performance.now() + 10_000;
  while (expired() === 0 && performance.now() < until) await sleep(MS / 4);
  await sleep(3 * MS);
  return expired();
}

function begin(clock: Clock = systemClock) {
  const life = new Life(clock);
  const deadline = new Deadline(life);
  let expired = 0;
  deadline.start(MS, () => {
    expired += 1;
  });
  return { life, deadline, expired: () => expired };
}

describe('a deadline', () => {
  it('expires once when the node is silent', async () => {
    const { expired } = begin();
    assert.equal(await untilExpired(expired), 1);
  });

  it('does not expire after stop()', async () => {
    const { deadline, expired } = begin();
    deadline.stop();
    await sleep(3 * MS);
    assert.equal(expired(), 0);
  });

  it('waits on while the node shows life on other calls, but not for ever', async () => {
    const { life, expired } = begin(lively);
    life.heard();
    await sleep(3 * MS);
    assert.equal(expired(), 0);
    assert.equal(await untilExpired(expired), 1);
  });

  it('expires soon after the last sign of life', async () => {
    const { life, expired } = begin();
    await sleep(MS / 2);
    life.heard();
    assert.equal(await untilExpired(expired), 1);
  });

  it('looks at the sockets first when the event loop was late', async () => {
    const { deadline, expired } = begin();
    setImmediate(() => {
      const until = performance.now() + 3 * MS;
      while (performance.now() < until); // blocks, as a long collection of garbage does
      setImmediate(() => deadline.stop()); // what a socket's data would do in the poll phase before
    });
    await sleep(6 * MS);
    assert.equal(expired(), 0);
  });
});
