/**
 * Pairs by the rule: the twin's address is the other subnet with the same host part. Refuses subnets that
 * cannot be twins, members outside them, two members where one host part can stand, and members without a twin.
 */
import type { MemberId } from '../base/ids.ts';
import {
  type Address,
  contains,
  formatAddress,
  formatSubnet,
  hasHostBits,
  hostPart,
  hostText,
  isHostAddress,
  networkOf,
  parseAddress,
  parseSubnet,
  type Subnet,
} from './address.ts';
import type { Placed, PlacedPair } from './placed.ts';
import { type ConfigPath, type MemberConfig, type TopologyConfig, TopologyError } from './topology-config.ts';
import { type SubnetPair, subnetPairProblem, twinAddress } from './twin-map.ts';

interface Seat extends Placed {
  readonly where: Address;
  readonly subnetIndex: 0 | 1;
}

export function buildRulePairs(config: TopologyConfig): PlacedPair[] {
  const subnets = readSubnets(config);
  const seats = new Map<string, Seat>();
  config.members.forEach((member, index) => {
    if (member.kind === 'gateway') return;
    const seat = takeSeat(config, subnets, member, ['members', index]);
    const key = seatKey(member.kind, seat.where);
    if (seats.has(key)) {
      throw new TopologyError(
        [...seat.path, 'address'],
        `${seat.address} is already a ${member.kind}: two ${member.kind}s collide in one host part; give one of them, and its twin, another`,
      );
    }
    seats.set(key, seat);
  });

  const pairs: PlacedPair[] = [];
  for (const seat of seats.values()) {
    const twinsAddress = twinAddress(subnets, seat.where)!;
    const twin = seats.get(seatKey(seat.config.kind, twinsAddress));
    if (!twin) {
      throw new TopologyError(
        seat.path,
        `${seat.config.kind} ${seat.address} has no twin: there is no ${seat.config.kind} ${formatAddress(twinsAddress)}; add it, or remove this one`,
      );
    }
    if (seat.subnetIndex !== 0) continue;
    const host = hostPart(subnets[0], seat.where);
    pairs.push({ name: hostText(seat.where.family, host), members: [seat, twin] });
  }
  return pairs;
}

const seatKey = (kind: string, address: Address): string => `${kind} ${address.family} ${address.value}`;

function readSubnets(config: TopologyConfig): SubnetPair {
  const perCenter = config.centers.length === 1 ? 2 : 1;
  const found: { subnet: Subnet; path: ConfigPath }[] = [];
  config.centers.forEach((center, index) => {
    const path: ConfigPath = ['centers', index, 'subnets'];
    if (center.subnets.length !== perCenter) {
      throw new TopologyError(
        path,
        `${perCenter === 2 ? 'the only center needs two subnets' : 'each of two centers needs one subnet'}, not ${center.subnets.length}`,
      );
    }
    center.subnets.forEach((text, at) => {
      found.push({ subnet: readSubnet(text, [...path, at]), path: [...path, at] });
    });
  });
  const pair: SubnetPair = [found[0]!.subnet, found[1]!.subnet];
  const problem = subnetPairProblem(pair);
  if (problem) {
    throw new TopologyError(
      found[1]!.path,
      `${formatSubnet(pair[0])} and ${formatSubnet(pair[1])}: ${problem}`,
    );
  }
  return pair;
}

function readSubnet(text: string, path: ConfigPath): Subnet {
  const subnet = parseSubnet(text);
  if (!subnet) throw new TopologyError(path, `'${text}' is not a subnet such as 10.1.0.0/24 or fd00:1::/64`);
  if (hasHostBits(subnet)) {
    throw new TopologyError(
      path,
      `'${text}' has host bits set; the subnet is ${formatSubnet(networkOf(subnet))}`,
    );
  }
  return subnet;
}

function takeSeat(config: TopologyConfig, subnets: SubnetPair, member: MemberConfig, path: ConfigPath): Seat {
  const addressPath = [...path, 'address'];
  const where = parseAddress(member.address);
  if (!where)
    throw new TopologyError(
      addressPath,
      `'${member.address}' is not an IP address; give one such as ${formatAddress({ ...subnets[0], value: subnets[0].base + 11n })}`,
    );
  const subnetIndex = contains(subnets[0], where) ? 0 : contains(subnets[1], where) ? 1 : null;
  if (subnetIndex === null) {
    throw new TopologyError(
      addressPath,
      `${member.address} is outside ${formatSubnet(subnets[0])} and ${formatSubnet(subnets[1])}; give it an address in one of them`,
    );
  }
  const subnet = subnets[subnetIndex];
  const onlyCenter = config.centers.length === 1;
  const center = config.centers[onlyCenter ? 0 : subnetIndex]!.name;
  if (member.center != null && member.center !== center) {
    throw new TopologyError(
      addressPath,
      `${member.address} is outside the subnet of center ${member.center}: it lies in that of ${center}; correct the center or the address`,
    );
  }
  if (!isHostAddress(subnet, where)) {
    throw new TopologyError(
      addressPath,
      `${member.address} is no host of ${formatSubnet(subnet)}; give it another host part`,
    );
  }
  const host = hostText(where.family, hostPart(subnet, where));
  const seatName = onlyCenter ? `${center}${subnetIndex + 1}-${host}` : `${center}${host}`;
  const id = (member.id ?? `${member.kind}-${seatName}`) as MemberId;
  return { path, config: member, id, center, address: formatAddress(where), where, subnetIndex };
}
