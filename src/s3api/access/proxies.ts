/**
 * What proxies say of a request's client: its address, the scheme and the host that it called. Believed only of peers that
 * the operator trusts, and only in the one family of headers that the operator named: a proxy passes the other one on
 * as the client wrote it. Pure but for the socket that is looked at.
 */
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { type PublicHost, parsePublicHost } from '../../base/public-hosts.ts';

export interface ProxyRules {
  /** Under these names clients know the store; `bucket.NAME` names a bucket. */
  readonly publicHosts: readonly PublicHost[];
  readonly isTrusted: (ip: string) => boolean;
  readonly headers: 'x-forwarded' | 'forwarded';
}

export interface ProxySettings {
  /** `s3.example.org`, `s3.example.org:8443`, `https://s3.example.org` */
  readonly publicHosts?: readonly string[];
  /** Addresses and subnets. */
  readonly trustedProxies?: readonly string[];
  readonly proxyHeaders?: ProxyRules['headers'];
}

/** What a trusted proxy said; nothing of what it did not say. */
export interface Forwarded {
  readonly ip?: string;
  readonly scheme?: 'http' | 'https';
  readonly host?: string;
  readonly port?: string;
}

const AUTHORITY = /^(?:[a-z0-9._-]{1,255}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

export function proxyRules(settings: ProxySettings = {}): ProxyRules {
  const trusted = new BlockList();
  for (const text of settings.trustedProxies ?? []) {
    const [address, prefix] = text.split('/') as [string, string | undefined];
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    if (prefix === undefined) trusted.addAddress(address, family);
    else trusted.addSubnet(address, Number(prefix), family);
  }
  const isTrusted = (ip: string): boolean => {
    const family = isIP(ip);
    return family !== 0 && trusted.check(ip, family === 4 ? 'ipv4' : 'ipv6');
  };
  return {
    publicHosts: (settings.publicHosts ?? []).map(parsePublicHost).filter((host) => host !== null),
    isTrusted,
    headers: settings.proxyHeaders ?? 'x-forwarded',
  };
}

export const NO_PROXIES: ProxyRules = { publicHosts: [], isTrusted: () => false, headers: 'x-forwarded' };

/** The public host that `host` (with or without port) is, or lies under. */
export function publicHostOf(host: string, rules: ProxyRules): PublicHost | null {
  const { name, port } = splitHost(host);
  const fits = rules.publicHosts.filter((known) => name === known.name || name.endsWith(`.${known.name}`));
  fits.sort((a, b) => b.name.length - a.name.length || Number(b.port === port) - Number(a.port === port));
  return fits[0] ?? null;
}

export function splitHost(host: string): { name: string; port?: string } {
  const [, name = '', port] = /^(.*?)(?::(\d*))?$/.exec(host.toLowerCase())!;
  return { name, ...(port !== undefined && port !== '' && { port }) };
}

/** @param peer the socket's other end @returns nothing of a peer that is not trusted */
export function forwardedBy(
  peer: string,
  req: Pick<IncomingMessage, 'headers'>,
  rules: ProxyRules,
): Forwarded {
  if (!rules.isTrusted(peer)) return {};
  return rules.headers === 'forwarded' ? fromForwarded(peer, req, rules) : fromXForwarded(peer, req, rules);
}

/**
 * Each proxy adds the address that it was called from: from the right, trusted ones are proxies, and the first other one
 * is the client. What stands left of it the client wrote.
 * @returns how many proxies that was, the peer included
 */
function clientOf(peer: string, chain: readonly (string | null)[], rules: ProxyRules) {
  let ip = peer;
  let proxies = 1;
  for (const hop of chain.toReversed()) {
    if (hop === null) break;
    ip = hop;
    if (!rules.isTrusted(hop)) break;
    proxies++;
  }
  return { ip, proxies };
}

/** Of a list to which each proxy may have added: what the outermost of them said. */
const outermost = (values: readonly string[], proxies: number): string | undefined =>
  values[Math.max(0, values.length - proxies)];

function fromXForwarded(peer: string, req: Pick<IncomingMessage, 'headers'>, rules: ProxyRules): Forwarded {
  const chain = listed(req.headers['x-forwarded-for']).map(addressOf);
  const { ip, proxies } = clientOf(peer, chain, rules);
  const said = (name: string) => outermost(listed(req.headers[name]), proxies);
  return checked({
    ip,
    scheme: said('x-forwarded-proto'),
    host: said('x-forwarded-host'),
    port: said('x-forwarded-port'),
  });
}

/** RFC 7239. */
function fromForwarded(peer: string, req: Pick<IncomingMessage, 'headers'>, rules: ProxyRules): Forwarded {
  const elements = splitQuoted(String(req.headers.forwarded ?? ''), ',').map(pairsOf);
  const chain = elements.map((element) => addressOf(element.get('for') ?? ''));
  const { ip, proxies } = clientOf(peer, chain, rules);
  const element = elements[Math.max(0, elements.length - proxies)];
  return checked({ ip, scheme: element?.get('proto'), host: element?.get('host'), port: undefined });
}

function checked(o: Record<'ip' | 'scheme' | 'host' | 'port', string | undefined>): Forwarded {
  const scheme = o.scheme?.toLowerCase();
  return {
    ...(o.ip !== undefined && { ip: o.ip }),
    ...((scheme === 'http' || scheme === 'https') && { scheme }),
    ...(o.host !== undefined && AUTHORITY.test(o.host) && { host: o.host }),
    ...(o.port !== undefined && /^\d{1,5}$/.test(o.port) && { port: o.port }),
  };
}

const HOPS_MAX = 50;

/** The last ones: those on the left are not the proxies'. */
function listed(value: string | string[] | undefined): string[] {
  const text = Array.isArray(value) ? value.join(',') : (value ?? '');
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .slice(-HOPS_MAX);
}

/** `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80`; null for `unknown` and the like. */
function addressOf(text: string): string | null {
  const [, bracketed, plain] = /^(?:\[([0-9a-f:.]+)\](?::\d+)?|([\d.]+):\d+)$/i.exec(text) ?? [];
  return plainAddress(bracketed ?? plain ?? text);
}

/** IPv4 in its own form. null when it is no address. */
export function plainAddress(text: string): string | null {
  const address = text.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  return isIP(address) === 0 ? null : address;
}

function pairsOf(element: string): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>();
  for (const part of splitQuoted(element, ';')) {
    const equals = part.indexOf('=');
    if (equals <= 0) continue;
    const value = part.slice(equals + 1).trim();
    const quoted = /^"(.*)"$/.exec(value)?.[1]?.replace(/\\(.)/g, '$1');
    pairs.set(part.slice(0, equals).trim().toLowerCase(), quoted ?? value);
  }
  return pairs;
}

/** Splits where `separator` stands outside of a quoted string. */
function splitQuoted(text: string, separator: string): string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (character === '"') quoted = !quoted;
    if (character === '\\' && quoted) part += character + (text[++i] ?? '');
    else if (character === separator && !quoted) {
      parts.push(part.trim());
      part = '';
    } else part += character;
  }
  return [...parts, part.trim()].filter((p) => p !== '').slice(-HOPS_MAX);
}
