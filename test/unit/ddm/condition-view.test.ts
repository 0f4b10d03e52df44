/** The cached view of the conditions: single-flight, bounded, never older than what it knew. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Epoch, MemberId } from '../../../src/base/ids.ts';
import { CachedConditions } from '../../../src/ddm/condition-view.ts';
import { allServing, type Conditions } from '../../../src/twin/condition.ts';
import { seededRandom } from '../../world/seeded-random.ts';
import { VirtualClock } from '../../world/virtual-clock.ts';
import { topologyOf } from '../twin/monitor-kit.ts';

const at = (epoch: number): Conditions => ({ ...allServing(topologyOf()), epoch: epoch as Epoch });

function open(change: { pollMs?: number } = {}) {
  const clock = new VirtualClock();
  const questions: { answer: (conditions: Conditions) => void; fail: (error: Error) => void }[] = [];
  const words: string[] = [];
  const log = (_facts: unknown, text?: string) => void words.push(text ?? String(_facts));
  const view = new CachedConditions(at(1), {
    read: () => new Promise((answer, fail) => void questions.push({ answer, fail })),
    clock,
    random: seededRandom(1),
    log: { info: log, warn: log },
    pollMs: 1_000_000,
    ...change,
  });
  return { clock, view, questions, words };
}

it('asks the root once for all who want a younger epoch at the same time', async () => {
  const { clock, view, questions } = open();
  const waiting = Promise.all([1, 2, 3].map(() => view.reload(5 as Epoch)));
  assert.equal(questions.length, 1);
  questions[0]!.answer(at(5));
  assert.deepEqual(
    (await clock.run(waiting)).map((c) => c.epoch),
    [5, 5, 5],
  );
  assert.equal(questions.length, 1);
  assert.equal((await view.reload(4 as Epoch)).epoch, 5);
  assert.equal(questions.length, 1);
  await clock.run(view.close());
});

it('asks again when the question under way was answered too early', async () => {
  const { clock, view, questions } = open();
  const first = view.reload();
  const second = Promise.all([view.reload(7 as Epoch), view.reload()]);
  questions[0]!.answer(at(6));
  await first;
  await new Promise(setImmediate);
  assert.equal(questions.length, 2);
  questions[1]!.answer(at(7));
  assert.equal((await clock.run(second))[0].epoch, 7);
  assert.equal(questions.length, 2);
  await clock.run(view.close());
});

it('keeps what it knows, and says so once, when the root does not answer in time', async () => {
  const { clock, view, questions, words } = open();
  assert.equal((await clock.run(view.reload())).epoch, 1);
  assert.equal(clock.monotonic(), 1_500);
  const again = view.reload();
  questions[1]!.fail(new Error('connection refused'));
  await clock.run(again);
  assert.deepEqual(words, ['the root pair does not answer; the conditions stay as known']);
  const third = view.reload();
  questions[2]!.answer(at(2));
  assert.equal((await clock.run(third)).epoch, 2);
  assert.ok(words.includes('the root pair answers again'));
  await clock.run(view.close());
});

it('never goes back to an older epoch', async () => {
  const { clock, view, questions } = open();
  view.take(at(9));
  const reading = view.reload();
  questions[0]!.answer(at(8));
  assert.equal((await clock.run(reading)).epoch, 9);
  await clock.run(view.close());
});

it('asks about once a second by itself, and answers from what it knows', async () => {
  const { clock, view, questions } = open({ pollMs: 1_000 });
  for (let second = 0; second < 10; second += 1) {
    await clock.run(clock.sleep(1_000));
    questions.at(-1)?.answer(at(questions.length));
  }
  assert.ok(questions.length >= 5 && questions.length <= 13, `${questions.length} questions`);
  const member = 'node-a11' as MemberId;
  assert.deepEqual([view.stateOf(member), view.stateOf('unknown' as MemberId)], ['serving', 'serving']);
  assert.equal(view.isCenterOut('a'), false);
  await clock.run(view.close());
});
