/** What locate says about replicas in every state. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MemberId, PairId } from '../../../src/base/ids.ts';
import type { BlobRef } from '../../../src/ddm/catalog.ts';
import { makeWorld, writeRequest } from '../../world/world.ts';

test('each replica shows its state, by the map and off it', async () => {
  const world = makeWorld(1);
  const { blob } = await world.clock.run(world.dosm.write(writeRequest(Buffer.from('hello'))));
  const [home, twin] = world.holders(blob);
  const states = async (ref: BlobRef = blob) =>
    (await world.clock.run(world.dosm.locate(ref))).replicas.map(({ member, state }) => `${member} ${state}`);

  const { map } = await world.clock.run(world.dosm.locate(blob));
  assert.deepEqual(map, { home: home.member, twin: twin.member });
  world.dosm.confirm([blob]);
  assert.deepEqual(await states(), [`${home.member} pending`, `${twin.member} pending`]);
  await world.clock.run(world.clock.sleep(1_000));
  assert.deepEqual(await states(), [`${home.member} confirmed`, `${twin.member} confirmed`]);

  const other = [...world.nodes.values()].find((node) => node !== home && node !== twin)!;
  home.faults = { stopped: true };
  const withHandoff = { ...blob, offMap: [other.member, 'node-x1' as MemberId] };
  assert.deepEqual(await states(withHandoff), [
    `${home.member} unknown`,
    `${twin.member} confirmed`,
    `${other.member} missing`,
    'node-x1 unknown',
  ]);
  assert.deepEqual(await states({ ...blob, size: 4 }), [`${home.member} unknown`, `${twin.member} differs`]);
  const gone = await world.clock.run(world.dosm.locate({ ...blob, pair: 'node/99' as PairId }));
  assert.deepEqual([gone.map, gone.replicas], [null, []]);
});
