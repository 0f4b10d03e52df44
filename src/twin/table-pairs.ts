/**
 * Pairs by an explicit table, for places where addresses cannot be chosen. The table must be a bijection without
 * fixed points: every node and directory stands in exactly one row, with another member of its kind and, where
 * there are two centers, of the other center.
 */
import type { MemberId } from '../base/ids.ts';
import { formatAddress, parseAddress } from './address.ts';
import type { Placed, PlacedPair } from './placed.ts';
import { type ConfigPath, type TopologyConfig, TopologyError, type TwinConfig } from './topology-config.ts';

const PAIR_NAME = /^[a-z0-9][a-z0-9.-]{0,31}$/;

export function buildTablePairs(config: TopologyConfig, table: readonly TwinConfig[]): PlacedPair[] {
  const members = readMembers(config);
  const seen = new Set<string>();
  const pairs = table.map((row, index): PlacedPair => {
    const path: ConfigPath = ['twins', index];
    if (!PAIR_NAME.test(row.name)) {
      throw new TopologyError([...path, 'name'], `'${row.name}' is not a usable pair name`);
    }
    const twins = row.members.map((id, at) => {
      const memberPath = [...path, 'members', at];
      const placed = members.get(id);
      if (!placed)
        throw new TopologyError(memberPath, `there is no node or directory ${id}; name one of the members`);
      if (seen.has(id)) throw new TopologyError(memberPath, `${id} has two twins; let it stand in one row`);
      seen.add(id);
      return placed;
    });
    return { name: row.name, members: orderTwins(config, twins[0]!, twins[1]!, path) };
  });
  for (const placed of members.values()) {
    if (!seen.has(placed.id))
      throw new TopologyError(
        placed.path,
        `${placed.id} has no twin in the table; add a row for it, or remove it`,
      );
  }
  return pairs;
}

function readMembers(config: TopologyConfig): Map<string, Placed> {
  const members = new Map<string, Placed>();
  config.members.forEach((member, index) => {
    const path: ConfigPath = ['members', index];
    if (member.kind === 'gateway') return;
    if (member.id === undefined) {
      throw new TopologyError(path, 'a member needs an id where twins are a table');
    }
    if (member.center == null) {
      throw new TopologyError(path, `${member.id} needs a center where twins are a table`);
    }
    if (members.has(member.id)) {
      throw new TopologyError([...path, 'id'], `the id ${member.id} is given to two members; rename one`);
    }
    const where = parseAddress(member.address);
    if (!where) throw new TopologyError([...path, 'address'], `'${member.address}' is not an IP address`);
    const { center } = member;
    members.set(member.id, {
      path,
      config: member,
      id: member.id as MemberId,
      center,
      address: formatAddress(where),
    });
  });
  return members;
}

function orderTwins(
  config: TopologyConfig,
  first: Placed,
  second: Placed,
  path: ConfigPath,
): readonly [Placed, Placed] {
  if (first.config.kind !== second.config.kind) {
    throw new TopologyError(
      path,
      `${first.id} is a ${first.config.kind} and ${second.id} a ${second.config.kind}`,
    );
  }
  if (config.centers.length === 1) return [first, second];
  if (first.center === second.center) {
    throw new TopologyError(
      path,
      `${first.id} and ${second.id} are both in center ${first.center}; a twin is in the other one`,
    );
  }
  return first.center === config.centers[0]!.name ? [first, second] : [second, first];
}
