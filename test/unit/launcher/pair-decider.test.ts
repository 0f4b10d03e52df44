/** The decider in a world of its own clock: what it does to a pair, in which order, and what it writes down. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { enterFailover, leaveFailover, type Order } from '../../../src/launcher/pair-orders.ts';
import { A, B, PairWorld } from './pair-world.ts';

const order = (member: Order['member']): Order => ({ member, why: 'maintenance', decidedBy: 'somebody' });

async function wellPair(): Promise<PairWorld> {
  const world = new PairWorld();
  await world.well();
  world.events.length = 0;
  return world;
}

describe('the decider of a pair', () => {
  it('writes the decision down before commits stop waiting for a twin that has ended', async () => {
    const world = await wellPair();
    world.endServer(B);
    await world.tick();
    assert.deepEqual(world.events, [`kill ${B}`, `record left-out ${B}`, 'synchronous false']);
    assert.equal(world.decider.state.synchronous, false);
    assert.equal(world.decider.state.condition, 'degraded');
  });

  it('starts the twin again, and has commits wait for it before it is on record that they do', async () => {
    const world = await wellPair();
    world.endServer(B);
    await world.until(() => world.isRedundant);
    const after = world.events.slice(world.events.indexOf('synchronous false') + 1);
    assert.deepEqual(after, [`kill ${B}`, `start ${B} standby`, 'synchronous true', `record returned ${B}`]);
    world.check();
  });

  it('promotes a twin that is in when the primary has ended: nothing of the old one is left, then the record, then the promotion', async () => {
    const world = await wellPair();
    world.endServer(A);
    await world.tick();
    assert.deepEqual(world.events, [
      `kill ${A}`,
      `record promoted ${B}`,
      `start ${B} primary`,
      `start ${A} standby`,
    ]);
    await world.until(() => world.isRedundant);
    assert.equal(world.primary, B);
    assert.equal(world.decided.at(-1)!.what, 'returned');
    assert.equal(world.decider.state.term, 2);
    world.check();
  });

  it('ends a primary that hangs, with its agent, before it promotes the twin', async () => {
    const world = await wellPair();
    world.hang(A);
    await world.until(() => world.events.length > 0, 10_000);
    assert.deepEqual(world.events.slice(0, 2), [`kill ${A} and its agent`, `record promoted ${B}`]);
    await world.until(() => world.isRedundant);
    world.check();
  });

  it('promotes the twin when the primary’s agent has ended, or its disk is full', async () => {
    for (const harm of [
      (w: PairWorld) => w.endAgent(A),
      (w: PairWorld) => {
        w.member(A).diskFull = true;
      },
    ]) {
      const world = await wellPair();
      harm(world);
      await world.until(() => world.primary === B && world.decider.primaryRuns, 10_000);
      world.check();
    }
  });

  it('does not promote a twin whose disk is full, too', async () => {
    const world = await wellPair();
    world.member(A).diskFull = true;
    world.member(B).diskFull = true;
    await world.run(30_000);
    assert.deepEqual(world.decided, []);
  });

  it('never promotes a twin that is out: the primary is started again', async () => {
    const world = await wellPair();
    world.endServer(B);
    await world.tick();
    world.endServer(A);
    await world.until(() => world.isRedundant);
    assert.equal(world.primary, A);
    assert.ok(!world.decided.some(({ what }) => what === 'promoted'));
    world.check();
  });

  it('starts the last primary again when both have ended', async () => {
    const world = await wellPair();
    world.endServer(A);
    world.endServer(B);
    await world.until(() => world.isRedundant);
    assert.equal(world.primary, A);
    world.check();
  });

  it('starts as the last decision says', async () => {
    const world = await wellPair();
    world.endServer(A);
    await world.until(() => world.isRedundant);
    world.breakOff();
    world.events.length = 0;
    await world.well();
    assert.deepEqual(world.events.slice(0, 2), [`start ${B} primary`, `start ${A} standby`]);
    world.check();
  });

  it('does not listen to what an earlier turn has to say', async () => {
    const world = await wellPair();
    const { turn } = world.decider.now.primary;
    world.decider.heard(A, { type: 'postgres', turn: turn - 1, pid: null });
    assert.equal(world.decider.primaryRuns, true);
  });

  it('decides nothing once the store is being stopped', async () => {
    const world = await wellPair();
    world.decider.stop();
    world.endServer(B);
    world.endServer(A);
    await world.run(10_000);
    assert.deepEqual(world.events, []);
  });

  it('keeps what was set aside until the successor has returned', async () => {
    const world = await wellPair();
    world.commit();
    // A commit that nobody acknowledged, on the old primary alone.
    world.member(A).commits.push(-1);
    world.endServer(A);
    await world.until(() => world.member(A).aside !== null);
    assert.ok(world.member(A).aside!.includes(-1));
    await world.until(() => world.isRedundant);
    assert.equal(world.member(A).aside, null);
  });
});

describe('an operator’s order', () => {
  it('takes the primary out by a planned switch, until leave; and there and back', async () => {
    const world = await wellPair();
    const word = await enterFailover(world.decider, order(A), world.clock);
    assert.equal(word.condition, 'failed-over');
    assert.equal(word.mayReturn, false);
    assert.equal(world.primary, B);
    await world.run(60_000);
    assert.equal(world.member(A).server, null, 'it stays out');
    await leaveFailover(world.decider, order(A), world.clock);
    await world.until(() => world.isRedundant);
    assert.equal(world.primary, B, 'the primary is not moved home by itself');
    await enterFailover(world.decider, order(B), world.clock);
    assert.equal(world.primary, A);
    world.check();
  });

  it('stays in force over a new start', async () => {
    const world = await wellPair();
    await enterFailover(world.decider, order(B), world.clock);
    world.breakOff();
    world.open();
    await world.run(60_000);
    assert.equal(world.member(B).server, null);
    assert.equal(world.primary, A);
  });

  it('is refused, with the reason, where the twin could not take over', async () => {
    const world = await wellPair();
    await enterFailover(world.decider, order(B), world.clock);
    await assert.rejects(
      enterFailover(world.decider, order(A), world.clock),
      /directory-b5 is out \(maintenance\)/,
    );
    await leaveFailover(world.decider, order(B), world.clock);
    await world.until(() => world.isRedundant);
    world.hang(B);
    await world.run(2_000);
    await assert.rejects(enterFailover(world.decider, order(A), world.clock), /does not answer/);
    world.check();
  });
});

const SCENARIOS: Readonly<Record<string, (world: PairWorld) => unknown>> = {
  'the primary is killed': (world) => world.endServer(A),
  'the primary hangs': (world) => world.hang(A),
  'its agent is killed': (world) => world.endAgent(A),
  'the twin is killed': (world) => world.endServer(B),
  'the twin hangs': (world) => world.hang(B),
  'a planned switch': (world) =>
    enterFailover(world.decider, order(A), world.clock).then(() =>
      leaveFailover(world.decider, order(A), world.clock),
    ),
  'the twin is taken out and returns': (world) =>
    enterFailover(world.decider, order(B), world.clock).then(() =>
      leaveFailover(world.decider, order(B), world.clock),
    ),
};

/** Runs it to its end, or to where it is broken off. */
async function play(world: PairWorld, scenario: (world: PairWorld) => unknown): Promise<void> {
  let done = false;
  const before = world.steps.length;
  void Promise.resolve(scenario(world)).finally(() => {
    done = true;
  });
  await world.tick();
  await world.until(() => done && world.steps.length > before + 2 && world.isRedundant);
}

describe('a supervisor that is killed between any two steps', () => {
  for (const [name, scenario] of Object.entries(SCENARIOS))
    it(`${name}: one primary afterwards, and nothing lost`, async () => {
      const whole = await wellPair();
      const before = whole.steps.length;
      await play(whole, scenario);
      whole.check();
      const steps = whole.steps.length - before;
      assert.ok(steps >= 3, `${steps} steps`);
      for (let step = 1; step <= steps; step++)
        for (const second of [0, 1, 2]) {
          const world = await wellPair();
          world.breakAt = world.steps.length + step;
          await play(world, scenario);
          assert.ok(world.broken);
          // Killed once more, on the way back.
          world.breakAt = second === 0 ? Number.POSITIVE_INFINITY : world.steps.length + second;
          world.open();
          const { primary } = world;
          world.check();
          await world.run(20_000);
          if (world.broken) world.open();
          world.breakAt = Number.POSITIVE_INFINITY;
          for (const id of [A, B]) {
            const held = world.decider.now.standing;
            if (held.twin === id && !held.mayReturn)
              await leaveFailover(world.decider, order(id), world.clock);
          }
          await world.until(() => world.isRedundant);
          world.check();
          assert.equal(world.primary, primary, 'a start changes nobody’s role');
          // And what came back can be relied on.
          world.endServer(world.primary);
          await world.until(() => world.isRedundant);
          world.check();
        }
    });
});
