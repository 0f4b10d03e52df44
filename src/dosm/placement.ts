/**
 * Where a new blob goes: weighted rendezvous hashing over pairs. Everyone who knows the pairs and the placement
 * computes the same order; adding or removing a pair moves only what that pair takes or had.
 *
 * score(pair) = -ln(u) / weight, the lowest first, where u = (n + ½) / 2^52 and n is the first 52 bits of
 * SHA-256(pair id, NUL, placement text). This is part of the stored format: a change would hide name records
 * from a computed search. A pair of weight 0 (draining) takes nothing new.
 */
import { hash } from 'node:crypto';
import type { PairId } from '../base/ids.ts';
import type { WriteRequest } from './dosm.ts';

export type Placement = WriteRequest['placement'];

/** Unambiguous: neither bucket names nor upload ids contain NUL, and the key comes last. */
export function placementText(placement: Placement): string {
  return placement.kind === 'object'
    ? `object\0${placement.bucket}\0${placement.key}`
    : `part\0${placement.uploadId}\0${placement.partNumber}`;
}

/** Uniform in (0, 1). */
export function unitHash(pair: PairId, text: string): number {
  const digest = hash('sha256', `${pair}\0${text}`, 'buffer');
  const first52Bits = digest.readUIntBE(0, 6) * 16 + (digest[6]! >> 4);
  return (first52Bits + 0.5) / 2 ** 52;
}

/** All pairs that take new blobs, the best first; ties (there are practically none) by id. */
export function rankPairs(
  pairs: Iterable<{ readonly id: PairId; readonly weight: number }>,
  placement: Placement,
): readonly PairId[] {
  const text = placementText(placement);
  const scored: { id: PairId; score: number }[] = [];
  for (const { id, weight } of pairs) {
    if (weight > 0) scored.push({ id, score: -Math.log(unitHash(id, text)) / weight });
  }
  scored.sort((a, b) => a.score - b.score || (a.id < b.id ? -1 : 1));
  return scored.map(({ id }) => id);
}
