/**
 * From the flags of `antipode start` to members: addresses by the rule of DESIGN (directories .5, .6, …, nodes .11, .12,
 * … in each subnet), one folder each under the data folder, one configuration file each under DATA/run.
 */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { MemberId, PairId } from '../base/ids.ts';
import type { ClusterConfig, MemberConfig, StartConfig } from '../config.ts';
import { writeDurably } from './durable.ts';

/** Its pair is the root. */
const DIRECTORY_HOST_FIRST = 5;
const NODE_HOST_FIRST = 11;
const DIRECTORY_HOST_LAST = NODE_HOST_FIRST - 1;
const NODE_HOST_LAST = 254;
const DIRECTORY_PORT = 7432;
const NODE_PORT = 7100;
export const GATEWAY_ID = 'gateway-1' as MemberId;

export interface PlannedMember {
  readonly id: MemberId;
  readonly kind: 'node' | 'directory' | 'gateway';
  readonly address: string;
  readonly port: number;
  readonly dataDir: string;
  readonly configFile: string;
}
export interface PlannedPair {
  readonly id: PairId;
  /** The first is the primary until something else is decided (decisions.ts). */
  readonly members: readonly [PlannedMember, PlannedMember];
}
export interface Plan {
  readonly cluster: ClusterConfig;
  readonly members: readonly PlannedMember[];
  /** The root pair is the first. */
  readonly directoryPairs: readonly PlannedPair[];
  readonly gateway: PlannedMember;
  readonly secretsDir: string;
  readonly runDir: string;
}

export interface KnownHosts {
  readonly nodes: readonly number[];
  readonly directories: readonly number[];
}

/**
 * The host parts of members that have a folder already: pairs that were added while the store ran, or an earlier start
 * with more of them. What they hold must not be left out because a flag is smaller.
 */
export function knownHosts(dataDir: string): KnownHosts {
  const names = existsSync(dataDir) ? readdirSync(dataDir) : [];
  const hosts = (kind: string) => {
    const found = names.flatMap((name) => new RegExp(`^${kind}-[ab](\\d{1,3})$`).exec(name)?.[1] ?? []);
    return [...new Set(found.map(Number))];
  };
  return { nodes: hosts('node'), directories: hosts('directory') };
}

/** The two nodes of a pair that does not exist yet: the next host part after the highest. */
export function planPair(plan: Plan, config: StartConfig): readonly PlannedMember[] {
  const hosts = plan.members.flatMap((member) => (member.kind === 'node' ? [hostOf(member.address)] : []));
  const host = Math.max(NODE_HOST_FIRST - 1, ...hosts) + 1;
  if (host > NODE_HOST_LAST) throw new Error('the subnets are full');
  return ([0, 1] as const).map((side) => placeNode(config, plan.runDir, side, host));
}

/** A pair of directories that does not exist yet: the next host part after the highest. */
export function planDirectories(plan: Plan, config: StartConfig): PlannedPair {
  const hosts = plan.directoryPairs.map(({ members: [first] }) => hostOf(first.address));
  const host = Math.max(...hosts) + 1;
  if (host > DIRECTORY_HOST_LAST)
    throw new Error(`there are ${hosts.length} pairs of directories, and room for no more`);
  const place = (side: 0 | 1) => placeMember(config, plan.runDir, 'directory', side, host);
  return { id: `directory/${host}` as PairId, members: [place(0), place(1)] };
}

/** The plan with this pair of directories in it. */
export const withDirectories = (plan: Plan, pair: PlannedPair): Plan => ({
  ...withNodes(plan, pair.members),
  directoryPairs: [...plan.directoryPairs, pair],
});

/** The plan with these nodes in it. */
export function withNodes(plan: Plan, nodes: readonly PlannedMember[]): Plan {
  const listed = nodes.map(({ id, kind, address, port }) => ({ id, kind, address, port }));
  const gateway = plan.members.filter((member) => member.kind === 'gateway');
  const others = plan.members.filter((member) => member.kind !== 'gateway');
  return {
    ...plan,
    cluster: { ...plan.cluster, members: [...plan.cluster.members, ...listed] },
    members: [...others, ...nodes, ...gateway],
  };
}

export function planStore(config: StartConfig, known: KnownHosts = { nodes: [], directories: [] }): Plan {
  const runDir = join(config.dataDir, 'run');
  const place = (kind: 'node' | 'directory', side: 0 | 1, host: number) =>
    placeMember(config, runDir, kind, side, host);
  const hosts = (first: number, count: number, there: readonly number[]) => {
    const wanted = Array.from({ length: count }, (_, index) => first + index);
    return [...new Set([...wanted, ...there])].sort((x, y) => x - y);
  };
  const directoryHosts = hosts(DIRECTORY_HOST_FIRST, config.directoriesPerCenter, known.directories);
  const directoryPairs = directoryHosts.map((host): PlannedPair => {
    const id = `directory/${host}` as PairId;
    return { id, members: [place('directory', 0, host), place('directory', 1, host)] };
  });
  const nodeHosts = hosts(NODE_HOST_FIRST, config.nodesPerCenter, known.nodes);
  const nodes = ([0, 1] as const).flatMap((side) => nodeHosts.map((host) => place('node', side, host)));
  const gateway: PlannedMember = {
    id: GATEWAY_ID,
    kind: 'gateway',
    address: config.listen.host,
    port: config.listen.port,
    dataDir: join(config.dataDir, GATEWAY_ID),
    configFile: join(runDir, `${GATEWAY_ID}.json`),
  };
  const placed = [...directoryPairs.flatMap((pair) => pair.members), ...nodes];
  return {
    cluster: {
      centers: centersOf(config),
      members: placed.map(({ id, kind, address, port }) => ({ id, kind, address, port })),
    },
    members: [...placed, gateway],
    directoryPairs,
    gateway,
    secretsDir: join(config.dataDir, 'secrets'),
    runDir,
  };
}

function placeMember(
  config: StartConfig,
  runDir: string,
  kind: 'node' | 'directory',
  side: 0 | 1,
  host: number,
): PlannedMember {
  const id = `${kind}-${(['a', 'b'] as const)[side]}${host}` as MemberId;
  return {
    id,
    kind,
    address: hostIn(config.subnets[side], host),
    port: kind === 'node' ? NODE_PORT : DIRECTORY_PORT,
    dataDir: join(config.dataDir, id),
    configFile: join(runDir, `${id}.json`),
  };
}
const placeNode = (config: StartConfig, runDir: string, side: 0 | 1, host: number): PlannedMember =>
  placeMember(config, runDir, 'node', side, host);

/** Writes the file that a member reads at its start. */
export function writeMemberConfig(plan: Plan, member: PlannedMember, config: StartConfig): void {
  const { listen, admin, tls, region } = config;
  const content: MemberConfig = {
    member: member.id,
    dataDir: member.dataDir,
    secretsDir: plan.secretsDir,
    cluster: plan.cluster,
    search: config.search,
    settings: config.settings,
    ...(member.kind === 'gateway'
      ? { gateway: { listen, admin, tls, region, domains: [...config.domains] } }
      : {}),
  };
  mkdirSync(member.dataDir, { recursive: true, mode: 0o700 });
  writeDurably(member.configFile, `${JSON.stringify(content, null, 2)}\n`);
}

function centersOf(config: StartConfig): ClusterConfig['centers'] {
  const [first, second] = config.subnets;
  if (config.centers === 1) return [{ name: 'a', subnets: [first, second] }];
  return [
    { name: 'a', subnets: [first] },
    { name: 'b', subnets: [second] },
  ];
}

const hostOf = (address: string): number => Number(address.split('.')[3]);

/** The address with host part `host` in an IPv4 subnet that leaves at least 8 bits for it. */
function hostIn(subnet: string, host: number): string {
  const bytes = subnet.split('/')[0]!.split('.').map(Number);
  return [...bytes.slice(0, 3), host].join('.');
}
