/**
 * IP addresses and subnets as numbers, so that "the other subnet, the same host part" is arithmetic.
 * Accepts only the strict textual forms (no octal octets, no zone ids, no IPv4 inside IPv6).
 */
import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

export type Family = 4 | 6;

export interface Address {
  readonly family: Family;
  readonly value: bigint;
}
export interface Subnet {
  readonly family: Family;
  readonly base: bigint;
  /** Bits of the subnet part, 0 … 32 or 128. */
  readonly prefix: number;
}

export const addressBits = (family: Family): number => (family === 4 ? 32 : 128);
const hostMask = (subnet: Subnet): bigint => (1n << BigInt(addressBits(subnet.family) - subnet.prefix)) - 1n;

/** null when `text` is not a plain IPv4 or IPv6 address. */
export function parseAddress(text: string): Address | null {
  const family = isIPv4(text) ? 4 : isIPv6(text) && !text.includes('%') ? 6 : null;
  if (family === null) return null;
  const parsed = ipaddr.parse(text);
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress()) return null;
  const value = parsed.toByteArray().reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return { family, value };
}

/** The canonical text: RFC 5952 for IPv6. */
export function formatAddress(address: Address): string {
  const bytes: number[] = [];
  for (let shift = addressBits(address.family) - 8; shift >= 0; shift -= 8) {
    bytes.push(Number((address.value >> BigInt(shift)) & 0xffn));
  }
  return ipaddr.fromByteArray(bytes).toString();
}

/** null when `text` is not `address/prefix`. Host bits are kept in `base`: see {@link hasHostBits}. */
export function parseSubnet(text: string): Subnet | null {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = match && parseAddress(match[1]!);
  if (!match || !address) return null;
  const prefix = Number(match[2]);
  if (prefix > addressBits(address.family)) return null;
  return { family: address.family, base: address.value, prefix };
}

export const hasHostBits = (subnet: Subnet): boolean => (subnet.base & hostMask(subnet)) !== 0n;

/** The subnet with its host bits cleared. */
export const networkOf = (subnet: Subnet): Subnet => ({ ...subnet, base: subnet.base & ~hostMask(subnet) });

export const formatSubnet = (subnet: Subnet): string =>
  `${formatAddress({ family: subnet.family, value: subnet.base })}/${subnet.prefix}`;

export const contains = (subnet: Subnet, address: Address): boolean =>
  subnet.family === address.family && (address.value & ~hostMask(subnet)) === subnet.base;

export const overlap = (a: Subnet, b: Subnet): boolean =>
  contains(a, { family: b.family, value: b.base }) || contains(b, { family: a.family, value: a.base });

export const hostPart = (subnet: Subnet, address: Address): bigint => address.value & hostMask(subnet);

/** False for the network's own address and, in IPv4, for the broadcast address. */
export function isHostAddress(subnet: Subnet, address: Address): boolean {
  const hostBits = addressBits(subnet.family) - subnet.prefix;
  if (hostBits <= 1) return true;
  const host = hostPart(subnet, address);
  return host !== 0n && !(subnet.family === 4 && host === hostMask(subnet));
}

/** Short and unique within a family: `11`, `1.11` (IPv4 octets), `a0f.11` (IPv6 groups); leading zeros dropped. */
export function hostText(family: Family, host: bigint): string {
  const [groupBits, radix] = family === 4 ? [8n, 10] : [16n, 16];
  const groups: string[] = [];
  for (let rest = host; rest > 0n; rest >>= groupBits) {
    groups.unshift((rest & ((1n << groupBits) - 1n)).toString(radix));
  }
  return groups.join('.') || '0';
}

/** 224.0.0.0/4 or ff00::/8. */
export function isMulticast(text: string): boolean {
  const address = parseAddress(text);
  if (!address) return false;
  const bits = BigInt(addressBits(address.family));
  return address.family === 4
    ? address.value >> (bits - 4n) === 0xen
    : address.value >> (bits - 8n) === 0xffn;
}
