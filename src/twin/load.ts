/**
 * From the configured centers and members to a Topology that has been proved: every node and directory has exactly
 * one twin, by the twin map or by an explicit table. What is refused names the offending entry by its path in the
 * configuration, so that the reader of the file can name the line. Facts come from the configuration alone.
 */
import type { MemberId, PairId } from '../base/ids.ts';
import type { Placed } from './placed.ts';
import { buildRulePairs } from './rule-pairs.ts';
import { buildTablePairs } from './table-pairs.ts';
import type { Center, Member, Pair, Topology } from './topology.ts';
import { type ConfigPath, type MemberConfig, type TopologyConfig, TopologyError } from './topology-config.ts';

export { type MemberConfig, type TopologyConfig, TopologyError } from './topology-config.ts';

const NAME = /^[a-z][a-z0-9-]{0,31}$/;
const MEMBER_ID = /^[a-z0-9][a-z0-9.-]{0,62}$/;

/** @throws {TopologyError} that carries the path of the first offending entry. */
export function buildTopology(config: TopologyConfig): Topology {
  const centers = checkCenters(config);
  config.members.forEach((member, index) => {
    checkMember(member, ['members', index], centers);
  });
  const placedPairs = config.twins ? buildTablePairs(config, config.twins) : buildRulePairs(config);

  const members = new Map<MemberId, Member>();
  const taken = new Map<string, ConfigPath>();
  const add = (member: Member, path: ConfigPath) => {
    if (!MEMBER_ID.test(member.id)) throw new TopologyError(path, `'${member.id}' is not a usable member id`);
    if (members.has(member.id))
      throw new TopologyError(path, `the id ${member.id} is given to two members; rename one`);
    const socket = `${member.address} port ${member.port}`;
    if (taken.has(socket))
      throw new TopologyError(
        path,
        `${socket} is already taken by another member; give one of them another port`,
      );
    taken.set(socket, path);
    members.set(member.id, member);
  };

  const pairs = new Map<PairId, Pair>();
  for (const { name, members: twins } of placedPairs) {
    const pair = toPair(name, twins);
    if (pairs.has(pair.id))
      throw new TopologyError(twins[0].path, `the pair ${pair.id} is named twice; rename one`);
    pairs.set(pair.id, pair);
    twins.forEach((placed, index) => {
      add(toMember(placed, twins[1 - index]!), placed.path);
    });
  }
  config.members.forEach((member, index) => {
    if (member.kind === 'gateway') add(toGateway(member, index), ['members', index]);
  });
  return { centers, members, pairs };
}

function checkCenters(config: TopologyConfig): readonly Center[] {
  if (config.centers.length !== 1 && config.centers.length !== 2) {
    throw new TopologyError(['centers'], `one or two centers are needed, not ${config.centers.length}`);
  }
  const names = new Set<string>();
  return config.centers.map((center, index) => {
    const path = ['centers', index, 'name'];
    if (!NAME.test(center.name))
      throw new TopologyError(path, `'${center.name}' is not a usable center name`);
    if (names.has(center.name)) throw new TopologyError(path, `two centers are called ${center.name}`);
    names.add(center.name);
    return { name: center.name, subnets: [...center.subnets] };
  });
}

function checkMember(member: MemberConfig, path: ConfigPath, centers: readonly Center[]): void {
  if (!Number.isInteger(member.port) || member.port < 1 || member.port > 65_535) {
    throw new TopologyError([...path, 'port'], `${member.port} is not a port`);
  }
  if (member.weight !== undefined && !(Number.isFinite(member.weight) && member.weight >= 0)) {
    throw new TopologyError([...path, 'weight'], `the weight ${member.weight} is not a number of 0 or more`);
  }
  if (member.center != null && !centers.some((center) => center.name === member.center)) {
    throw new TopologyError(
      [...path, 'center'],
      `the center ${member.center} is unknown; name one of the centers`,
    );
  }
}

function toPair(name: string, [first, second]: readonly [Placed, Placed]): Pair {
  const { kind, weight } = first.config;
  if (kind === 'gateway') throw new TopologyError(first.path, 'a gateway has no twin');
  const other = second.config.weight;
  if (weight !== undefined && other !== undefined && weight !== other) {
    throw new TopologyError(
      [...second.path, 'weight'],
      `the weight ${other} differs from the ${weight} of its twin ${first.id}`,
    );
  }
  return {
    id: `${kind}/${name}` as PairId,
    kind,
    members: [first.id, second.id],
    weight: weight ?? other ?? 1,
  };
}

function toMember(placed: Placed, twin: Placed): Member {
  const { kind, port } = placed.config;
  return { id: placed.id, kind, center: placed.center, address: placed.address, port, twin: twin.id };
}

function toGateway(config: MemberConfig, index: number): Member {
  return {
    id: (config.id ?? `gateway-${index}`) as MemberId,
    kind: 'gateway',
    center: config.center ?? null,
    address: config.address,
    port: config.port,
    twin: null,
  };
}
