/** Answers within the patience keep status and headers; later ones become slow bodies. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Clock } from '../../../../src/base/clock.ts';
import { answerInTime, type XmlAnswer } from '../../../../src/s3api/objects/slow-answer.ts';

/** A clock whose one sleep ends when the test says so, or when it is no longer wanted. */
function handClock() {
  let wake = () => {};
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    sleep: (_ms, signal) =>
      new Promise((resolve, reject) => {
        wake = resolve;
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
  };
  return { clock, wake: () => wake() };
}
const answer: XmlAnswer = { headers: { 'x-amz-version-id': 'v' }, body: '<Done/>' };

it('a quick answer has its headers', async () => {
  const result = await answerInTime(handClock().clock, Promise.resolve(answer));
  assert.deepEqual(result, { status: 200, headers: { 'x-amz-version-id': 'v' }, body: '<Done/>' });
});

it('a quick failure is thrown', async () => {
  await assert.rejects(answerInTime(handClock().clock, Promise.reject(new Error('no'))), /no/);
});

it('a late answer is a slow body', async () => {
  const { clock, wake } = handClock();
  const work = Promise.withResolvers<XmlAnswer>();
  const pending = answerInTime(clock, work.promise);
  wake();
  const result = await pending;
  assert.equal(result.body, undefined);
  work.resolve(answer);
  assert.equal(await result.slowBody, '<Done/>');
});

it('a late failure fails the slow body', async () => {
  const { clock, wake } = handClock();
  const work = Promise.withResolvers<XmlAnswer>();
  const pending = answerInTime(clock, work.promise);
  wake();
  const { slowBody } = await pending;
  work.reject(new Error('late'));
  await assert.rejects(slowBody!, /late/);
});
