/**
 * Centers, members and pairs. Knows nothing of blobs or SQL.
 */
import type { MemberId, PairId } from '../base/ids.ts';

export type MemberKind = 'gateway' | 'node' | 'directory';

export interface Center {
  readonly name: string;
  /** One subnet, or two when this is the only center. CIDR text. */
  readonly subnets: readonly string[];
}
export interface Member {
  readonly id: MemberId;
  readonly kind: MemberKind;
  /** null for a gateway outside the centers. */
  readonly center: string | null;
  readonly address: string;
  readonly port: number;
  /** null for gateways. */
  readonly twin: MemberId | null;
}
export interface Pair {
  readonly id: PairId;
  readonly kind: 'node' | 'directory';
  /** The member in the first center (or first subnet), and its twin. */
  readonly members: readonly [MemberId, MemberId];
  /** Relative share of new objects; 0 takes none (draining). */
  readonly weight: number;
}
export interface Topology {
  readonly centers: readonly Center[];
  readonly members: ReadonlyMap<MemberId, Member>;
  readonly pairs: ReadonlyMap<PairId, Pair>;
}
