/** What buildTopology takes (the `topology` part of a configuration, already of the right shape) and how it refuses. */
import type { MemberKind } from './topology.ts';

export interface MemberConfig {
  readonly kind: MemberKind;
  /** Default: kind, center and host part, e.g. `node-a11`. Needed with an explicit twin table. */
  readonly id?: string;
  readonly address: string;
  readonly port: number;
  /** Default: the center whose subnet holds the address. Needed with an explicit twin table. */
  readonly center?: string | null;
  /** Relative share of new objects, of the pair; given on either member or on both alike. Default 1. */
  readonly weight?: number;
}
/** One row of the explicit table: `name` is the pair's (`11` makes `node/11`). */
export interface TwinConfig {
  readonly name: string;
  readonly members: readonly [string, string];
}
export interface TopologyConfig {
  /** Two centers of one subnet each, or one center with two. */
  readonly centers: readonly { readonly name: string; readonly subnets: readonly string[] }[];
  readonly members: readonly MemberConfig[];
  /** Replaces the rule where addresses cannot be chosen; subnets are then not looked at. */
  readonly twins?: readonly TwinConfig[];
}

export type ConfigPath = readonly (string | number)[];

/** The topology is refused. `path` leads to the offending entry, e.g. `['members', 3, 'address']`. */
export class TopologyError extends Error {
  override readonly name = 'TopologyError';
  readonly path: ConfigPath;
  constructor(path: ConfigPath, problem: string) {
    super(`${formatPath(path)}: ${problem}`);
    this.path = path;
  }
}

const formatPath = (path: ConfigPath): string =>
  path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : text ? `${text}.${step}` : step),
    '',
  );
