/** Values of conditions that are more than text: points in time and blocks of addresses. */
import ipaddr from 'ipaddr.js';

const ISO = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2}))?$/;

/** ISO 8601, or seconds since the epoch; ms since the epoch, null for anything else. */
export function readTime(text: string): number | null {
  if (/^-?\d{1,15}(?:\.\d+)?$/.test(text) && !/^\d{4}$/.test(text)) return Number(text) * 1000;
  if (/^\d{4}$/.test(text)) return Date.UTC(Number(text));
  const time = ISO.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? null : time;
}

export type Address = ipaddr.IPv4 | ipaddr.IPv6;
export type Block = readonly [Address, number];

export function readAddress(text: string): Address | null {
  return ipaddr.isValid(text) && (text.includes(':') || ipaddr.IPv4.isValidFourPartDecimal(text))
    ? ipaddr.process(text)
    : null;
}

/** An address, or a block in CIDR form. */
export function readBlock(text: string): Block | null {
  const slash = text.indexOf('/');
  const address = readAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return null;
  const bitsMax = address.kind() === 'ipv4' ? 32 : 128;
  if (slash < 0) return [address, bitsMax];
  const bits = text.slice(slash + 1);
  return /^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax ? [address, Number(bits)] : null;
}

export function isInBlock(address: Address, [base, bits]: Block): boolean {
  if (address.kind() !== base.kind()) return false;
  return address.kind() === 'ipv4'
    ? (address as ipaddr.IPv4).match(base as ipaddr.IPv4, bits)
    : (address as ipaddr.IPv6).match(base as ipaddr.IPv6, bits);
}
