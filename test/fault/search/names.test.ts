/** Searches for buckets among real agents, over real sockets, with each transport. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { MemberId } from '../../../src/base/ids.ts';
import type { NameFinder } from '../../../src/ddm/find-bucket.ts';
import { MODES, type NamesRig, P5, P6, P7, startNamesRig, stepsOf } from './names-rig.ts';

const id = (text: string) => text as MemberId;

for (const mode of MODES) {
  describe(`a bucket that is not in its computed pair, ${mode}`, () => {
    const first = mode === 'point-to-point' ? 'point-to-point' : 'multicast';
    const computed = 'computed-pair - catalog nowhere';
    let rig: NamesRig;
    let finder: NameFinder;
    before(async () => {
      rig = await startNamesRig({ centers: 2 });
      finder = rig.finder(mode);
    });
    after(async () => rig[Symbol.asyncDispose]());
    beforeEach(() => {
      rig.away.clear();
      rig.conditions.clear();
    });

    it('is found in the center of the twin, and read from its primary', async () => {
      rig.rows.set('in-the-twins', P6);
      const found = await finder.find('in-the-twins');
      assert.deepEqual([found.outcome, found.bucket?.directory], ['found', P6]);
      assert.deepEqual(stepsOf(found), [computed, `twin-center b ${first} found`]);
      assert.deepEqual(found.steps[1]!.foundAt, ['directory-b6']);
    });

    it('is found in the first center, when its member in the other one is out', async () => {
      rig.rows.set('in-the-first', P7);
      rig.conditions.set(id('directory-b7'), 'failed-over');
      const before = rig.agents.get(id('directory-b7'))!.questions;
      const found = await finder.find('in-the-first');
      assert.deepEqual([found.outcome, found.bucket?.directory], ['found', P7]);
      assert.deepEqual(stepsOf(found), [
        computed,
        `twin-center b ${first} nowhere`,
        `first-center a ${first} found`,
      ]);
      assert.deepEqual(found.steps[1]!.leftOut, ['directory-b7']);
      assert.equal(rig.agents.get(id('directory-b7'))!.questions, before);
    });

    it('is not known to be nowhere while one pair is silent, and is looked for everywhere', async () => {
      rig.away.add(P6);
      for (const member of ['directory-a6', 'directory-b6'])
        rig.agents.get(id(member))!.look = () => 'silent';
      const found = await finder.find('with-a-silent-pair');
      assert.deepEqual([found.outcome, found.bucket], ['unknown', null]);
      const silent = (center: string) =>
        found.steps
          .filter((step) => step.center === center)
          .at(-1)!
          .silent.join(' ');
      assert.deepEqual([silent('b'), silent('a')], ['directory-b6', 'directory-a6']);
      assert.equal(found.steps.at(-1)!.step, 'other-pairs');
      for (const member of ['directory-a6', 'directory-b6'])
        rig.agents.get(id(member))!.look = (_, name) => ({ has: rig.rows.get(name) === P6 });
    });

    it('is not taken from agents whose primary does not give it', async () => {
      rig.agents.get(id('directory-b6'))!.look = (_, name) => ({ has: name === 'only-said' });
      const found = await finder.find('only-said');
      assert.equal(found.outcome, 'nowhere');
      assert.deepEqual(stepsOf(found)[1], `twin-center b ${first} not confirmed`);
      assert.deepEqual(found.steps[1]!.foundAt, []);
    });

    it('is nowhere when the primary of every pair has said so', async () => {
      const found = await finder.find('lost');
      assert.deepEqual([found.outcome, found.bucket], ['nowhere', null]);
      assert.deepEqual(
        new Set(rig.read.filter(({ name }) => name === 'lost').map(({ pair }) => pair)).size,
        3,
      );
    });

    it('is looked for once, however many want it, with one datagram for each center', async () => {
      const ears = [await rig.listen('a'), await rig.listen('b')];
      const [questions, reads] = [rig.questions(), rig.read.length];
      const found = await Promise.all(Array.from({ length: 1_000 }, () => finder.find('wanted')));
      assert.ok(found.every(({ outcome }) => outcome === 'nowhere'));
      assert.deepEqual([rig.questions() - questions, rig.read.length - reads], [6, 3]);
      const datagrams = mode === 'point-to-point' ? 0 : 1;
      assert.deepEqual(
        ears.map((ear) => ear.heard.length),
        [datagrams, datagrams],
      );
    });

    it('is not known to be nowhere while a whole center is out and a pair with it', async () => {
      for (const host of [5, 6, 7]) rig.conditions.set(id(`directory-a${host}`), 'failed-over');
      rig.away.add(P7);
      const found = await finder.find('half-a-world');
      assert.deepEqual([found.outcome, stepsOf(found)[2]], ['unknown', 'first-center a none left out']);
    });
  });

  describe(`in one center with two subnets, ${mode}`, () => {
    it('everybody is asked in one step', async () => {
      await using rig = await startNamesRig({ centers: 1 });
      rig.rows.set('here', P7);
      const finder = rig.finder(mode);
      const ear = await rig.listen('a');
      const found = await finder.trace('here');
      assert.deepEqual([found.outcome, found.bucket?.directory], ['found', P7]);
      assert.deepEqual(
        found.steps.map(({ step }) => step),
        ['computed-pair', 'twin-center'],
      );
      assert.deepEqual(
        [found.steps[1]!.asked.length, [...found.steps[1]!.foundAt].sort()],
        [6, ['directory-a7', 'directory-b7']],
      );
      assert.equal(ear.heard.length, mode === 'point-to-point' ? 0 : 1);
      assert.equal((await finder.trace('not-here')).outcome, 'nowhere');
      rig.away.add(P5);
      assert.equal((await finder.trace('not-here')).outcome, 'unknown');
    });
  });
}
