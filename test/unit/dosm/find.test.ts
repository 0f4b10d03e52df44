/** Where a lost blob is looked for, in which order, and what may be concluded: over a network in memory. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Epoch, MemberId, PairId } from '../../../src/base/ids.ts';
import type { BlobRef } from '../../../src/ddm/catalog.ts';
import { createFinder, type FinderTuning, type TracedBlob } from '../../../src/dosm/find.ts';
import { allServing, type Conditions, type RecordedState, viewOf } from '../../../src/twin/condition.ts';
import { buildTopology } from '../../../src/twin/load.ts';
import type { SearchMode } from '../../../src/twin/search.ts';
import { SearchNet } from '../../world/search-net.ts';
import { seededRandom } from '../../world/seeded-random.ts';
import { VirtualClock } from '../../world/virtual-clock.ts';

const MODES: readonly SearchMode[] = ['multicast', 'point-to-point', 'auto'];
const [a1, a2, b1, b2] = ['node-a11', 'node-a12', 'node-b11', 'node-b12'] as MemberId[] as [
  MemberId,
  MemberId,
  MemberId,
  MemberId,
];
const BLOB = {
  id: 'ab'.repeat(16),
  size: 5,
  root: Buffer.alloc(32, 3),
  pair: 'node/11' as PairId,
} as BlobRef;
const detail = { size: 5, root: BLOB.root.toString('hex'), state: 'confirmed' };

interface SetUp {
  readonly mode?: SearchMode;
  readonly centers?: 1 | 2;
  readonly holders?: readonly MemberId[];
  readonly states?: Readonly<Record<string, RecordedState>>;
  readonly centersOut?: readonly string[];
  readonly detail?: unknown;
  readonly tuning?: Partial<FinderTuning>;
}

function setUp({ mode = 'auto', centers = 2, holders = [], states = {}, ...more }: SetUp = {}) {
  const clock = new VirtualClock();
  const net = new SearchNet(clock, seededRandom(7));
  const [subnetA, subnetB] = ['127.1.0.0/24', '127.2.0.0/24'];
  const node = (id: string, address: string) => ({ kind: 'node' as const, id, address, port: 7100 });
  const topology = buildTopology({
    centers:
      centers === 2
        ? [
            { name: 'a', subnets: [subnetA] },
            { name: 'b', subnets: [subnetB] },
          ]
        : [{ name: 'a', subnets: [subnetA, subnetB] }],
    members: [node(a1, '127.1.0.11'), node(a2, '127.1.0.12'), node(b1, '127.2.0.11'), node(b2, '127.2.0.12')],
  });
  const has = new Set(holders);
  for (const { id, center } of topology.members.values()) {
    const found = { has: true, detail: more.detail === undefined ? detail : more.detail };
    net.add(id, center!, () => (has.has(id) ? found : { has: false }));
  }
  let conditions: Conditions = conditionsOf(topology, states, more.centersOut ?? []);
  const view = viewOf(() => conditions);
  const reloads: (Epoch | undefined)[] = [];
  const outcomes: string[] = [];
  const finder = createFinder({
    topology,
    conditions: {
      ...view,
      reload: async (atLeast) => {
        reloads.push(atLeast);
        if (atLeast) conditions = { ...conditions, epoch: atLeast };
        return conditions;
      },
    },
    searcher: net.searcher(mode),
    clock,
    log: { info: () => {} },
    onSearched: (outcome) => outcomes.push(outcome),
    ...(more.tuning ? { tuning: more.tuning } : {}),
  });
  const questions = () =>
    [...net.sent.datagrams.values(), ...net.sent.questions.values()].reduce((sum, n) => sum + n, 0);
  return {
    clock,
    net,
    finder,
    has,
    reloads,
    outcomes,
    questions,
    find: (blob = BLOB) => clock.run(finder.find(blob)),
  };
}

function conditionsOf(
  topology: Parameters<typeof allServing>[0],
  states: Readonly<Record<string, RecordedState>>,
  centersOut: readonly string[],
): Conditions {
  const all = allServing(topology);
  const members = [...all.members].map(
    ([id, facts]) => [id, { ...facts, state: states[id] ?? facts.state }] as const,
  );
  const centers = [...all.centers].map(
    ([name, facts]) =>
      [name, { ...facts, state: centersOut.includes(name) ? 'failed-over' : facts.state }] as const,
  );
  return { ...all, members: new Map(members), centers: new Map(centers) };
}

const stepsOf = ({ trace }: TracedBlob) =>
  trace.map(({ step, center, answer }) => `${step} ${center} ${answer}`);
const out = (...members: MemberId[]): Record<string, RecordedState> =>
  Object.fromEntries(members.map((member) => [member, 'failed-over']));

for (const mode of MODES) {
  describe(`finding a blob, ${mode}`, () => {
    it('finds it in the center of the twin first', async () => {
      const { find, net } = setUp({ mode, states: out(a1), holders: [b2, a2] });
      const found = await find();
      assert.deepEqual([found.outcome, found.members], ['found', [b2]]);
      assert.deepEqual(stepsOf(found), ['twin-center b found']);
      assert.equal(net.members.get(a2)!.answers, 0);
    });

    it('finds it in the first center, by those who serve there', async () => {
      const { find, net } = setUp({ mode, states: out(a1), holders: [a1, a2] });
      const found = await find();
      assert.deepEqual([found.outcome, found.members], ['found', [a2]]);
      assert.deepEqual(stepsOf(found), ['twin-center b nowhere', 'first-center a found']);
      assert.deepEqual(found.trace[1]!.asked, [
        { member: a2, state: 'has' },
        { member: a1, state: 'left-out' },
      ]);
      assert.equal(net.members.get(a1)!.answers, 0);
    });

    it('takes the center of the failed member for the first, whichever it is', async () => {
      const found = await setUp({ mode, states: out(b1), holders: [b2] }).find();
      assert.deepEqual(stepsOf(found), ['twin-center a nowhere', 'first-center b found']);
    });

    it('does not know, rather than not find, while a whole center is out', async () => {
      for (const centersOut of [['a'], []]) {
        const { find } = setUp({ mode, states: out(a1, a2), centersOut, holders: [a2] });
        const found = await find();
        assert.deepEqual([found.outcome, found.members], ['unknown', []]);
        assert.deepEqual(stepsOf(found), ['twin-center b nowhere', 'first-center a left out']);
        assert.equal(found.trace[1]!.transport, 'none');
      }
    });

    it('is nowhere when everybody said so, or the twin of who is left out', async () => {
      assert.equal((await setUp({ mode }).find()).outcome, 'nowhere');
      assert.equal((await setUp({ mode, states: out(a1) }).find()).outcome, 'nowhere');
      assert.equal((await setUp({ mode, states: { [a2]: 'resyncing' } }).find()).outcome, 'nowhere');
      assert.equal((await setUp({ mode, states: out(a1), centersOut: ['a'] }).find()).outcome, 'unknown');
      assert.equal((await setUp({ mode, states: out(a1, b1) }).find()).outcome, 'unknown');
    });

    it('does not know while a member keeps silent', async () => {
      const { find, net } = setUp({ mode });
      net.members.get(a2)!.deaf = 'all';
      const found = await find();
      assert.equal(found.outcome, 'unknown');
      assert.match(stepsOf(found).join(), /first-center a unknown|twin-center b nowhere/);
    });

    it('believes only who has this size, root and a known state', async () => {
      for (const wrong of [
        { ...detail, size: 6 },
        { ...detail, root: 'ff' },
        { ...detail, state: 'dreamt' },
        'here',
        null,
      ]) {
        const { find } = setUp({ mode, holders: [a1, b1], detail: wrong });
        assert.equal((await find()).outcome, 'nowhere');
      }
    });

    it('searches one center with two subnets in one step', async () => {
      const { find, questions } = setUp({ mode, centers: 1, states: out(a1), holders: [b2] });
      const found = await find();
      assert.deepEqual([found.outcome, found.members], ['found', [b2]]);
      assert.deepEqual(stepsOf(found), ['twin-center a found']);
      assert.ok(questions() <= 3);
      const nowhere = await setUp({ mode, centers: 1, states: out(a1) }).find();
      assert.equal(nowhere.outcome, 'nowhere');
    });

    it('reads the record again when a member says that it is old, and asks once more', async () => {
      const { find, net, reloads } = setUp({ mode, holders: [b2] });
      for (const member of net.members.values()) member.epoch = 4 as Epoch;
      const found = await find();
      assert.deepEqual([found.outcome, found.members, reloads], ['found', [b2], [4]]);
    });
  });
}

describe('many who look for the same', () => {
  it('make one search, and its result serves for a second', async () => {
    for (const mode of ['multicast', 'point-to-point'] as const) {
      const { clock, finder, questions, has, outcomes } = setUp({ mode, holders: [b2] });
      const all = () => clock.run(Promise.all(Array.from({ length: 1_000 }, () => finder.find(BLOB))));
      assert.ok((await all()).every(({ outcome }) => outcome === 'found'));
      assert.equal(questions(), mode === 'multicast' ? 1 : 2);
      has.clear();
      assert.ok((await all()).every(({ outcome }) => outcome === 'found'));
      await clock.run(clock.sleep(1_000));
      assert.ok((await all()).every(({ outcome }) => outcome === 'nowhere'));
      assert.deepEqual(outcomes, ['found', 'nowhere']);
    }
  });

  it('search so many blobs at once; the rest wait, and not for ever', async () => {
    const tuning = { searchesAtOnce: 2, searchesWaitingMax: 3, searchWaitMs: 300 };
    const { clock, net, finder } = setUp({ mode: 'multicast', tuning });
    for (const member of net.members.values()) member.deaf = 'all';
    const ids = Array.from({ length: 10 }, (_, i) => String(i).padStart(32, '0'));
    const startedAt = clock.monotonic();
    const found = await clock.run(
      Promise.all(
        ids.map((id) =>
          finder.find({ ...BLOB, id } as BlobRef).then(({ trace }) => [trace.length, clock.monotonic()]),
        ),
      ),
    );
    // Two at once, 155 ms for each silent center: two are done at 305, one place is free too late for the three that wait.
    assert.deepEqual(
      found.map(([steps]) => steps),
      [2, 2, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    assert.ok(found.slice(5).every(([, at]) => at === startedAt));
    assert.ok(found.slice(2, 5).every(([, at]) => at! - startedAt === 300));
    net.sent.datagrams.clear();
    for (const member of net.members.values()) member.deaf = 'no';
    assert.equal((await clock.run(finder.find({ ...BLOB, id: ids[9]! } as BlobRef))).outcome, 'nowhere');
  });

  it('leave alone: the search goes on for the others', async () => {
    const { clock, finder } = setUp({ holders: [b2] });
    const stop = new AbortController();
    const [gone, stays] = [finder.find(BLOB, stop.signal), finder.find(BLOB)];
    stop.abort(new Error('the client left'));
    assert.equal((await clock.run(gone)).outcome, 'unknown');
    assert.equal((await clock.run(stays)).outcome, 'found');
  });

  it('have nothing to hope for once it is closed', async () => {
    const { clock, finder } = setUp({ holders: [b2] });
    await clock.run(finder.close());
    assert.equal((await clock.run(finder.find(BLOB))).outcome, 'unknown');
  });
});

describe('a trace for people', () => {
  it('asks anew and waits for everybody', async () => {
    const { clock, finder, questions } = setUp({ mode: 'point-to-point', holders: [b1, b2] });
    await clock.run(finder.find(BLOB));
    const before = questions();
    const { trace, members } = await clock.run(finder.trace(BLOB));
    assert.equal(questions() - before, 2);
    assert.deepEqual([...members].sort(), [b1, b2]);
    assert.ok(trace[0]!.asked.every(({ state }) => state === 'has'));
  });
});
