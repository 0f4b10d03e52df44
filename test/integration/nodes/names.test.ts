/** Records of names on a real node, and whose blobs it keeps. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import type { BlobId, Epoch } from '../../../src/base/ids.ts';
import { createNodeClient } from '../../../src/nodes/client.ts';
import type { NameRecord } from '../../../src/nodes/names-protocol.ts';
import { NodeError } from '../../../src/nodes/protocol.ts';
import {
  HOST,
  intentOf,
  MEMBER,
  PATIENT,
  randomBlob,
  SECRET,
  scratchFolder,
  startTestNode,
  writeBlob,
} from './fixture.ts';

const FIRST = 1 as Epoch;
const OURS = '00000000-0000-4000-8000-000000000001';
const THEIRS = '00000000-0000-4000-8000-000000000002';
const record = (name: string, change: number, more: Partial<NameRecord> = {}): NameRecord => ({
  id: createHash('sha256').update(name).digest('hex').slice(0, 32),
  change,
  isDeleted: false,
  body: JSON.stringify({ name, change }),
  ...more,
});

async function rig(
  run: (r: {
    client: ReturnType<typeof createNodeClient>;
    speakingFor: (catalog: string | null) => ReturnType<typeof createNodeClient>;
    restart: () => Promise<void>;
  }) => Promise<void>,
): Promise<void> {
  const folder = await scratchFolder();
  let node = await startTestNode(folder);
  const open: ReturnType<typeof createNodeClient>[] = [];
  const connect = (catalogId?: () => string | null) => {
    const client = createNodeClient({
      ...{
        member: MEMBER,
        address: HOST,
        port: node.port,
        secret: SECRET,
        deadlines: PATIENT,
        clock: systemClock,
      },
      ...(catalogId ? { catalogId } : {}),
    });
    open.push(client);
    return client;
  };
  const r = {
    client: connect(),
    speakingFor: (catalog: string | null) => connect(() => catalog),
    restart: async () => {
      await node.close();
      node = await startTestNode(folder, { port: node.port });
    },
  };
  try {
    await run(r);
  } finally {
    for (const client of open) await client.close();
    await node.close();
    await rm(folder, { recursive: true, force: true });
  }
}
async function putBlob(client: ReturnType<typeof createNodeClient>): Promise<BlobId> {
  const blob = randomBlob(1_000);
  await writeBlob(client, blob);
  return blob.id;
}
const isKind = (kind: string) => (error: unknown) => error instanceof NodeError && error.kind === kind;

describe('records of names on a node', () => {
  it('keep the highest change of each, in whatever order they come, and over a restart', async () => {
    await rig(async ({ client, restart }) => {
      assert.equal(await client.putNames([record('a', 5), record('b', 1)], { epoch: FIRST }), 2);
      assert.equal(
        await client.putNames([record('a', 4), record('b', 2, { isDeleted: true })], { epoch: FIRST }),
        1,
      );
      assert.equal(
        await client.putNames([record('c', 7), record('c', 9), record('c', 8)], { epoch: FIRST }),
        1,
      );
      await restart();
      const { records, next } = await client.names({ max: 10 });
      assert.equal(next, null);
      assert.deepEqual(
        new Map(records.map((r) => [r.id, [r.change, r.isDeleted]])),
        new Map([
          [record('a', 0).id, [5, false]],
          [record('b', 0).id, [2, true]],
          [record('c', 0).id, [9, false]],
        ]),
      );
      assert.deepEqual((await client.status()).names, { count: 3, highest: 9, damaged: 0 });
    });
  });

  it('are listed page by page and by prefix, and summed alike on whoever has the same', async () => {
    const all = Array.from({ length: 300 }, (_, i) => record(`key ${i}`, i + 1));
    const digestsOf = async (records: readonly NameRecord[]) => {
      let sums: unknown;
      await rig(async ({ client }) => {
        for (let at = 0; at < records.length; at += 20)
          await client.putNames(records.slice(at, at + 20), { epoch: FIRST });
        const found: string[] = [];
        let after: string | undefined;
        do {
          const page = await client.names({ max: 7, ...(after === undefined ? {} : { after }) });
          found.push(...page.records.map(({ id }) => id));
          after = page.next ?? undefined;
        } while (after !== undefined);
        assert.deepEqual(found, [...found].sort());
        assert.equal(found.length, 300);
        const prefix = found[0]!.slice(0, 2);
        const below = await client.names({ max: 1_000, prefix });
        assert.deepEqual(
          below.records.map(({ id }) => id),
          found.filter((id) => id.startsWith(prefix)),
        );
        sums = await client.nameDigests();
      });
      return sums;
    };
    const older = all.map((r) => record(JSON.parse(r.body).name as string, 0));
    assert.deepEqual(await digestsOf([...older, ...all]), await digestsOf([...all].reverse()));
  });

  it('are refused by a node that is fenced or knows a later epoch, but for the copy of a return', async () => {
    await rig(async ({ client }) => {
      await client.setCondition({ state: 'serving', epoch: 3 as Epoch });
      await assert.rejects(client.putNames([record('a', 1)], { epoch: 2 as Epoch }), isKind('stale-epoch'));
      await client.setCondition({ state: 'resyncing', epoch: 4 as Epoch });
      await assert.rejects(client.putNames([record('a', 1)], { epoch: 4 as Epoch }), isKind('fenced'));
      assert.equal(await client.putNames([record('a', 1)]), 1);
      const { requests, refusedRequests } = await client.status();
      assert.deepEqual([requests, refusedRequests], [0, 2]);
    });
  });

  it('are trimmed below a change, tombstones apart', async () => {
    await rig(async ({ client }) => {
      const dead = { isDeleted: true };
      await client.putNames([record('a', 1), record('b', 2, dead), record('c', 5), record('d', 6, dead)], {
        epoch: FIRST,
      });
      assert.equal(await client.trimNames({ below: 2 }), 1);
      assert.equal(await client.trimNames({ tombstonesBelow: 6 }), 1);
      assert.deepEqual((await client.names({ max: 10 })).records.map(({ change }) => change).sort(), [5, 6]);
    });
  });
});

describe('a node that remembers whose blobs it keeps', () => {
  it('removes nothing for another catalog, or for one that does not know its name yet', async () => {
    await rig(async ({ client, speakingFor, restart }) => {
      const id = await putBlob(client);
      await client.adoptCatalog(OURS);
      await restart();
      assert.equal((await client.status()).catalog, OURS);
      await assert.rejects(client.adoptCatalog(THEIRS), isKind('conflict'));
      for (const stranger of [speakingFor(THEIRS), speakingFor(null)]) {
        await assert.rejects(stranger.drop([id]), isKind('fenced'));
        await assert.rejects(stranger.delete([id], { epoch: FIRST }), isKind('fenced'));
        await assert.rejects(stranger.trimNames({ below: 10 }), isKind('fenced'));
        await assert.rejects(stranger.release([id], 1), isKind('fenced'));
      }
      assert.ok(await client.stat(id));
      await client.adoptCatalog(THEIRS, OURS);
      await speakingFor(THEIRS).drop([id]);
      assert.equal(await client.stat(id), null);
    });
  });

  it('takes what nobody names any more for pending again', async () => {
    await rig(async ({ client }) => {
      const id = await putBlob(client);
      await client.confirm([id]);
      assert.deepEqual(await client.pending({ before: Number.MAX_SAFE_INTEGER, max: 10 }), []);
      await client.release([id], 12_345);
      const [entry] = await client.pending({ before: 20_000, max: 10 });
      assert.deepEqual([entry?.id, entry?.intent.intentAt, entry?.intent.key], [id, 12_345, intentOf().key]);
      await client.confirm([id]);
      assert.equal((await client.stat(id))?.state, 'confirmed');
    });
  });
});
