/** Searches among real nodes, over real sockets, with each transport: where a blob is found, and what is concluded when it is not. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { MemberId } from '../../../src/base/ids.ts';
import type { BlobRef } from '../../../src/ddm/catalog.ts';
import type { GatewayDosm } from '../../../src/dosm/create.ts';
import { BytesUnavailable } from '../../../src/dosm/dosm.ts';
import type { NodeFinder } from '../../../src/dosm/find.ts';
import { collect } from '../../world/world.ts';
import { A1, A2, B1, B2, epoch, MODES, type SearchRig, startSearchRig, stepsOf } from './search-rig.ts';

const read = async (dosm: GatewayDosm, blob: BlobRef): Promise<Buffer> =>
  collect(await dosm.read({ segments: [{ blob, from: 0, to: blob.size - 1 }] }));

for (const mode of MODES) {
  describe(`a blob that is not on its map, ${mode}`, () => {
    const first = mode === 'point-to-point' ? 'point-to-point' : 'multicast';
    let rig: SearchRig;
    let finder: NodeFinder;
    let dosm: GatewayDosm;
    before(async () => {
      rig = await startSearchRig({ centers: 2 });
      ({ finder, dosm } = rig.gateway(mode));
    });
    after(async () => rig[Symbol.asyncDispose]());

    const countRequests = async (members: readonly MemberId[], act: () => Promise<unknown>) => {
      const counts = () => Promise.all(members.map((member) => rig.requests(member)));
      const old = await counts();
      await act();
      return (await counts()).map((count, i) => count - old[i]!);
    };

    it('is found in the center of the twin, and read, while its home is in failover', async () => {
      rig.setRecord({ [A1]: 'failed-over' });
      const { blob, bytes } = await rig.put(A1, B2);
      const found = await finder.find(blob);
      assert.deepEqual(
        [found.outcome, found.members, stepsOf(found)],
        ['found', [B2], [`twin-center b ${first} found`]],
      );
      assert.deepEqual(await read(dosm, blob), bytes);
    });

    it('is found in the first center, by those who serve there', async () => {
      rig.setRecord({ [A1]: 'failed-over' });
      const { blob, bytes } = await rig.put(A1, A2);
      const found = await finder.find(blob);
      assert.deepEqual([found.outcome, found.members], ['found', [A2]]);
      assert.deepEqual(stepsOf(found), [`twin-center b ${first} nowhere`, `first-center a ${first} found`]);
      assert.deepEqual(found.trace[1]!.asked, [
        { member: A2, state: 'has' },
        { member: A1, state: 'left-out' },
      ]);
      assert.deepEqual(await read(dosm, blob), bytes);
    });

    it('costs each member that is asked one data request, and the one in failover none', async () => {
      rig.setRecord({ [A1]: 'failed-over' });
      const { blob } = await rig.put(A2);
      assert.deepEqual(await countRequests([A1, A2, B1, B2], () => finder.find(blob)), [0, 1, 1, 1]);
    });

    it('is not known to be nowhere while the whole first center is out: 503, never 404', async () => {
      rig.setRecord({ [A1]: 'failed-over', [A2]: 'failed-over', 'center a': 'failed-over' });
      const { blob } = await rig.put(A1, A2);
      const requests = await countRequests([A1, A2], async () => {
        const found = await finder.find(blob);
        assert.deepEqual([found.outcome, found.members], ['unknown', []]);
        assert.deepEqual(stepsOf(found), [`twin-center b ${first} nowhere`, 'first-center a none left out']);
        await assert.rejects(read(dosm, blob), BytesUnavailable);
      });
      assert.deepEqual(requests, [0, 0]);
    });

    it('is nowhere when everybody has said so, which is 503 as well', async () => {
      rig.setRecord({});
      const { blob } = await rig.put();
      assert.equal((await finder.find(blob)).outcome, 'nowhere');
      await assert.rejects(read(dosm, blob), BytesUnavailable);
    });

    it('is not taken from a node that has something else under its name', async () => {
      rig.setRecord({});
      const { blob } = await rig.put(A2, B2);
      const other = { ...blob, root: Buffer.alloc(32, 5) };
      assert.equal((await finder.find(other)).outcome, 'nowhere');
    });

    it('is looked for once, however many ask for it', async () => {
      rig.setRecord({ [A1]: 'failed-over' });
      const { blob } = await rig.put(B2);
      const ear = await rig.listen('b');
      const counts = await countRequests([B1, B2], async () => {
        const found = await Promise.all(Array.from({ length: 1_000 }, () => finder.find(blob)));
        assert.ok(found.every(({ outcome }) => outcome === 'found'));
      });
      assert.deepEqual(counts, [1, 1]);
      assert.equal(ear.heard.length, mode === 'point-to-point' ? 0 : 1);
    });

    it('is looked for once, however many read it', async () => {
      rig.setRecord({ [A1]: 'failed-over' });
      const { blob, bytes } = await rig.put(B2);
      const [ear, before] = [await rig.listen('b'), await rig.requests(B1)];
      const bodies = await Promise.all(Array.from({ length: 100 }, () => read(dosm, blob)));
      assert.ok(bodies.every((body) => body.equals(bytes)));
      assert.equal(ear.heard.length, mode === 'point-to-point' ? 0 : 1);
      assert.ok((await rig.requests(B1)) > before);
    });

    it('is not known to be nowhere while a node keeps silent, and that is known in time', async () => {
      rig.setRecord({});
      const { blob } = await rig.put();
      rig.nodes.get(B2)!.stop();
      try {
        const startedAt = performance.now();
        const found = await finder.find(blob);
        assert.equal(found.outcome, 'unknown');
        assert.deepEqual(found.trace[0]!.asked.at(-1), { member: B2, state: 'silent' });
        const transports = found.trace
          .filter(({ center }) => center === 'b')
          .map(({ transport }) => transport);
        assert.deepEqual(transports, mode === 'auto' ? ['multicast', 'point-to-point'] : [first]);
        assert.ok(performance.now() - startedAt < 30_000); // far above the deadlines: only that there are any
      } finally {
        rig.nodes.get(B2)!.continue();
      }
    });

    it('is not known to a gateway that has not heard of a change, until it reads the record', async () => {
      rig.setRecord({});
      const { blob } = await rig.put(A2, B2);
      for (const member of [B1, B2]) {
        await rig.clients.get(member)!.setCondition({ state: 'serving', epoch: epoch(7) });
      }
      const behind = await finder.find(blob); // neither of them answers, and A2 has it
      assert.deepEqual([behind.outcome, behind.members, behind.trace[0]!.staleAt], ['found', [A2], 7]);
      rig.setRecord({}, { epoch: epoch(7) });
      const abreast = await finder.trace(blob);
      assert.deepEqual([abreast.outcome, abreast.members], ['found', [B2]]);
    });

    it('is not heard of from nodes that are fenced or resyncing', async () => {
      rig.setRecord({}, { epoch: epoch(7) });
      const { blob } = await rig.put(B2);
      for (const state of ['fenced', 'resyncing'] as const) {
        await rig.clients.get(B2)!.setCondition({ state, epoch: epoch(7) });
        const requests = await countRequests([B2], async () => {
          const found = await finder.trace(blob);
          assert.equal(found.outcome, 'unknown');
          assert.deepEqual(found.trace[0]!.asked.at(-1), { member: B2, state: 'silent' });
        });
        assert.deepEqual(requests, [0]);
      }
      await rig.clients.get(B2)!.setCondition({ state: 'serving', epoch: epoch(7) });
      assert.deepEqual((await finder.trace(blob)).members, [B2]);
    });

    it('is found while nobody has noticed yet that its home is dead', async () => {
      const pairEpochs = new Map([...rig.topology.pairs.keys()].map((pair) => [pair, epoch(7)] as const));
      rig.setRecord({}, { epoch: epoch(7), pairEpochs });
      const { blob, bytes } = await rig.put(A2);
      await rig.clients.get(A2)!.setCondition({ state: 'serving', epoch: epoch(7) });
      await rig.nodes.get(A1)!.kill();
      const found = await finder.find(blob);
      assert.deepEqual([found.outcome, found.members], ['found', [A2]]);
      assert.deepEqual(await read(dosm, blob), bytes);
    });
  });

  describe(`in one center with two subnets, ${mode}`, () => {
    it('everybody is asked in one step', async () => {
      await using rig = await startSearchRig({ centers: 1 });
      const { finder, dosm } = rig.gateway(mode);
      rig.setRecord({ [A1]: 'failed-over' });
      const { blob, bytes } = await rig.put(A1, B2);
      const ear = await rig.listen('a');
      const found = await finder.find(blob);
      assert.deepEqual([found.outcome, found.members], ['found', [B2]]);
      assert.deepEqual(
        found.trace.map(({ step, center }) => [step, center]),
        [['twin-center', 'a']],
      );
      assert.equal(ear.heard.length, mode === 'point-to-point' ? 0 : 1);
      assert.deepEqual(await read(dosm, blob), bytes);
      const lost = await rig.put();
      assert.equal((await finder.find(lost.blob)).outcome, 'nowhere');
    });
  });
}
