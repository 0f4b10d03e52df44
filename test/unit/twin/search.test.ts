/** Asking and answering over a network in memory: what counts as an answer, with each transport, and what does not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Epoch, MemberId } from '../../../src/base/ids.ts';
import type { SearchMode, SearchQuestion, SearchStep } from '../../../src/twin/search.ts';
import { createAnswerer, type Reply } from '../../../src/twin/search-answerer.ts';
import { type SearcherOptions, StaleAsker } from '../../../src/twin/search-asker.ts';
import { SEARCH_TUNING } from '../../../src/twin/search-tuning.ts';
import { openQuestion, sealAnswer, sealQuestion, searchKey } from '../../../src/twin/search-wire.ts';
import { TokenBucket } from '../../../src/twin/token-bucket.ts';
import { NET_SECRET, SearchNet } from '../../world/search-net.ts';
import { seededRandom } from '../../world/seeded-random.ts';
import { VirtualClock } from '../../world/virtual-clock.ts';

const SUBJECT = 'ab'.repeat(16);
const [b11, b12, b13] = ['node-b11', 'node-b12', 'node-b13'] as MemberId[] as [MemberId, MemberId, MemberId];
const MODES: readonly SearchMode[] = ['multicast', 'point-to-point', 'auto'];
const epoch = (n: number): Epoch => n as Epoch;

/** Three members in center b, of which the second has the subject, and one in center a that has it too. */
function setUp(seed = 1) {
  const clock = new VirtualClock();
  const net = new SearchNet(clock, seededRandom(seed));
  const has = { has: true, detail: 'here' };
  net.add('node-a11', 'a', () => has);
  for (const member of [b11, b12, b13]) net.add(member, 'b', () => (member === b12 ? has : { has: false }));
  const ask = (
    mode: SearchMode,
    more: Partial<SearchQuestion> = {},
    options: Partial<SearcherOptions> = {},
  ) =>
    clock.run(
      net.searcher(mode, options).ask({
        kind: 'blob',
        subject: SUBJECT,
        center: 'b',
        members: [b11, b12, b13],
        leftOut: [],
        epoch: epoch(1),
        ...more,
      }),
    );
  return { clock, net, ask, of: (member: MemberId) => net.members.get(member)! };
}
const statesOf = (step: SearchStep | undefined) =>
  (step?.asked ?? []).map(({ member, state }) => `${member} ${state}`);
const ALL = ['node-b11 has-not', 'node-b12 has', 'node-b13 has-not'];

for (const mode of MODES) {
  describe(`a search, ${mode}`, () => {
    it('hears every member of the center once, with the same answers', async () => {
      const { net, ask } = setUp();
      const steps = await ask(mode);
      assert.equal(steps.length, 1);
      assert.deepEqual(statesOf(steps[0]), ALL);
      assert.deepEqual(
        steps[0]!.answers.filter((answer) => answer.has),
        [{ member: b12, has: true, detail: 'here' }],
      );
      const asked = mode === 'point-to-point' ? [0, 3] : [1, 0];
      assert.deepEqual([net.sent.datagrams.get('b') ?? 0, net.sent.questions.size], asked);
      assert.deepEqual(
        [...net.members.values()].map((member) => member.answers),
        [0, 1, 1, 1],
      );
    });

    it('neither asks nor hears who is left out', async () => {
      const { ask, of } = setUp();
      const [step] = await ask(mode, { members: [b11, b13], leftOut: [b12] });
      assert.deepEqual(statesOf(step), ['node-b11 has-not', 'node-b13 has-not', 'node-b12 left-out']);
      assert.equal(of(b12).answers, 0);
    });

    it('takes a member that does not serve for silent', async () => {
      const { ask, of } = setUp();
      of(b12).epoch = null;
      const steps = await ask(mode);
      assert.deepEqual(statesOf(steps.at(-1)).at(mode === 'auto' ? 0 : 1), 'node-b12 silent');
    });

    it('ignores an answer under an epoch below the one on record', async () => {
      const { ask } = setUp();
      const steps = await ask(mode, {}, { epochOf: (member) => epoch(member === b12 ? 2 : 1) });
      assert.ok(statesOf(steps.at(-1)).includes('node-b12 silent'));
      assert.ok(!steps.some((step) => step.answers.some(({ has }) => has)));
    });

    it('learns that its own epoch is stale, and nothing else', async () => {
      const { ask, of } = setUp();
      of(b12).epoch = epoch(9);
      const steps = await ask(mode);
      assert.equal(steps[0]!.staleAt, 9);
      assert.ok(statesOf(steps.at(-1)).includes('node-b12 silent'));
      assert.ok(!steps.some((step) => step.answers.some(({ has }) => has)));
    });

    it('ends in time when nobody answers', async () => {
      const { clock, net, ask } = setUp();
      for (const member of net.members.values()) member.deaf = 'all';
      const startedAt = clock.monotonic();
      const steps = await ask(mode);
      assert.ok(clock.monotonic() - startedAt <= SEARCH_TUNING.stepMs);
      for (const step of steps) assert.ok(step.asked.every(({ state }) => state === 'silent'));
    });

    it('ends with the signal', async () => {
      const { clock, net } = setUp();
      for (const member of net.members.values()) member.deaf = 'all';
      const stop = new AbortController();
      const question = { kind: 'blob', subject: SUBJECT, center: 'b', leftOut: [], epoch: epoch(1) } as const;
      const asking = net.searcher(mode).ask({ ...question, members: [b11, b12] }, stop.signal);
      clock.sleep(20).then(() => stop.abort(new Error('the client left')));
      const startedAt = clock.monotonic();
      await clock.run(asking);
      assert.ok(clock.monotonic() - startedAt <= 21);
    });
  });
}

describe('auto', () => {
  it('asks point to point whom the datagram did not reach, and nobody else', async () => {
    const { net, ask, of } = setUp();
    of(b11).deaf = 'multicast';
    of(b12).deaf = 'multicast';
    const [first, second] = await ask('auto');
    assert.deepEqual(statesOf(first), ['node-b11 silent', 'node-b12 silent', 'node-b13 has-not']);
    assert.deepEqual(
      [second?.transport, ...statesOf(second)],
      ['point-to-point', 'node-b11 has-not', 'node-b12 has'],
    );
    assert.deepEqual(
      [...net.sent.questions],
      [
        [b11, 1],
        [b12, 1],
      ],
    );
  });

  it('learns that its own epoch is stale also from a refusal', async () => {
    const askMember = (member: MemberId) => Promise.reject(new StaleAsker(epoch(member === b12 ? 9 : 3)));
    const [step] = await setUp().ask('point-to-point', {}, { askMember });
    assert.equal(step!.staleAt, 9);
    assert.ok(step!.asked.every(({ state }) => state === 'silent'));
  });

  it('waits for nobody else once an answer is enough', async () => {
    const { clock, net, ask, of } = setUp();
    of(b11).deaf = 'all';
    const startedAt = clock.monotonic();
    const steps = await ask('auto', { isEnough: (answer) => answer.has });
    assert.equal(steps.length, 1);
    assert.ok(clock.monotonic() - startedAt < 20);
    assert.equal(net.sent.questions.size, 0);
  });

  it('bounds each question point to point, and the whole step', async () => {
    for (const [tuning, ms] of [
      [{ pointToPointMs: 200 }, 200],
      [{ stepMs: 300 }, 300],
      [{ pointToPointMs: 200, pointToPointAtOnce: 1 }, 600],
    ] as const) {
      const { clock, net, ask } = setUp();
      for (const member of net.members.values()) member.deaf = 'all';
      const startedAt = clock.monotonic();
      await ask('point-to-point', {}, { tuning });
      assert.equal(clock.monotonic() - startedAt, ms);
    }
  });

  it('goes point to point where there is no multicast, or where it fails', async () => {
    const none = setUp();
    const [only] = await none.ask('auto', {}, { multicast: null });
    assert.deepEqual([only?.transport, ...statesOf(only)], ['point-to-point', ...ALL]);
    const broken = setUp();
    const multicast = {
      open: () => Promise.reject(new Error('no such interface')),
      onDatagram: () => {},
      close: async () => {},
    };
    const [first, second] = await broken.ask('auto', {}, { multicast });
    assert.ok(first?.asked.every(({ state }) => state === 'silent'));
    assert.deepEqual(statesOf(second), ALL);
  });

  it('asks point to point where the names of those left out do not fit into a datagram', async () => {
    const { net, ask } = setUp();
    const leftOut = Array.from({ length: 200 }, (_, i) => `node-b${100 + i}` as MemberId);
    const steps = await ask('auto', { leftOut });
    assert.equal(net.sent.datagrams.size, 0);
    assert.deepEqual(statesOf(steps.at(-1)).slice(0, 3), ALL);
  });
});

describe('a datagram on its way', () => {
  it('counts once: repeated questions and answers change nothing', async () => {
    const { net, ask, of } = setUp();
    net.passQuestion = (bytes) => [bytes, bytes];
    net.passAnswer = (bytes) => [bytes, bytes, bytes];
    const [step] = await ask('multicast');
    assert.deepEqual(statesOf(step), ALL);
    assert.equal(step!.answers.length, 3);
    assert.deepEqual([of(b11).answers, of(b11).answerer.counts.replayed], [1, 1]);
  });

  it('counts by its first answer, whatever the member says afterwards', async () => {
    const { net, ask } = setUp();
    const key = searchKey(NET_SECRET);
    let asked: Buffer = Buffer.alloc(0);
    net.passQuestion = (bytes) => {
      asked = bytes;
      return [bytes];
    };
    net.passAnswer = (bytes, member) => {
      const other = { member, epoch: epoch(1), has: true, stale: false };
      return [bytes, sealAnswer(key, openQuestion(key, asked)!, other)!.bytes];
    };
    const [step] = await ask('multicast');
    assert.deepEqual(statesOf(step), ALL);
    assert.equal(step!.answers.length, 3);
  });

  it('is ignored when it was changed', async () => {
    const { net, ask, of } = setUp();
    net.passAnswer = (bytes, from) => [from === b12 ? flip(bytes) : bytes];
    assert.deepEqual(statesOf((await ask('multicast'))[0]), [
      'node-b11 has-not',
      'node-b12 silent',
      'node-b13 has-not',
    ]);
    net.passQuestion = (bytes) => [flip(bytes)];
    assert.ok((await ask('multicast'))[0]!.asked.every(({ state }) => state === 'silent'));
    assert.equal(of(b12).answerer.counts.forged, 1);
  });

  it('is ignored when it answers an earlier question', async () => {
    const { net, ask } = setUp();
    const kept: Buffer[] = [];
    net.passAnswer = (bytes) => {
      kept.push(bytes);
      return [bytes];
    };
    await ask('multicast');
    net.passAnswer = () => kept;
    const [step] = await ask('multicast');
    assert.ok(step!.asked.every(({ state }) => state === 'silent'));
  });

  it('is ignored when it comes from a member that was not asked, or from a stranger', async () => {
    const { net, ask } = setUp();
    net.add('node-b14', 'b', () => ({ has: true }));
    net.add('node-b13', 'b', () => ({ has: true }), Buffer.alloc(32, 3));
    const [step] = await ask('multicast');
    assert.deepEqual(statesOf(step), ['node-b11 has-not', 'node-b12 has', 'node-b13 silent']);
    assert.ok(step!.answers.every(({ member }) => member !== 'node-b14'));
  });
});

describe('a member that is asked', () => {
  const key = searchKey(NET_SECRET);
  const question = (clock: VirtualClock, at = clock.now()) =>
    sealQuestion(key, {
      kind: 'blob',
      subject: SUBJECT,
      center: 'b',
      leftOut: [],
      epoch: epoch(1),
      at,
      windowMs: 0,
      replyPort: 1,
    })!.bytes;
  const member = (clock: VirtualClock, tuning = {}) =>
    createAnswerer({
      member: b11,
      center: 'b',
      key,
      clock,
      standing: () => epoch(1),
      look: () => ({ has: true }),
      tuning,
    });
  const silence = (reply: Reply) => ('silent' in reply ? reply.silent : 'answered');

  it('keeps silent for questions out of their time, in either direction', async () => {
    const clock = new VirtualClock();
    const asked = member(clock);
    const { skewMs } = SEARCH_TUNING;
    for (const at of [-skewMs - 1, skewMs + 1]) {
      assert.equal(
        silence(await asked.answer(question(clock, clock.now() + at), 'multicast')),
        'out-of-time',
      );
    }
    assert.equal(silence(await asked.answer(question(clock, clock.now() - skewMs), 'multicast')), 'answered');
  });

  it('remembers a question for as long as it is valid', async () => {
    const clock = new VirtualClock();
    const asked = member(clock);
    const early = question(clock, clock.now() + SEARCH_TUNING.skewMs);
    assert.equal(silence(await asked.answer(early, 'multicast')), 'answered');
    for (let second = 0; second < 60; second += 5) {
      await clock.run(clock.sleep(5_000));
      assert.equal(silence(await asked.answer(question(clock), 'multicast')), 'answered');
      assert.match(silence(await asked.answer(early, 'point-to-point')), /replayed/);
    }
    await clock.run(clock.sleep(1));
    assert.equal(silence(await asked.answer(early, 'multicast')), 'out-of-time');
  });

  it('answers nothing new while its memory is full, rather than forget', async () => {
    const clock = new VirtualClock();
    const asked = member(clock, { noncesMax: 2 });
    assert.equal(silence(await asked.answer(question(clock), 'multicast')), 'answered');
    assert.equal(silence(await asked.answer(question(clock), 'multicast')), 'answered');
    assert.equal(silence(await asked.answer(question(clock), 'multicast')), 'replayed');
    await clock.run(clock.sleep(2 * SEARCH_TUNING.skewMs + 1));
    assert.equal(silence(await asked.answer(question(clock), 'multicast')), 'answered');
  });

  it('looks at so many datagrams a second, whoever sends them, and at all that came over its port', async () => {
    const clock = new VirtualClock();
    const asked = member(clock, { questionsPerSecondMax: 10 });
    for (let i = 0; i < 50; i++) await asked.answer(Buffer.alloc(100, 0x11), 'multicast');
    assert.deepEqual([asked.counts.forged, asked.counts['too-many']], [10, 40]);
    assert.equal(silence(await asked.answer(question(clock), 'multicast')), 'too-many');
    assert.equal(silence(await asked.answer(question(clock), 'point-to-point')), 'answered');
    await clock.run(clock.sleep(100));
    assert.equal(silence(await asked.answer(question(clock), 'multicast')), 'answered');
  });

  it('says nothing for another center', async () => {
    const clock = new VirtualClock();
    const other = createAnswerer({
      member: 'node-a11' as MemberId,
      center: 'a',
      key,
      clock,
      standing: () => epoch(1),
      look: () => ({ has: true }),
    });
    assert.equal(silence(await other.answer(question(clock), 'multicast')), 'other-center');
  });
});

describe('a bucket of tokens', () => {
  it('lets a burst through and then its rate, whatever the clock does', () => {
    const bucket = new TokenBucket(10);
    const passed = (now: number, n: number) =>
      Array.from({ length: n }, () => bucket.take(now)).filter(Boolean);
    assert.equal(passed(1_000, 30).length, 10);
    assert.equal(passed(1_500, 30).length, 5);
    assert.equal(passed(1_400, 30).length, 0);
    assert.equal(passed(9_000, 30).length, 10);
  });
});

function flip(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  changed[changed.length - 3]! ^= 4;
  return changed;
}
