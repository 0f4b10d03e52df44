/** Which center a gateway stands in: it reads from there first. Pure. */
import type { MemberConfig } from '../config.ts';
import { contains, parseAddress, parseSubnet } from '../twin/address.ts';
import type { Topology } from '../twin/topology.ts';

/** As the file says; else by the listed member's address, else by the address that it listens on; null: outside of both. */
export function gatewayCenter(config: MemberConfig, topology: Topology): string | null {
  const listed = config.cluster.members.find((m) => m.id === config.member && m.kind === 'gateway');
  const named = config.gateway?.center ?? listed?.center;
  if (named != null) return named;
  for (const address of [listed?.address, config.gateway?.listen.host]) {
    const where = address === undefined ? null : parseAddress(address);
    if (!where) continue;
    const center = topology.centers.find(({ subnets }) =>
      subnets.some((text) => {
        const subnet = parseSubnet(text);
        return subnet !== null && contains(subnet, where);
      }),
    );
    if (center) return center.name;
  }
  return null;
}
