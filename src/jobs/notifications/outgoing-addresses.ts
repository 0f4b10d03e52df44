/**
 * Which addresses a request that users cause may go to: no loopback, link-local or other special address, and none of the
 * cluster's own, unless the operator allows it. Pure.
 */
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
export type Network = readonly [Address, number];

export interface OutgoingRules {
  /** The centers' subnets, members and gateways: they trust requests from near by more than they should. */
  readonly cluster: readonly Network[];
  readonly allowed: readonly Network[];
}

/** `10.0.0.0/8`, or one address. @throws {Error} when it is neither */
export function networkOf(text: string): Network {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

const NAMES: Readonly<Record<string, string>> = {
  unspecified: 'an address of this machine',
  loopback: 'a loopback address',
  linkLocal: 'a link-local address',
  multicast: 'a multicast address',
  broadcast: 'a broadcast address',
  reserved: 'a reserved address',
};
/** Where clouds answer with credentials, beside 169.254.169.254. */
const METADATA = ipaddr.parseCIDR('fd00:ec2::/32');

/** null: it may be connected to. */
export function problemOfAddress(text: string, { cluster, allowed }: OutgoingRules): string | null {
  if (!ipaddr.isValid(text)) return `${text} is no address`;
  const address = embedded(ipaddr.process(text));
  if (allowed.some((network) => isIn(address, network))) return null;
  const name = NAMES[address.range()];
  const what = name ?? (isIn(address, METADATA) ? 'an address of instance metadata' : null);
  if (what !== null) return `${text} is ${what}: the operator has not allowed it`;
  if (cluster.some((network) => isIn(address, network)))
    return `${text} is an address of the cluster: the operator has not allowed it`;
  return null;
}

/** IPv4 inside IPv6 is judged as what it leads to. */
function embedded(address: Address): Address {
  if (address.kind() === 'ipv4') return address;
  const bytes = address.toByteArray();
  const range = address.range();
  if (range === 'rfc6052' || range === 'rfc6145') return new ipaddr.IPv4(bytes.slice(12));
  if (range === '6to4') return new ipaddr.IPv4(bytes.slice(2, 6));
  // ::a.b.c.d, which some systems still route.
  if (bytes.slice(0, 12).every((byte) => byte === 0) && range === 'unicast')
    return new ipaddr.IPv4(bytes.slice(12));
  return address;
}

const isIn = (address: Address, [base, bits]: Network): boolean =>
  address.kind() === base.kind() && (address as ipaddr.IPv4).match(base as ipaddr.IPv4, bits);
