/** How the role of the primary changes hands without a supervisor, step by step and killed at each of them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { A, B, type Gateway, PairWorld } from '../../world/directory-pair.ts';
import { seededRandom } from '../../world/seeded-random.ts';

const ENTER = { force: false, assertDown: false };
const ASSERT = { force: false, assertDown: true };

async function inWorld(
  seed: number,
  scenario: (world: PairWorld) => Promise<void>,
  leaseMs?: number,
): Promise<PairWorld> {
  const world = new PairWorld(seededRandom(seed), leaseMs);
  await world.clock.run(
    (async () => {
      for (const id of [A, B]) world.host(id).start();
      await world.until('the pair is whole', () => world.isWhole());
      await world.until('gateways know it', () => [A, B].every((side) => primaryOf(world, side) === A));
      await scenario(world);
      await world.stop();
    })(),
    3_600_000,
  );
  assert.deepEqual(world.violations, []);
  return world;
}
const sideOf = (world: PairWorld, side: typeof A): Gateway => world.gateways.find((g) => g.side === side)!;
const primaryOf = (world: PairWorld, side: typeof A) =>
  sideOf(world, side).poll.primary('directory/5' as never)?.member;
/** Writes and reads through both gateways, as long as told. */
async function traffic(world: PairWorld, ms: number): Promise<void> {
  const end = world.clock.monotonic() + ms;
  while (world.clock.monotonic() < end) {
    for (const gateway of world.gateways) {
      world.write(gateway);
      void world.read(gateway);
    }
    await world.clock.sleep(300);
  }
}

describe('a pair without a supervisor', () => {
  it('changes its primary in order, and back', async () => {
    await inWorld(1, async (world) => {
      const busy = traffic(world, 60_000);
      for (const [from, to] of [
        [A, B],
        [B, A],
      ] as const) {
        assert.equal(primaryOf(world, A), from);
        const word = await sideOf(world, A).failover.enter(from, ENTER, 'root');
        assert.equal(word.condition, 'failed-over');
        await world.until('both gateways follow', () =>
          [A, B].every((side) => primaryOf(world, side) === to),
        );
        await world.clock.sleep(5_000);
        assert.equal(world.host(from).server, null, 'the old one runs before leave');
        await sideOf(world, B).failover.leave(from, 'root');
        await world.until('the pair is whole', () => world.isWhole());
      }
      await busy;
      assert.ok(world.reads > 100);
      const said = (id: typeof A) => world.history.get(id)?.map(({ what, member }) => `${what} ${member}`);
      const [a, b] = [A, B].map((id) => [`may-return ${id}`, `returned ${id}`]) as [string[], string[]];
      assert.deepEqual(said(B), [`promoted ${B}`, ...a]);
      assert.deepEqual(said(A)?.slice(-3), [`promoted ${A}`, ...b]);
    });
  });

  it('goes on on the other side of a cut line once the old primary can be trusted by nobody', async () => {
    await inWorld(2, async (world) => {
      const busy = traffic(world, 60_000);
      await world.clock.sleep(2_000);
      world.cut = true;
      await assert.rejects(sideOf(world, B).failover.enter(A, ENTER, 'root'), /does not answer/);
      const before = world.clock.monotonic();
      await sideOf(world, B).failover.enter(A, ASSERT, 'root');
      assert.ok(world.clock.monotonic() - before > 4_000, 'it did not wait for the lease');
      await world.until('its gateway follows', () => primaryOf(world, B) === B);
      assert.equal(primaryOf(world, A), undefined);
      assert.equal(world.host(A).server?.kind, 'primary', 'it still runs, trusted by nobody');
      await world.clock.sleep(5_000);
      world.cut = false;
      await world.until('the old one has ended its server', () => world.host(A).server === null);
      await world.until('all follow', () => primaryOf(world, A) === B);
      await sideOf(world, A).failover.leave(A, 'root');
      await world.until('the pair is whole', () => world.isWhole());
      await busy;
    });
  });

  it('does not give a promotion to one that was out, whatever is said', async () => {
    await inWorld(3, async (world) => {
      world.host(B).kill('host');
      await sideOf(world, A).failover.enter(B, ASSERT, 'root');
      await traffic(world, 1_000);
      world.host(B).start();
      await world.until('it streams', () => world.host(B).keeper?.status().problem === null);
      for (const order of [ENTER, { force: true, assertDown: true }])
        await assert.rejects(
          sideOf(world, B).failover.enter(A, order, 'root'),
          /may lack what was acknowledged/,
        );
      world.host(A).kill('host');
      await assert.rejects(
        sideOf(world, B).failover.enter(A, { force: true, assertDown: true }, 'root'),
        /may lack what was acknowledged/,
      );
    });
  });

  it('does not take a primary that answers for one that is down, unless by force', async () => {
    await inWorld(4, async (world) => {
      await assert.rejects(
        sideOf(world, A).failover.enter(A, ASSERT, 'root'),
        /the primary answers: it is not down/,
      );
      const busy = traffic(world, 30_000);
      await sideOf(world, A).failover.enter(A, { force: true, assertDown: true }, 'root');
      await world.until('it is another one', () => primaryOf(world, A) === B);
      await busy;
    });
  });

  it('has no primary while the standby is away, until that is taken out', async () => {
    await inWorld(5, async (world) => {
      world.host(B).kill('host');
      await world.until('nobody is trusted', () => primaryOf(world, A) === undefined);
      assert.match(world.host(A).keeper!.status().problem ?? '', /gives it no lease/);
      await sideOf(world, B).failover.enter(B, ASSERT, 'root');
      await world.until('it goes on', () => primaryOf(world, A) === A);
      world.host(B).start();
      await sideOf(world, B).failover.leave(B, 'root');
      await world.until('the pair is whole', () => world.isWhole());
    });
  });

  for (const restarted of [false, true])
    it(`waits until its leases are over${restarted ? ', also those of an earlier life' : ''}`, async () => {
      const leaseMs = 30_000;
      await inWorld(
        6,
        async (world) => {
          const busy = traffic(world, 60_000);
          await world.clock.sleep(1_000);
          if (restarted) {
            world.host(B).kill('host');
            world.host(B).start();
          }
          world.cut = true;
          await world.until('it runs', () => world.host(B).keeper?.status().pid !== null);
          const since = world.clock.monotonic();
          const { turn } = world.host(B).keeper!.status();
          const order = { turn, assertTwinDown: true, force: false, why: 'test', decidedBy: 'root' };
          assert.notEqual(typeof (await world.host(B).keeper!.takeOver(order)), 'string');
          await world.until('it is the primary', () => world.host(B).server?.kind === 'primary');
          assert.ok(world.clock.monotonic() - since > leaseMs - 6_000);
          await busy;
        },
        leaseMs,
      );
    });

  for (const how of ['planned', 'asserted', 'cut'] as const)
    for (const victim of [A, B])
      it(`${how}: ${victim} is killed at each of its durable writes, and there is one primary`, async () => {
        let crashes = 0;
        for (let at = 0; at < 8; at++)
          await inWorld(100 + at, async (world) => {
            const busy = traffic(world, 50_000);
            await world.clock.sleep(500);
            if (how === 'asserted') world.host(A).kill('agent');
            if (how === 'cut') world.cut = true;
            world.host(victim).crashAt = at;
            const order = how === 'planned' ? ENTER : ASSERT;
            const entered = sideOf(world, B)
              .failover.enter(A, order, 'root')
              .catch((error: Error) => error);
            await world.clock.sleep(20_000);
            if (!world.host(victim).isUp) crashes += 1;
            for (const id of [A, B]) {
              world.host(id).crashAt = null;
              world.host(id).start();
            }
            world.cut = false;
            await entered;
            await busy;
            const primary = () => [A, B].find((id) => (world.host(id).keeper?.status().trustMs ?? 0) > 0);
            await world.until('somebody is the primary', () => primary() !== undefined);
            const out = world.twinOf(primary()!);
            await sideOf(world, A)
              .failover.leave(out, 'root')
              .catch(() => {});
            await world.until('the pair is whole', () => world.isWhole());
            await traffic(world, 2_000);
            const { entries } = world.host(primary()!).folder;
            const lost = [...world.acknowledged].filter((entry) => !entries.includes(entry));
            assert.deepEqual(lost, []);
          });
        assert.ok(crashes > 0 || (how !== 'planned' && victim === A), 'nothing was killed');
      });
});
