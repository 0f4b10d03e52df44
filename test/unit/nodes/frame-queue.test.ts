/** The body of a streamed write: order, backpressure, end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FrameQueue } from '../../../src/nodes/client/frame-queue.ts';

const part = (text: string): Buffer => Buffer.from(text);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a frame queue', () => {
  it('says drained only when more is asked for', async () => {
    const queue = new FrameQueue();
    let drained = 0;
    queue.push([part('a'), part('b')], () => {
      drained += 1;
    });
    assert.equal(String((await queue.next()).value), 'a');
    assert.equal(String((await queue.next()).value), 'b');
    await turn();
    assert.equal(drained, 0);
    const third = queue.next();
    assert.equal(drained, 1);
    queue.push([part('c')], () => {});
    assert.equal(String((await third).value), 'c');
    queue.end();
    assert.equal((await queue.next()).done, true);
  });

  it('lets the producer push from within drained', async () => {
    const queue = new FrameQueue();
    queue.push([part('a')], () => queue.push([part('b')], () => queue.end()));
    const seen: string[] = [];
    for await (const bytes of queue) seen.push(String(bytes));
    assert.deepEqual(seen, ['a', 'b']);
  });

  it('gives nothing more after its consumer has left', async () => {
    const queue = new FrameQueue();
    queue.push([part('a')], () => {});
    await queue.return();
    assert.equal((await queue.next()).done, true);
  });
});
