/** Which center a gateway stands in: it reads from there first. Pure. */
import type { MemberId } from '../base/ids.ts';
import type { MemberConfig } from '../config.ts';
import { contains, parseAddress, parseSubnet } from '../twin/address.ts';
import type { Member, Topology } from '../twin/topology.ts';

/** As the file says; else by the listed member's address, else by the address that it listens on; null: outside of both. */
export function gatewayCenter(config: MemberConfig, topology: Topology): string | null {
  const listed = config.cluster.members.find((m) => m.id === config.member && m.kind === 'gateway');
  const named = config.gateway?.center ?? listed?.center;
  if (named != null) return named;
  return centerOf(topology, listed?.address ?? '') ?? centerOf(topology, config.gateway?.listen.host ?? '');
}

/** The center whose subnet an address lies in. */
function centerOf({ centers }: Topology, address: string): string | null {
  const where = parseAddress(address);
  if (!where) return null;
  const holds = (text: string): boolean => {
    const subnet = parseSubnet(text);
    return subnet !== null && contains(subnet, where);
  };
  return centers.find(({ subnets }) => subnets.some(holds))?.name ?? null;
}

/** For `status`: every gateway in its center, and this one, whose port is known by now. */
export function placeGateways(
  topology: Topology,
  id: MemberId,
  at: { readonly center: string | null; readonly address: string; readonly port: number },
): void {
  const members = topology.members as Map<MemberId, Member>;
  for (const m of [...members.values()].filter(({ kind }) => kind === 'gateway'))
    members.set(m.id, { ...m, center: m.center ?? centerOf(topology, m.address) });
  const address = members.get(id)?.address ?? at.address;
  members.set(id, { ...at, id, kind: 'gateway', address, twin: null });
}
