/**
 * From the flags of `antipode start` to members: addresses by the rule of DESIGN (directory .5, nodes .11, .12, … in
 * each subnet), one folder each under the data folder, one configuration file each under DATA/run.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { MemberId, PairId } from '../base/ids.ts';
import type { ClusterConfig, MemberConfig, StartConfig } from '../config.ts';
import { writeDurably } from './durable.ts';

const DIRECTORY_HOST = 5;
const NODE_HOST_FIRST = 11;
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
export interface Plan {
  readonly cluster: ClusterConfig;
  readonly members: readonly PlannedMember[];
  readonly directoryPair: {
    readonly id: PairId;
    readonly primary: PlannedMember;
    readonly twin: PlannedMember;
  };
  readonly gateway: PlannedMember;
  readonly secretsDir: string;
  readonly runDir: string;
}

export function planStore(config: StartConfig): Plan {
  const letters = ['a', 'b'] as const;
  const runDir = join(config.dataDir, 'run');
  const place = (kind: 'node' | 'directory', side: 0 | 1, host: number): PlannedMember => {
    const id = `${kind}-${letters[side]}${host}` as MemberId;
    return {
      id,
      kind,
      address: hostIn(config.subnets[side], host),
      port: kind === 'node' ? NODE_PORT : DIRECTORY_PORT,
      dataDir: join(config.dataDir, id),
      configFile: join(runDir, `${id}.json`),
    };
  };
  const primary = place('directory', 0, DIRECTORY_HOST);
  const twin = place('directory', 1, DIRECTORY_HOST);
  const hosts = Array.from({ length: config.nodesPerCenter }, (_, index) => NODE_HOST_FIRST + index);
  const nodes = ([0, 1] as const).flatMap((side) => hosts.map((host) => place('node', side, host)));
  const gateway: PlannedMember = {
    id: GATEWAY_ID,
    kind: 'gateway',
    address: config.listen.host,
    port: config.listen.port,
    dataDir: join(config.dataDir, GATEWAY_ID),
    configFile: join(runDir, `${GATEWAY_ID}.json`),
  };
  const placed = [primary, twin, ...nodes];
  return {
    cluster: {
      centers: centersOf(config),
      members: placed.map(({ id, kind, address, port }) => ({ id, kind, address, port })),
    },
    members: [...placed, gateway],
    directoryPair: { id: `directory/${DIRECTORY_HOST}` as PairId, primary, twin },
    gateway,
    secretsDir: join(config.dataDir, 'secrets'),
    runDir,
  };
}

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

/** The address with host part `host` in an IPv4 subnet that leaves at least 8 bits for it. */
function hostIn(subnet: string, host: number): string {
  const bytes = subnet.split('/')[0]!.split('.').map(Number);
  return [...bytes.slice(0, 3), host].join('.');
}
