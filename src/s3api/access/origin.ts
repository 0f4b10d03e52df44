/**
 * Where a request came from, and under which name it called this store: for conditions (aws:SourceIp, aws:SecureTransport,
 * s3:TlsVersion), for records of changes, for the addresses that answers name, and for the signature's Host.
 */
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { PublicHost } from '../../base/public-hosts.ts';
import {
  type Forwarded,
  forwardedBy,
  NO_PROXIES,
  type ProxyRules,
  plainAddress,
  publicHostOf,
  splitHost,
} from './proxies.ts';

export interface RequestOrigin {
  /** The client's address; IPv4 in its own form. '' when the socket is gone already. */
  readonly ip: string;
  /** Whether the client used TLS, towards this gateway or towards a proxy that is trusted. */
  readonly secure: boolean;
  /** `1.2`, `1.3`; absent without TLS, and where a proxy ended it. */
  readonly tlsVersion?: string;
  /** The address of this store as the client calls it: `https`, `s3.example.org:8443`. The host is '' where there is none. */
  readonly scheme: 'http' | 'https';
  readonly host: string;
  /** What else the client may have called it; see SignedRequest.hosts. */
  readonly hosts: readonly string[];
}

const DEFAULT_PORTS = { http: '80', https: '443' } as const;
const HOSTS_MAX = 12;

export function originOf(req: IncomingMessage, rules: ProxyRules = NO_PROXIES): RequestOrigin {
  const { socket } = req;
  const peer = plainAddress(socket.remoteAddress ?? '') ?? '';
  const said = forwardedBy(peer, req, rules);
  const tls = socket instanceof TLSSocket ? socket : null;
  const called = addressOf(req.headers.host ?? '', said, tls !== null, rules.isTrusted(peer), rules);
  const version =
    said.scheme === undefined ? /^TLSv(\d+(?:\.\d+)?)$/.exec(tls?.getProtocol() ?? '')?.[1] : undefined;
  return {
    ip: said.ip ?? peer,
    secure: said.scheme === undefined ? tls !== null : said.scheme === 'https',
    ...(version !== undefined && { tlsVersion: version === '1' ? '1.0' : version }),
    ...called,
  };
}

function addressOf(
  received: string,
  said: Forwarded,
  isTls: boolean,
  isProxy: boolean,
  rules: ProxyRules,
): Pick<RequestOrigin, 'scheme' | 'host' | 'hosts'> {
  const own = isTls ? 'https' : 'http';
  if (!isProxy && rules.publicHosts.length === 0) return { scheme: own, host: received, hosts: [] };
  // Where the public hosts are known, another one is what a careless proxy passed on as the client wrote it.
  const isPublic = (name: string) => rules.publicHosts.length === 0 || publicHostOf(name, rules) !== null;
  const named = said.host !== undefined && isPublic(said.host) ? said.host : undefined;
  let host = named ?? received;
  let known = publicHostOf(host, rules);
  // A proxy that calls this gateway by an address of its own, and does not say how it was called.
  if (known === null && isProxy && named === undefined && rules.publicHosts[0]) {
    known = rules.publicHosts[0];
    host = known.name;
  }
  const scheme = said.scheme ?? known?.scheme ?? own;
  const { name, port } = splitHost(host);
  const shownPort = port ?? said.port ?? known?.port;
  const withPort =
    shownPort === undefined || shownPort === DEFAULT_PORTS[scheme] ? name : `${name}:${shownPort}`;
  return { scheme, host: withPort, hosts: variantsOf(received, name, said, known, scheme, rules) };
}

/** Names with each port that the client may have written, or left out. */
function variantsOf(
  received: string,
  name: string,
  said: Forwarded,
  known: PublicHost | null,
  scheme: 'http' | 'https',
  rules: ProxyRules,
): string[] {
  const names = [name, splitHost(received).name];
  if (publicHostOf(received, rules) === null) names.push(...rules.publicHosts.map((host) => host.name));
  const ports = [
    undefined,
    said.port,
    known?.port,
    ...rules.publicHosts.map((h) => h.port),
    DEFAULT_PORTS[scheme],
  ];
  const variants = new Set<string>();
  for (const each of names.filter((text) => text !== ''))
    for (const port of ports) variants.add(port === undefined ? each : `${each}:${port}`);
  variants.delete(received);
  return [...variants].slice(0, HOSTS_MAX);
}
