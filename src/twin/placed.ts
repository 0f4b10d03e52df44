/** Members on their way into a topology: located, not yet proved to be a bijection. */
import type { MemberId } from '../base/ids.ts';
import type { ConfigPath, MemberConfig } from './topology-config.ts';

/** A node or directory with its center, ready to be paired. */
export interface Placed {
  readonly path: ConfigPath;
  readonly config: MemberConfig;
  readonly id: MemberId;
  readonly center: string;
  readonly address: string;
}
/** Twins, the one of the first center (or first subnet) first. */
export interface PlacedPair {
  readonly name: string;
  readonly members: readonly [Placed, Placed];
}
