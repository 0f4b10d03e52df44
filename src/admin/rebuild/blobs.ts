/** What lies on the nodes against the rows of the catalog: where blobs really are, and which nobody names. */
import type { BlobId, MemberId, PairId } from '../../base/ids.ts';
import type { Catalog } from '../../ddm/catalog.ts';
import type { RebuildCatalog } from '../../ddm/rebuild.ts';
import type { InventoryEntry, NodeClient } from '../../nodes/protocol.ts';
import type { Topology } from '../../twin/topology.ts';
import type { RebuildLine } from './report.ts';

export interface BlobsDeps {
  readonly catalog: Pick<Catalog, 'findBlobs' | 'knownBlobs' | 'recordOffMap'> &
    Pick<RebuildCatalog, 'restorePairs'>;
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly topology: Pick<Topology, 'pairs'>;
}
interface Held {
  readonly entry: InventoryEntry;
  readonly members: MemberId[];
}

/** Ids are listed by ranges of one byte on all nodes, so that what is held is a 256th of everything. */
const RANGES = 256;
const PAGE = 1_000;
const ASKED_AT_ONCE = 1_000;

async function heldIn(
  { clients }: BlobsDeps,
  prefix: string,
  onUnheard: (member: MemberId, error: unknown) => void,
): Promise<Map<BlobId, Held>> {
  const held = new Map<BlobId, Held>();
  const list = async (member: MemberId, client: NodeClient) => {
    for (let after: { after?: BlobId } = {}; ; ) {
      const page = await client.inventory({ max: PAGE, prefix, ...after });
      for (const entry of page) {
        const known = held.get(entry.id);
        if (known) known.members.push(member);
        else held.set(entry.id, { entry, members: [member] });
      }
      if (page.length < PAGE) return;
      after = { after: page.at(-1)!.id };
    }
  };
  await Promise.all(
    [...clients].map(([member, client]) => list(member, client).catch((error) => onUnheard(member, error))),
  );
  return held;
}

/** `mend`: rows are brought to where the bytes are. Yields what no row names. */
export async function* compareBlobs(
  deps: BlobsDeps,
  o: { mend: boolean; signal: AbortSignal; onUnheard: (member: MemberId, error: unknown) => void },
): AsyncGenerator<RebuildLine, void> {
  for (let range = 0; range < RANGES; range += 1) {
    o.signal.throwIfAborted();
    const held = await heldIn(deps, range.toString(16).padStart(2, '0'), o.onUnheard);
    const ids = [...held.keys()];
    for (let at = 0; at < ids.length; at += ASKED_AT_ONCE) {
      const asked = ids.slice(at, at + ASKED_AT_ONCE);
      const known = await deps.catalog.knownBlobs(asked);
      if (o.mend) await mend(deps, held, [...known]);
      for (const id of asked) if (!known.has(id)) yield unconfirmed(held.get(id)!);
    }
    yield { type: 'progress', phase: 'blobs', done: range + 1 };
  }
}

/** Blobs were moved since their versions were told: the pair that has more of its two replicas has them. */
async function mend(
  { catalog, topology }: BlobsDeps,
  held: ReadonlyMap<BlobId, Held>,
  ids: readonly BlobId[],
) {
  const pairs = [...topology.pairs.values()].filter((pair) => pair.kind === 'node');
  const moves: { id: BlobId; pair: PairId }[] = [];
  const strays: { id: BlobId; member: MemberId }[] = [];
  for (const row of await catalog.findBlobs(ids)) {
    const { members } = held.get(row.id)!;
    const countOn = (pair: PairId) =>
      topology.pairs.get(pair)?.members.filter((m) => members.includes(m)).length ?? 0;
    let home = row.pair;
    for (const { id } of pairs) if (countOn(id) > countOn(home)) home = id;
    if (home !== row.pair) moves.push({ id: row.id, pair: home });
    const own: readonly MemberId[] = topology.pairs.get(home)?.members ?? [];
    for (const member of members) if (!own.includes(member)) strays.push({ id: row.id, member });
  }
  await catalog.restorePairs(moves);
  for (const { id, member } of strays) await catalog.recordOffMap(id, member);
}

function unconfirmed({ entry, members }: Held): RebuildLine {
  const { id, size, state, intent } = entry;
  const { bucket, key, uploadId, partNumber } = intent;
  return {
    ...{ type: 'unconfirmed', blob: id, size, state, bucket, key, members },
    ...(uploadId === undefined ? {} : { uploadId }),
    ...(partNumber === undefined ? {} : { partNumber }),
  };
}
