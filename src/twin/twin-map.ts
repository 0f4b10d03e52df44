/**
 * The twin map: the twin of an address has the other subnet's prefix and the same host part.
 * Pure; its own inverse; a bijection between the two subnets (of equal family and prefix length, not overlapping).
 */
import { type Address, contains, hostPart, overlap, type Subnet } from './address.ts';

export type SubnetPair = readonly [Subnet, Subnet];

/** Why two subnets cannot be each other's twin, or null when they can. */
export function subnetPairProblem([a, b]: SubnetPair): string | null {
  if (a.family !== b.family) return 'one subnet is IPv4 and the other IPv6; give both of one family';
  if (a.prefix !== b.prefix)
    return `the prefix lengths /${a.prefix} and /${b.prefix} are unequal; give both subnets the same`;
  if (overlap(a, b)) return 'the two subnets overlap; give two that do not';
  return null;
}

/** The twin's address, or null when `address` is in neither subnet. */
export function twinAddress([a, b]: SubnetPair, address: Address): Address | null {
  if (contains(a, address)) return { family: b.family, value: b.base | hostPart(a, address) };
  if (contains(b, address)) return { family: a.family, value: a.base | hostPart(b, address) };
  return null;
}
