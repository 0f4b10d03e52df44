/**
 * A write whose pair has changed its condition before the commit: what was written is made to satisfy the conditions
 * as they are now, and the commit may be tried again under their epoch. Nothing is taken away from the nodes.
 *
 * A holder that does not serve any more counts as absent: a handoff node copies the blob from one that does.
 */
import type { MemberId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { BlobRef, Durability } from '../ddm/catalog.ts';
import { NodeError } from '../nodes/protocol.ts';
import type { Pair } from '../twin/topology.ts';
import { BytesUnavailable, type WrittenBlob } from './dosm.ts';
import { Guard } from './guard.ts';
import { type CopyDeps, copyToHandoff } from './handoff-copy.ts';

export async function reaffirm(
  deps: CopyDeps,
  written: WrittenBlob,
  durability: Durability = 'two-copies',
): Promise<WrittenBlob> {
  const { view, clock, tuning } = deps;
  const pair = view.pair(written.blob.pair);
  if (!pair) throw new BytesUnavailable(`pair ${written.blob.pair} is gone`);
  // Whatever is known here, the commit knew better.
  await view.reload();
  const guard = new Guard({
    clock,
    deadlineMs: LIMITS.requestMsMax,
    late: () => new BytesUnavailable('the write could not be reaffirmed in time'),
  });
  let now = written;
  try {
    for (let round = 0; round < tuning.replansMax; round += 1) {
      const epoch = view.epochOf(pair.id);
      now = { ...(await satisfy(deps, guard, { pair, written: now, durability })), epoch };
      if (view.epochOf(pair.id) === epoch) return now;
    }
  } catch (error) {
    if (error instanceof NodeError) throw new BytesUnavailable(error.message, { cause: error });
    throw error;
  } finally {
    guard.close();
  }
  throw new BytesUnavailable(`the condition of ${pair.id} does not settle`);
}

interface Satisfy {
  readonly pair: Pair;
  readonly written: WrittenBlob;
  readonly durability: Durability;
}

async function satisfy(deps: CopyDeps, guard: Guard, input: Satisfy): Promise<WrittenBlob> {
  const { view } = deps;
  const { pair, written, durability } = input;
  const { blob, lagging = [] } = written;
  const stands = standIns(blob);
  const holds = (home: MemberId) => !lagging.includes(home) && !stands.has(home);
  const survivors = [
    ...pair.members.filter((home) => holds(home) && view.isServing(home)),
    ...[...stands.values()].filter((node) => view.isServing(node)),
  ];
  if (survivors.length === 0) throw new BytesUnavailable(`nobody who serves has ${blob.id}`);
  const out = pair.members.filter((home) => !view.isServing(home));
  if (durability === 'both-centers' && out.length > 0)
    throw new BytesUnavailable(`${out.join(' and ')} cannot take a copy, and no handoff may stand in`);
  if (durability === 'one') {
    const behind = pair.members.filter((home) => lagging.includes(home) || out.includes(home));
    return { ...written, ...(behind.length > 0 && { lagging: behind }) };
  }
  const missing = pair.members.filter((home) => {
    const node = stands.get(home);
    return node === undefined ? !view.isServing(home) : !view.isServing(node);
  });
  if (missing.length === 0) return written;
  const source = await guard.race(view.client(survivors[0]!).stat(blob.id));
  if (!source) throw new BytesUnavailable(`${survivors[0]} does not have ${blob.id} any more`);
  for (const absent of missing) {
    const except = new Set([...pair.members, ...stands.values()]);
    const node = await copyToHandoff(deps, {
      ...{ blob, pair, intent: source.intent, absent, survivors, except, signal: guard.signal },
    });
    stands.set(absent, node);
  }
  const { offMap: _off, absent: _absent, ...plain } = blob;
  return {
    ...written,
    blob: { ...plain, offMap: [...stands.values()], absent: [...stands.keys()] },
  };
}

/** Who stands for whom: blob.offMap[i] for blob.absent[i]. */
function standIns(blob: BlobRef): Map<MemberId, MemberId> {
  const { offMap = [], absent = [] } = blob;
  return new Map(absent.map((home, index) => [home, offMap[index]!] as const));
}
