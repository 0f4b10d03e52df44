/** The monitor under a virtual clock: what is declared, when, and what never is. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { viewOf } from '../../../src/twin/condition.ts';
import { seededRandom } from '../../world/seeded-random.ts';
import { epoch, hangs, id, makeWorld, refuses, topologyOf, watchedOf } from './monitor-kit.ts';

describe('admission', () => {
  it('admits fenced members that serve by the record, once each, and remembers their disks', async () => {
    const world = makeWorld();
    const { monitor } = world.gateway();
    assert.deepEqual(await world.clock.run(monitor.settled(10_000)), []);
    await world.pass(3_000);
    for (const [name, member] of world.members) {
      assert.deepEqual(member.told, ['serving 1'], name);
      assert.equal(world.root.conditions.members.get(name)!.storeId, member.storeId);
    }
    assert.deepEqual(world.root.history, []);
    await world.close();
  });

  it('admits a member that was restarted with its disk, at once and without a new epoch', async () => {
    const world = makeWorld();
    world.gateway();
    await world.pass(2_000);
    world.of('node-a11').restart();
    await world.pass(1_000);
    assert.equal(world.of('node-a11').state, 'serving');
    assert.deepEqual(world.root.history, []);
    await world.close();
  });

  it('takes out a member with another disk, and resyncs it after a good spell', async () => {
    const world = makeWorld();
    world.gateway();
    await world.pass(2_000);
    Object.assign(world.of('node-a11'), { state: 'fenced', epoch: epoch(0), storeId: 'an empty one' });
    await world.pass(1_500);
    assert.deepEqual(world.root.history, ['node-a11 failed-over']);
    assert.match(world.root.conditions.members.get(id('node-a11'))!.why, /another disk/);
    assert.equal(world.of('node-a11').state, 'fenced');
    await world.pass(12_000);
    assert.deepEqual(world.root.history, ['node-a11 failed-over', 'node-a11 resyncing']);
    assert.deepEqual([world.of('node-a11').state, world.of('node-b11').state], ['resyncing', 'serving']);
    assert.equal(world.of('node-b11').epoch, world.root.epochOf('node/11'));
    await world.close();
  });

  it('keeps a member with another disk fenced while its twin does not serve, and says why', async () => {
    const world = makeWorld();
    const { monitor } = world.gateway();
    await world.pass(2_000);
    world.root.set(id('node-b11'), { state: 'failed-over', mayReturn: false });
    Object.assign(world.of('node-a11'), { state: 'fenced', epoch: epoch(0), storeId: 'an empty one' });
    await world.pass(20_000);
    assert.deepEqual(world.root.history, []);
    assert.equal(world.of('node-a11').state, 'fenced');
    assert.match(monitor.notAdmitted(id('node-a11'))!, /another disk/);
    assert.deepEqual(await world.clock.run(monitor.settled(100)), [id('node-a11')]);
    await world.close();
  });

  it('admits nobody while the root is away and the disk is unknown, and does afterwards', async () => {
    const world = makeWorld();
    world.root.isAway = true;
    world.gateway();
    await world.pass(5_000);
    assert.equal(world.of('node-a11').state, 'fenced');
    world.root.isAway = false;
    await world.pass(1_000);
    assert.equal(world.of('node-a11').state, 'serving');
    await world.close();
  });

  it('does not overrule a member that has heard of a younger epoch, and follows when the record is read', async () => {
    const world = makeWorld();
    let known = world.root.conditions;
    let reloads = 0;
    world.gateway({
      conditions: {
        ...viewOf(() => known),
        reload: async () => {
          reloads += 1;
          if (reloads > 3) known = world.root.conditions;
          return known;
        },
      },
      declare: async () => ({ reason: 'stale-epoch' }),
    });
    await world.pass(2_000);
    // Another gateway takes the member out and tells it; this one still believes that it serves.
    world.root.set(id('node-a11'), { state: 'failed-over', mayReturn: false });
    const member = world.of('node-a11');
    Object.assign(member, { state: 'fenced', epoch: world.root.epochOf('node/11') });
    const told = member.told.length;
    await world.pass(1_500);
    assert.deepEqual([member.state, member.told.length], ['fenced', told]);
    await world.pass(3_000);
    assert.ok(reloads > 3);
    assert.deepEqual([member.state, world.of('node-b11').epoch], ['fenced', member.epoch]);
    await world.close();
  });
});

describe('detection', () => {
  for (const [how, behave] of [
    ['refuses connections', refuses],
    ['accepts and never answers', hangs],
  ] as const) {
    it(`declares a member that ${how} after 5 s, once, and tells its twin`, async () => {
      const world = makeWorld();
      world.gateway();
      world.gateway();
      await world.pass(3_000);
      world.of('node-a11').behave = behave;
      await world.pass(4_400);
      assert.deepEqual(world.root.history, []);
      await world.pass(2_200);
      assert.deepEqual(world.root.history, ['node-a11 failed-over']);
      assert.equal(world.of('node-b11').epoch, world.root.epochOf('node/11'));
      assert.equal(world.of('node-b12').epoch, 1);
      await world.pass(60_000);
      assert.deepEqual(world.root.history, ['node-a11 failed-over']);
      await world.close();
    });
  }

  it('tells the twin at once, and not with the next probe', async () => {
    const world = makeWorld();
    world.gateway();
    await world.pass(3_000);
    world.of('node-a11').behave = refuses;
    while (world.root.history.length === 0) await world.pass(10);
    await world.pass(1);
    assert.equal(world.of('node-b11').epoch, world.root.epochOf('node/11'));
    await world.close();
  });

  it('brings it back after 10 s of good answers: fenced first, then resyncing', async () => {
    const world = makeWorld();
    world.gateway();
    await world.pass(3_000);
    world.of('node-a11').behave = refuses;
    await world.pass(8_000);
    const member = world.of('node-a11');
    member.behave = async () => {};
    await world.pass(1_000);
    assert.equal(member.state, 'fenced');
    await world.pass(8_000);
    assert.deepEqual(world.root.history, ['node-a11 failed-over']);
    await world.pass(2_500);
    assert.deepEqual(world.root.history, ['node-a11 failed-over', 'node-a11 resyncing']);
    assert.equal(member.state, 'resyncing');
    await world.close();
  });

  it('leaves what an operator entered where it is', async () => {
    const world = makeWorld();
    world.gateway();
    await world.pass(2_000);
    world.root.set(id('node-a11'), { state: 'failed-over', mayReturn: false });
    await world.pass(30_000);
    assert.deepEqual(world.root.history, []);
    assert.equal(world.of('node-a11').state, 'fenced');
    world.root.set(id('node-a11'), { mayReturn: true });
    await world.pass(1_000);
    assert.deepEqual(world.root.history, ['node-a11 resyncing']);
    await world.close();
  });

  it('takes a member that goes silent while it is resynced out again', async () => {
    const world = makeWorld();
    world.gateway();
    await world.pass(2_000);
    world.root.set(id('node-a11'), { state: 'resyncing' });
    await world.pass(2_000);
    world.of('node-a11').behave = hangs;
    await world.pass(7_000);
    assert.deepEqual(world.root.history, ['node-a11 failed-over']);
    await world.close();
  });

  it('never takes out both members of a pair', async () => {
    const world = makeWorld({ hosts: [11] });
    world.gateway();
    world.gateway();
    await world.pass(3_000);
    world.of('node-a11').behave = refuses;
    await world.pass(1_500);
    world.of('node-b11').behave = hangs;
    await world.pass(60_000);
    assert.ok(world.root.history.length <= 1, world.root.history.join());
    await world.close();
  });

  it('declares nothing while the root is away, and does when it is back', async () => {
    const world = makeWorld();
    const { warnings } = world.gateway();
    await world.pass(3_000);
    world.root.isAway = true;
    world.of('node-a11').behave = refuses;
    await world.pass(20_000);
    assert.deepEqual(world.root.history, []);
    assert.equal(warnings.filter((text) => /root does not answer/.test(text)).length, 1);
    world.root.isAway = false;
    await world.pass(1_500);
    assert.deepEqual(world.root.history, ['node-a11 failed-over']);
    await world.close();
  });

  it('counts the good answers of requests: a member whose probes alone fail is not declared', async () => {
    const world = makeWorld();
    const { suspicion } = world.gateway();
    await world.pass(2_000);
    world.of('node-a11').behave = hangs;
    for (let second = 0; second < 30; second += 1) {
      suspicion.good(id('node-a11'), world.clock.monotonic());
      await world.pass(1_000);
    }
    assert.deepEqual(world.root.history, []);
    await world.close();
  });
});

describe('a whole center', () => {
  it('is declared in one change when all its nodes fall silent', async () => {
    const world = makeWorld({ hosts: [11, 12, 13] });
    world.gateway();
    await world.pass(3_000);
    for (const host of [11, 12, 13]) {
      world.of(`node-a${host}`).behave = host === 12 ? refuses : hangs;
      await world.pass(400);
    }
    await world.pass(8_500);
    assert.deepEqual(world.root.history, ['center a failed-over']);
    await world.close();
  });

  it('is not declared for some of its nodes', async () => {
    const world = makeWorld({ hosts: [11, 12, 13] });
    world.gateway();
    await world.pass(3_000);
    for (const host of [11, 12]) world.of(`node-a${host}`).behave = refuses;
    await world.pass(8_500);
    assert.deepEqual(world.root.history.toSorted(), ['node-a11 failed-over', 'node-a12 failed-over']);
    await world.close();
  });

  it('is never declared where the twins are in the same center: its silent subnet is, node by node', async () => {
    const world = makeWorld({ centers: 1 });
    world.gateway();
    await world.pass(3_000);
    for (const [name, member] of world.members) if (/^node-a1-/.test(name)) member.behave = refuses;
    await world.pass(8_500);
    assert.deepEqual(world.root.history.toSorted(), ['node-a1-11 failed-over', 'node-a1-12 failed-over']);
    await world.close();
  });
});

describe('what does not flap', () => {
  const stays = (what: string, behaviour: (now: () => number, random: () => number) => () => Promise<void>) =>
    it(`${what} is not declared`, async () => {
      for (const seed of [1, 2, 3]) {
        const world = makeWorld({ seed });
        world.gateway();
        await world.pass(2_000);
        world.of('node-a11').behave = behaviour(() => world.clock.monotonic(), seededRandom(seed));
        await world.pass(300_000);
        assert.deepEqual(world.root.history, [], `seed ${seed}`);
        await world.close();
      }
    });

  stays(
    'a disk that stands still for 3 s every 7 s',
    (now) => () => (now() % 7_000 < 3_000 ? hangs() : Promise.resolve()),
  );
  stays('a member that misses one answer', (now) => {
    let missed = false;
    return () => {
      if (missed || now() < 10_000) return Promise.resolve();
      missed = true;
      return refuses();
    };
  });
  stays('a member that answers every other probe', () => {
    let turn = 0;
    return () => (turn++ % 2 === 0 ? hangs() : Promise.resolve());
  });
  stays(
    'a line that loses 4 of 100 packets',
    (_, random) => () => (random() < 0.04 ? hangs() : Promise.resolve()),
  );

  it('a gateway that was stopped for a minute blames nobody', async () => {
    const world = makeWorld();
    const clock = world.clock;
    let skipped = 0;
    // Its own clock jumps by a minute while it sleeps; the members see nothing of it.
    const jumping = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic() + skipped,
      sleep: clock.sleep.bind(clock),
    };
    world.gateway({ clock: jumping });
    await world.pass(3_000);
    for (const name of ['node-a11', 'node-a12']) world.of(name).behave = hangs;
    await world.pass(4_300);
    skipped = 60_000;
    await world.pass(400);
    assert.deepEqual(world.root.history, []);
    for (const name of ['node-a11', 'node-a12']) world.of(name).behave = async () => {};
    await world.pass(20_000);
    assert.deepEqual(world.root.history, []);
    await world.close();
  });
});

describe('a member that joins', () => {
  it('is admitted, declared and taken back like the others', async () => {
    const world = makeWorld({ hosts: [11, 12] });
    const all = watchedOf(topologyOf([11, 12]));
    const isNew = (member: string) => /12$/.test(member);
    const { monitor } = world.gateway({ watched: all.filter((w) => !isNew(w.member)) });
    await world.pass(8_000);
    assert.equal(world.of('node-a12').probes, 0);
    monitor.watch(all);
    const [old, joined] = [world.of('node-a11').probes, world.of('node-a12')];
    assert.deepEqual(await world.clock.run(monitor.settled(10_000)), []);
    assert.deepEqual(joined.told, ['serving 1']);
    await world.pass(10_000);
    // Not watched twice.
    const share = (world.of('node-a11').probes - old) / joined.probes;
    assert(share > 0.7 && share < 1.4, `${share}`);
    assert.deepEqual(world.root.history, []);
    joined.behave = refuses;
    await world.pass(8_000);
    assert.deepEqual(world.root.history, ['node-a12 failed-over']);
    assert.equal(world.of('node-b12').epoch, world.root.epochOf('node/12'));
    joined.behave = async () => {};
    joined.restart();
    await world.pass(13_000);
    assert.deepEqual(world.root.history, ['node-a12 failed-over', 'node-a12 resyncing']);
    await world.close();
  });

  it('is not declared before it has had its time to answer', async () => {
    const world = makeWorld({ hosts: [11, 12] });
    const all = watchedOf(topologyOf([11, 12]));
    const { monitor } = world.gateway({ watched: all.filter((w) => !/12$/.test(w.member)) });
    await world.pass(60_000);
    world.of('node-a12').behave = refuses;
    monitor.watch(all);
    // It has never answered: twice the time.
    await world.pass(9_000);
    assert.deepEqual(world.root.history, []);
    await world.pass(4_000);
    assert.deepEqual(world.root.history, ['node-a12 failed-over']);
    await world.close();
  });
});
