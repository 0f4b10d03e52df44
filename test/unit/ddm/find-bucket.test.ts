/** Which directory has a bucket: hints are verified at the primaries, and only all of them say that nobody has it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import pino from 'pino';
import type { MemberId, PairId } from '../../../src/base/ids.ts';
import type { Bucket, FoundBucket } from '../../../src/ddm/catalog.ts';
import { createNameFinder, type NameFinderOptions } from '../../../src/ddm/find-bucket.ts';
import { FIRST_EPOCH, type RecordedState } from '../../../src/twin/condition.ts';
import { buildTopology } from '../../../src/twin/load.ts';
import type { SearchQuestion, SearchStep } from '../../../src/twin/search.ts';
import { VirtualClock } from '../../world/virtual-clock.ts';

const [P5, P6, P7] = ['directory/5', 'directory/6', 'directory/7'] as PairId[] as [PairId, PairId, PairId];
const topology = buildTopology({
  centers: [
    { name: 'a', subnets: ['10.1.0.0/24'] },
    { name: 'b', subnets: ['10.2.0.0/24'] },
  ],
  members: [5, 6, 7].flatMap((host) =>
    [1, 2].map((net) => ({ kind: 'directory' as const, address: `10.${net}.0.${host}`, port: 7432 })),
  ),
});
const bucketAt = (directory: PairId): Bucket => ({ name: 'b', directory }) as Bucket;

interface Scene {
  /** What the primaries say; absent: that they have not. */
  readonly rows?: Readonly<Record<PairId, 'has' | 'away' | 'hangs'>>;
  /** Members that say that they have it. */
  readonly hints?: readonly string[];
  readonly silent?: readonly string[];
  readonly out?: readonly string[];
  readonly computed?: PairId;
  readonly searches?: boolean;
}

function scene(s: Scene) {
  const clock = new VirtualClock();
  const asked: SearchQuestion[] = [];
  const read: PairId[] = [];
  const rows = new Map(Object.entries(s.rows ?? {}) as [PairId, string][]);
  const ask = async (question: SearchQuestion): Promise<readonly SearchStep[]> => {
    asked.push(question);
    const states = question.members.map((member) => ({
      member,
      state: s.silent?.includes(member)
        ? ('silent' as const)
        : s.hints?.includes(member)
          ? ('has' as const)
          : ('has-not' as const),
    }));
    const answers = states
      .filter(({ state }) => state !== 'silent')
      .map(({ member, state }) => ({ member, has: state === 'has' }));
    const leftOut = question.leftOut.map((member) => ({ member, state: 'left-out' as const }));
    const said = { center: question.center, transport: 'multicast', answers, ms: 1 } as const;
    return [{ ...said, asked: [...states, ...leftOut] }];
  };
  const options: NameFinderOptions = {
    pairs: () => [P5, P6, P7],
    compute: () => s.computed ?? P5,
    readRow: async (pair) => {
      read.push(pair);
      const row = rows.get(pair);
      if (row === 'away') throw new Error('away');
      if (row === 'hangs') await clock.sleep(3_600_000);
      return row === 'has' ? bucketAt(pair) : null;
    },
    clock,
    log: pino({ level: 'silent' }),
  };
  const search = {
    searcher: { ask, close: async () => {} },
    searched: () => ({
      centers: topology.centers,
      members: [...topology.members.values()],
      stateOf: (member: MemberId): RecordedState => (s.out?.includes(member) ? 'failed-over' : 'serving'),
      isCenterOut: () => false,
      epoch: () => FIRST_EPOCH,
    }),
    pair: (id: PairId) => topology.pairs.get(id),
    pairOf: (member: MemberId) =>
      [...topology.pairs.values()].find(({ members }) => members.includes(member)),
  };
  const finder = createNameFinder({ ...options, ...(s.searches === false ? {} : { search }) });
  const find = (): Promise<FoundBucket> => clock.run(finder.find('b'));
  return { clock, finder, find, rows, asked, read };
}
const stepsOf = ({ steps }: FoundBucket) => steps.map(({ step, answer }) => `${step} ${answer}`);

describe('a bucket is found', () => {
  it('in the pair that is computed, with no question to anybody else', async () => {
    const { find, asked, read } = scene({ rows: { [P5]: 'has' } });
    const found = await find();
    assert.deepEqual(
      [found.outcome, found.bucket?.directory, stepsOf(found)],
      ['found', P5, ['computed-pair found']],
    );
    assert.deepEqual([asked.length, read], [0, [P5]]);
  });
  it('in the center of the twin of the computed pair', async () => {
    const { find, asked, read } = scene({ rows: { [P6]: 'has' }, hints: ['directory-b6'] });
    const found = await find();
    assert.deepEqual([found.outcome, found.bucket?.directory], ['found', P6]);
    assert.deepEqual(stepsOf(found), ['computed-pair nowhere', 'twin-center found']);
    assert.deepEqual([asked.map(({ center }) => center), read], [['b'], [P5, P6]]);
    assert.deepEqual([asked[0]!.kind, asked[0]!.subject], ['bucket', 'b']);
  });
  it('in the first center, when the twin of the one that has it keeps silent', async () => {
    const { find } = scene({ rows: { [P7]: 'has' }, hints: ['directory-a7'], silent: ['directory-b7'] });
    const found = await find();
    assert.deepEqual([found.outcome, found.bucket?.directory], ['found', P7]);
    assert.deepEqual(stepsOf(found), ['computed-pair nowhere', 'twin-center unknown', 'first-center found']);
    assert.deepEqual(found.steps[1]!.silent, ['directory-b7']);
    assert.deepEqual(found.steps[2]!.foundAt, ['directory-a7']);
  });
  it('beginning with the other center, while the second member of the computed pair is out', async () => {
    const { find, asked } = scene({ rows: { [P6]: 'has' }, hints: ['directory-a6'], out: ['directory-b5'] });
    assert.equal((await find()).outcome, 'found');
    assert.deepEqual([asked[0]!.center, asked[0]!.leftOut], ['a', []]);
  });
  it('where it was found before, without a search', async () => {
    const { find, clock, asked, rows } = scene({ rows: { [P6]: 'has' }, hints: ['directory-b6'] });
    await find();
    await clock.run(clock.sleep(10_000));
    assert.deepEqual(stepsOf(await find()), ['remembered-pair found']);
    assert.equal(asked.length, 1);
    // It has gone from there as well.
    rows.clear();
    await clock.run(clock.sleep(10_000));
    const gone = await find();
    assert.deepEqual([gone.outcome, gone.steps[0]!.step], ['nowhere', 'remembered-pair']);
  });
  it('by asking the primaries alone, where nobody can be searched', async () => {
    const { find } = scene({ rows: { [P7]: 'has' }, searches: false });
    assert.deepEqual(stepsOf(await find()), ['computed-pair nowhere', 'other-pairs found']);
  });
  it('although the primary of the computed pair hangs', async () => {
    const { find } = scene({ rows: { [P5]: 'hangs', [P6]: 'has' }, hints: ['directory-b6'] });
    const found = await find();
    assert.deepEqual(
      [found.outcome, stepsOf(found)],
      ['found', ['computed-pair unknown', 'twin-center found']],
    );
  });
  it('although members that are behind say that they have it, and those that have it say nothing', async () => {
    const { find, read } = scene({ rows: { [P7]: 'has' }, hints: ['directory-b6', 'directory-a6'] });
    const found = await find();
    assert.deepEqual(stepsOf(found), [
      'computed-pair nowhere',
      'twin-center not confirmed',
      'first-center not confirmed',
      'other-pairs found',
    ]);
    assert.deepEqual(read, [P5, P6, P7]);
  });
});

describe('a bucket that nobody has', () => {
  it('is nowhere when the primary of every pair has said so', async () => {
    const { find, read } = scene({});
    assert.equal((await find()).outcome, 'nowhere');
    assert.deepEqual(new Set(read), new Set([P5, P6, P7]));
  });
  it('is nowhere whatever standbys keep silent or are out', async () => {
    const { find } = scene({ silent: ['directory-b6'], out: ['directory-b7'] });
    assert.equal((await find()).outcome, 'nowhere');
  });
  for (const [pair, how] of [
    [P5, 'away'],
    [P6, 'away'],
    [P7, 'hangs'],
  ] as const)
    it(`is not known to be nowhere while ${pair} ${how}, whatever its members say`, async () => {
      const { find } = scene({ rows: { [pair]: how } });
      const found = await find();
      assert.deepEqual([found.outcome, found.bucket], ['unknown', null]);
    });
  it('is not taken from a pair whose members alone say that they have it', async () => {
    const { find } = scene({ rows: { [P6]: 'away' }, hints: ['directory-a6', 'directory-b6'] });
    assert.equal((await find()).outcome, 'unknown');
  });
  it('is left out in a center whose directories are all out', async () => {
    const { find, asked } = scene({
      out: ['directory-a5', 'directory-a6', 'directory-a7'],
      rows: { [P7]: 'away' },
    });
    const found = await find();
    assert.deepEqual([found.outcome, stepsOf(found)[2]], ['unknown', 'first-center left out']);
    assert.equal(asked.length, 1);
  });
});

describe('searches of one name', () => {
  it('are one search, however many want it, and its result serves for a moment', async () => {
    const { finder, clock, asked, read } = scene({ rows: { [P7]: 'away' } });
    const all = await clock.run(Promise.all(Array.from({ length: 1_000 }, () => finder.find('b'))));
    assert.ok(all.every(({ outcome }) => outcome === 'unknown'));
    assert.deepEqual([asked.length, read.length], [2, 3]);
    await clock.run(finder.find('b'));
    assert.equal(asked.length, 2);
    await clock.run(clock.sleep(1_000));
    await clock.run(finder.find('b'));
    assert.equal(asked.length, 4);
  });
  it('wait for their turn, and are unknown when it does not come', async () => {
    const { finder, clock } = scene({ rows: { [P5]: 'hangs', [P6]: 'hangs', [P7]: 'hangs' } });
    const names = Array.from({ length: 40 }, (_, i) => `n${i}`);
    const all = await clock.run(Promise.all(names.map((name) => finder.find(name))));
    assert.ok(all.every(({ outcome }) => outcome === 'unknown'));
    assert.ok(all.some(({ steps }) => steps.length === 0));
  });
  it('for people ask everybody, each time', async () => {
    const { finder, clock, asked } = scene({ rows: { [P6]: 'has' }, hints: ['directory-b6'] });
    for (let i = 1; i <= 2; i++) {
      assert.equal((await clock.run(finder.trace('b'))).outcome, 'found');
      assert.equal(asked.length, i);
      assert.equal(asked.at(-1)!.isEnough, undefined);
    }
  });
});
