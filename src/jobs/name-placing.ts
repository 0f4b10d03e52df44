/** On which pairs records of names lie, and how many of them travel at once. */
import type { PairId } from '../base/ids.ts';
import { rankPairs } from '../dosm/placement.ts';
import { NAMES_BYTES_MAX, type NameRecord } from '../nodes/names-protocol.ts';
import type { Topology } from '../twin/topology.ts';

/** A record, and the key that it is placed by; null: on every node. */
export type Placed = NameRecord & { readonly at: { readonly bucket: string; readonly key: string } | null };

export const nodePairs = ({ pairs }: Pick<Topology, 'pairs'>) =>
  [...pairs.values()].filter((pair) => pair.kind === 'node');
/** Where it changes, records have to lie elsewhere. */
export const layoutOf = (topology: Pick<Topology, 'pairs'>): string =>
  nodePairs(topology)
    .map(({ id, weight }) => `${id}=${weight}`)
    .sort()
    .join(' ');

/** The pair that is the record's; where all drain, the first of them. */
export function placedOn(
  topology: Pick<Topology, 'pairs'>,
  { bucket, key }: { bucket: string; key: string },
): PairId[] {
  const pairs = nodePairs(topology);
  const [best] = rankPairs(pairs, { kind: 'object', bucket, key });
  return [best ?? pairs[0]!.id];
}

/** Requests of about NAMES_BYTES_MAX. */
export function* inPieces(records: readonly Placed[]): Generator<NameRecord[]> {
  let piece: NameRecord[] = [];
  let bytes = 0;
  for (const { at: _, ...record } of records) {
    if (piece.length > 0 && bytes + record.body.length > NAMES_BYTES_MAX) {
      yield piece;
      piece = [];
      bytes = 0;
    }
    piece.push(record);
    bytes += record.body.length;
  }
  if (piece.length > 0) yield piece;
}
