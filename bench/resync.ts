/**
 * `node bench/resync.ts [--blobs 10000] [--rounds 3]`: what the return of a member costs against the size of the difference. One
 * pair of real nodes, each a process, and a real directory; the member loses so many of its blobs of 1 KiB, is declared
 * returning, and is resynced. Beside it, in the same minute: listing both whole inventories, which is what a comparison
 * without digests would cost. The machine's load falls on both, so compare the ratios.
 */
import { createHash, randomBytes } from 'node:crypto';
import { systemClock } from '../src/base/clock.ts';
import { type BlobId, newBlobId, newWriteId } from '../src/base/ids.ts';
import { runResync } from '../src/dosm/resync/resync.ts';
import { DigestTreeBuilder } from '../src/nodes/digest-tree.ts';
import type { NodeClient } from '../src/nodes/protocol.ts';
import { quiet } from '../test/harness/catalog.ts';
import { stopSharedServer } from '../test/harness/postgres.ts';
import { A11, B11, FailbackRig } from '../test/integration/dosm/failback-rig.ts';

const flagOf = (name: string, otherwise: number): number => {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};
const BLOBS = flagOf('--blobs', 10_000);
const ROUNDS = flagOf('--rounds', 3);
const BLOB_BYTES = 1_024;
const WRITES_AT_ONCE = 64;

const asked = { digests: 0, entries: 0 };
const counted = (client: NodeClient): NodeClient => ({
  ...client,
  digests: async (prefix) => {
    const answer = await client.digests(prefix);
    asked.digests += answer.length;
    return answer;
  },
  inventory: async (query) => {
    const answer = await client.inventory(query);
    asked.entries += answer.length;
    return answer;
  },
});

async function fill(rig: FailbackRig): Promise<BlobId[]> {
  const pair = [...rig.topology.pairs.values()].find(({ members }) => members.includes(A11))!.id;
  const ids: BlobId[] = [];
  const one = async () => {
    const id = newBlobId();
    const bytes = randomBytes(BLOB_BYTES);
    const digest = createHash('sha256').update(bytes).digest();
    const tree = new DigestTreeBuilder();
    tree.push(digest);
    const root = tree.root();
    const intent = { writeId: newWriteId(), intentAt: Date.now(), bucket: 'bucket', key: id };
    for (const member of [A11, B11]) {
      const writer = await rig.clients.get(member)!.write(id, BLOB_BYTES, intent);
      await writer.write(bytes, digest);
      await writer.finish(root);
    }
    await rig.catalog.putVersion({
      ...{ writeId: intent.writeId, bucketId: rig.bucket, key: id, owner: 'owner' as never },
      ...{ size: BLOB_BYTES, etag: id },
      attributes: { system: {}, user: {}, tags: {}, storageClass: 'STANDARD' },
      content: { kind: 'blob', blob: { id, size: BLOB_BYTES, root, pair }, intentAt: intent.intentAt },
    });
    ids.push(id);
  };
  await Promise.all(
    Array.from({ length: WRITES_AT_ONCE }, async (_, lane) => {
      for (let n = lane; n < BLOBS; n += WRITES_AT_ONCE) await one();
    }),
  );
  for (let at = 0; at < ids.length; at += 1_000)
    for (const member of [A11, B11]) await rig.clients.get(member)!.confirm(ids.slice(at, at + 1_000));
  return ids;
}

async function listAll(client: NodeClient): Promise<void> {
  for (let after: BlobId | undefined; ; ) {
    const page = await client.inventory({ max: 1_000, ...(after === undefined ? {} : { after }) });
    if (page.length < 1_000) return;
    after = page.at(-1)!.id;
  }
}

async function resyncWithout(rig: FailbackRig, lost: readonly BlobId[]): Promise<number> {
  for (let at = 0; at < lost.length; at += 1_000)
    await rig.clients.get(A11)!.drop(lost.slice(at, at + 1_000));
  await rig.change(A11, 'failed-over');
  await rig.change(A11, 'resyncing');
  const clients = new Map([...rig.clients].map(([id, client]) => [id, counted(client)] as const));
  const { catalog, topology, view } = rig;
  const deps = { catalog, clients, topology, view, clock: systemClock, random: Math.random, log: quiet };
  const tuning = { owner: 'bench', leaseMs: 15_000, intentMs: 3_600_000, pace: () => 1e9 };
  const startedAt = performance.now();
  const end = await runResync({ ...deps, ...tuning }, A11, new AbortController().signal);
  if (end !== 'serving') throw new Error(`it ended as ${end}`);
  return performance.now() - startedAt;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

await using rig = await FailbackRig.open();
const ids = await fill(rig);
const differing = [0, 1, 10, 100, 1_000, BLOBS].filter((n, at) => at === 5 || n < BLOBS);
const rows = new Map(
  differing.map((n) => [n, { ms: [] as number[], listMs: [] as number[], digests: 0, entries: 0 }]),
);
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [n, row] of rows) {
    Object.assign(asked, { digests: 0, entries: 0 });
    row.ms.push(await resyncWithout(rig, ids.slice(0, n)));
    Object.assign(row, asked);
    const startedAt = performance.now();
    await Promise.all([A11, B11].map((member) => listAll(rig.clients.get(member)!)));
    row.listMs.push(performance.now() - startedAt);
  }
}
const base = median(rows.get(0)!.ms);
console.log(`${BLOBS} blobs of ${BLOB_BYTES} bytes on each; medians of ${ROUNDS} rounds, taken in turn`);
console.log(
  '| differing | resync ms | times that of 0 | digests asked | entries listed | both inventories whole, ms |',
);
console.log('|---|---|---|---|---|---|');
for (const [n, { ms, listMs, digests, entries }] of rows) {
  const cells = [n, median(ms).toFixed(0), (median(ms) / base).toFixed(1), digests, entries];
  console.log(`| ${[...cells, median(listMs).toFixed(0)].join(' | ')} |`);
}
await stopSharedServer();
