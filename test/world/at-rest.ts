/**
 * What must be so when everything is well again and time has passed: every member serves, nothing waits for repair, and
 * the nodes have exactly what the catalog names, on its pair and nowhere else, whole. First what keeps a world from
 * resting, then what is wrong with one that rests.
 */
import type { BlobRef } from '../../src/ddm/catalog.ts';
import { Violation } from './book.ts';
import type { SimWorld } from './sim-world.ts';

/** Ends when the world rests. @throws {Violation} when it does not in time */
export async function untilAtRest(world: SimWorld, limitMs: number): Promise<void> {
  const until = world.clock.monotonic() + limitMs;
  for (;;) {
    const left = await unrest(world);
    if (left.length === 0) return;
    if (world.clock.monotonic() > until) {
      const shown = left.slice(0, 12).join('\n  ');
      throw new Violation(
        `after ${limitMs} ms in which nothing failed:\n  ${shown}\n  (${left.length} in all)`,
      );
    }
    await world.pass(1_000);
  }
}

async function unrest(world: SimWorld): Promise<string[]> {
  const { model, nodes, topology } = world;
  const left: string[] = [];
  const { members, pairEpochs } = await model.readConditions();
  for (const [member, { state, storeId }] of members) {
    const core = nodes.get(member)?.core;
    if (state !== 'serving') left.push(`${member} is ${state}`);
    if (!core) continue;
    if (core.state !== 'serving') left.push(`${member} stands ${core.state}`);
    if (storeId !== null && storeId !== core.disk.storeId) left.push(`${member} has another disk`);
    const pair = [...topology.pairs.values()].find((other) => other.members.includes(member))!;
    if (core.disk.epoch !== pairEpochs.get(pair.id)) left.push(`${member} is at epoch ${core.disk.epoch}`);
  }
  const { queued } = await model.countRepairs();
  if (queued > 0) left.push(`${queued} repairs are queued`);
  const live = new Map((await model.listBlobs({ max: 100_000 })).map((blob) => [blob.id, blob]));
  for (const blob of live.values()) left.push(...misplaced(world, blob));
  for (const node of nodes.values())
    for (const [id, blob] of node.blobs) {
      if (!live.has(id)) left.push(`${node.member} has ${id}, which no row names (${blob.state})`);
      else if (blob.state !== 'confirmed') left.push(`${node.member} has ${id} unconfirmed`);
    }
  return left;
}

/** Both members of the pair have it, whole, and nobody else has. */
function misplaced(world: SimWorld, blob: BlobRef): string[] {
  const { nodes, topology, book } = world;
  const left: string[] = [];
  const pair = topology.pairs.get(blob.pair)!.members;
  const { offMap = [], absent = [] } = blob;
  if (offMap.length > 0 || absent.length > 0) left.push(`${blob.id}: the row says off the map`);
  for (const node of nodes.values()) {
    const stored = node.blobs.get(blob.id);
    if (!pair.includes(node.member)) {
      if (stored) left.push(`${node.member} has ${blob.id} of ${blob.pair}`);
      continue;
    }
    if (!stored) left.push(`${node.member} has no ${blob.id}`);
    else if (stored.isRotten) left.push(`${node.member} has ${blob.id} rotten`);
    else if (stored.intent.handoffFor) left.push(`${node.member} has ${blob.id} as a handoff`);
    else if (!isWhole(stored.chunks, book.bytesOf(blob.id)!))
      throw new Violation(`${node.member} keeps other bytes as ${blob.id}`);
  }
  return left;
}

function isWhole(chunks: readonly Buffer[], bytes: Buffer): boolean {
  let at = 0;
  for (const chunk of chunks) {
    if (!chunk.equals(bytes.subarray(at, at + chunk.length))) return false;
    at += chunk.length;
  }
  return at === bytes.length;
}
