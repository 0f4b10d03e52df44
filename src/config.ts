/**
 * Configuration: file + flags + environment → one validated, frozen object. The only reader of process.env.
 * Precedence: flag, then environment, then file, then default. Errors name where the value stands (file and line, or the
 * flag) and what to do; the caller prints them and exits with 2.
 */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isMap, LineCounter, parseDocument, type Node as YamlNode } from 'yaml';
import { z } from 'zod';
import {
  ExternalDirectoriesError,
  type ExternalPair,
  externalDirectories,
  resolveExternal,
} from './external-directories.ts';
import { type Settings, settings } from './settings.ts';
import { isMulticast, parseSubnet } from './twin/address.ts';
import { buildTopology, TopologyError } from './twin/load.ts';
import type { Topology } from './twin/topology.ts';
import { subnetPairProblem } from './twin/twin-map.ts';

export type { Settings } from './settings.ts';

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

// ------------------------------------------------------------------------------------------- what there is

const port = z.int().min(0).max(65_535);
const endpoint = z.strictObject({ host: z.string().min(1), port });
const tls = z.strictObject({ certFile: z.string(), keyFile: z.string() });

/** How members are asked who has something that is not where the map says: see src/twin/search.ts. */
const search = z.strictObject({
  /** `auto`: by multicast, then point to point for who did not answer. */
  transport: z.enum(['auto', 'multicast', 'point-to-point']).default('auto'),
  /** Of the groups. */
  port: z.int().min(1).max(65_535).default(7_180),
  /** By center; what is not named is derived from the cluster's secret. */
  groups: z.record(z.string(), z.string().refine(isMulticast, 'is no multicast address')).default({}),
  /** 1 stays on its network; a routed group needs one more for each router. */
  ttl: z.int().min(1).max(255).default(1),
  /** How long answers to a datagram are awaited, after the window over which they are spread. */
  waitMs: z.int().min(1).max(10_000).default(150),
  /** The address that gateways ask from; default: the one that the system takes towards the center. */
  address: z.string().optional(),
});
export type SearchConfig = z.infer<typeof search>;

/** As twin/load.ts takes it; gateways need not be listed. */
const cluster = z.strictObject({
  centers: z.array(z.strictObject({ name: z.string(), subnets: z.array(z.string()).min(1).max(2) })).min(1),
  members: z.array(
    z.strictObject({
      id: z.string(),
      kind: z.enum(['node', 'directory', 'gateway']),
      address: z.string(),
      port,
      center: z.string().nullable().optional(),
      weight: z.number().min(0).optional(),
      /** Directories: where the agent listens that nobody supervises (7101). */
      agentPort: port.optional(),
    }),
  ),
  twins: z.array(z.strictObject({ name: z.string(), members: z.tuple([z.string(), z.string()]) })).optional(),
});
export type ClusterConfig = z.infer<typeof cluster>;

/** One member's own file: the cluster as everybody sees it, and what is this member's alone. */
const member = z.strictObject({
  /** May be left to the flag --member, so that one file serves every host. */
  member: z.string().default(''),
  dataDir: z.string(),
  /** Folder with the secrets that this member needs (see launcher/secrets.ts). */
  secretsDir: z.string(),
  cluster,
  search: search.prefault({}),
  settings: settings.prefault({}),
  /** Gateways: directories that others run, by pair. */
  directories: externalDirectories.optional(),
  gateway: z
    .strictObject({
      listen: endpoint,
      admin: endpoint,
      tls: tls.nullable().default(null),
      domains: z.array(z.string()).default([]),
      region: z.string().default('us-east-1'),
      /** The center that it stands in; default: by its address. */
      center: z.string().optional(),
    })
    .optional(),
});
export type MemberConfig = Omit<z.infer<typeof member>, 'directories'> & {
  /** Absent: directories run under agents of ours. */
  readonly external?: ReadonlyMap<string, ExternalPair>;
};

const startFile = z.strictObject({ search: search.prefault({}), settings: settings.prefault({}) });

export interface StartConfig {
  readonly dataDir: string;
  readonly listen: Endpoint;
  readonly admin: Endpoint;
  readonly centers: 1 | 2;
  readonly nodesPerCenter: number;
  readonly directoriesPerCenter: number;
  readonly subnets: readonly [string, string];
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  readonly domains: readonly string[];
  readonly region: string;
  /** Root credentials from the environment; null: the data folder's, or generated. */
  readonly credentials: Credentials | null;
  readonly search: SearchConfig;
  readonly settings: Settings;
}
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretKey: string;
}

// ------------------------------------------------------------------------------------------- from flags

/** Flags as the command line gave them: text, not yet judged. */
export interface StartFlags {
  readonly data?: string;
  readonly listen?: string;
  readonly admin?: string;
  readonly centers?: string;
  readonly nodesPerCenter?: string;
  readonly directoriesPerCenter?: string;
  readonly subnets?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly domain?: readonly string[];
  readonly region?: string;
  readonly config?: string;
}

const DEFAULT_DATA = './data';
const DEFAULT_LISTEN = '127.0.0.1:9000';
const DEFAULT_ADMIN = '127.0.0.1:9001';
const DEFAULT_SUBNETS = '127.1.0.0/24,127.2.0.0/24';
/** Twins have host parts .11 … ; the directories' start at .5. */
const NODES_PER_CENTER_MAX = 200;
const PREFIX_BITS_MAX = 24;

/** @throws {ConfigError} */
export function readStartConfig(flags: StartFlags): StartConfig {
  const file = flags.config === undefined ? startFile.parse({}) : readFile(flags.config, startFile).data;
  const directoriesPerCenter = count('--directories-per-center', flags.directoriesPerCenter ?? '1', 1, 6);
  const config: StartConfig = {
    dataDir: resolve(flags.data ?? DEFAULT_DATA),
    listen: endpointFlag('--listen', flags.listen ?? DEFAULT_LISTEN),
    admin: endpointFlag('--admin', flags.admin ?? DEFAULT_ADMIN),
    centers: count('--centers', flags.centers ?? '2', 1, 2) as 1 | 2,
    nodesPerCenter: count('--nodes-per-center', flags.nodesPerCenter ?? '2', 1, NODES_PER_CENTER_MAX),
    directoriesPerCenter,
    subnets: subnetsFlag(flags.subnets ?? DEFAULT_SUBNETS),
    tls: tlsFlags(flags),
    domains: flags.domain ?? [],
    region: pattern(
      '--region',
      flags.region ?? 'us-east-1',
      /^[a-z0-9-]{1,64}$/,
      'lower-case letters, digits and "-"',
    ),
    credentials: readCredentials(),
    search: file.search,
    settings: file.settings,
  };
  return deepFreeze(config);
}

/** @param id from the command line: goes before the file's. @throws {ConfigError} */
export function readMemberConfig(
  path: string,
  kind: 'gateway' | 'node' | 'directory',
  id?: string,
): MemberConfig {
  const { data, lineOf } = readFile(path, member);
  const { directories, ...own } = data;
  const config = { ...own, member: id ?? data.member };
  const { members, centers } = config.cluster;
  const where = id === undefined ? `${path}${lineOf(['member'])}: member` : '--member';
  if (config.member === '') throw new ConfigError(`${where}: is missing; say which ${kind} it is`);
  const listed = members.find((m) => m.id === config.member);
  if (listed ? listed.kind !== kind : kind !== 'gateway')
    throw new ConfigError(`${where}: ${config.member} is no ${kind} of the cluster; name one of its members`);
  if (kind === 'gateway' && !config.gateway)
    throw new ConfigError(`${path}: gateway: is missing; say where it listens`);
  const center = config.gateway?.center;
  if (center !== undefined && !centers.some((c) => c.name === center))
    throw new ConfigError(
      `${path}${lineOf(['gateway', 'center'])}: gateway.center: there is no center ${center}; name one of the cluster's`,
    );
  const topology = checkTopology(config.cluster, (at) => `${path}${lineOf(['cluster', ...at])}`);
  if (!directories || kind !== 'gateway') return deepFreeze(config);
  try {
    return deepFreeze({ ...config, external: resolveExternal(directories, topology, process.env) });
  } catch (error) {
    if (!(error instanceof ExternalDirectoriesError)) throw error;
    const at = ['directories', ...error.path];
    throw new ConfigError(`${path}${lineOf(at)}: ${at.join('.')}: ${error.message}`, { cause: error });
  }
}

/** @throws {ConfigError} that names the line of the entry at fault */
function checkTopology(config: ClusterConfig, where: (at: readonly string[]) => string): Topology {
  try {
    return buildTopology(config);
  } catch (error) {
    if (!(error instanceof TopologyError)) throw error;
    throw new ConfigError(`${where(error.path.map(String))}: cluster.${error.message}`, { cause: error });
  }
}

/** Root credentials from the environment, or null. @throws {ConfigError} when only half of them is there */
export function readCredentials(): Credentials | null {
  const accessKeyId = process.env.ANTIPODE_ACCESS_KEY;
  const secretKey = process.env.ANTIPODE_SECRET_KEY;
  if (!accessKeyId && !secretKey) return null;
  if (!accessKeyId || !secretKey)
    throw new ConfigError('ANTIPODE_ACCESS_KEY and ANTIPODE_SECRET_KEY belong together: set both or none');
  pattern('ANTIPODE_ACCESS_KEY', accessKeyId, /^[\w.-]{3,128}$/, '3 to 128 letters, digits, "_", "." or "-"');
  pattern('ANTIPODE_SECRET_KEY', secretKey, /^[\x21-\x7e]{8,128}$/, '8 to 128 printable ASCII characters');
  return { accessKeyId, secretKey };
}

/** What the commands that talk to a running store need. */
export function readClientConfig(flags: { admin?: string | undefined; data?: string | undefined }): {
  dataDir: string;
  admin: Endpoint;
  /** Whether the address was given, so that the running store's own is not looked up. */
  adminGiven: boolean;
  credentials: Credentials | null;
} {
  return {
    dataDir: resolve(flags.data ?? DEFAULT_DATA),
    admin: endpointFlag('--admin', flags.admin ?? DEFAULT_ADMIN),
    adminGiven: flags.admin !== undefined,
    credentials: readCredentials(),
  };
}

/** A variable that the configuration names. */
export const fromEnvironment = (name: string): string | undefined => process.env[name]?.trim();

const SUPERVISED = 'ANTIPODE_SUPERVISED';
/** In the environment of a member that a supervisor starts: a channel alone may be that of the command's own shim. */
export const SUPERVISED_ENVIRONMENT: Readonly<Record<string, string>> = { [SUPERVISED]: '1' };
export const isSupervised = (): boolean => process.env[SUPERVISED] === '1' && process.send !== undefined;

/** For a child process: this one's environment, and more. */
export const environmentWith = (more: Readonly<Record<string, string>>): NodeJS.ProcessEnv => ({
  ...process.env,
  ...more,
});

function endpointFlag(name: string, text: string): Endpoint {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:\s]+)):(\d{1,5})$/i.exec(text);
  const number = Number(match?.[3]);
  if (!match || number > 65_535)
    throw new ConfigError(`${name}: "${text}" is not HOST:PORT, e.g. 127.0.0.1:9000`);
  return { host: (match[1] ?? match[2])!, port: number };
}

function subnetsFlag(text: string): [string, string] {
  const [first, second, ...rest] = text.split(',').map((part) => part.trim());
  if (!first || !second || rest.length > 0)
    throw new ConfigError(`--subnets: "${text}" must be two, e.g. ${DEFAULT_SUBNETS}`);
  for (const subnet of [first, second]) {
    pattern('--subnets', subnet, /^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/, `CIDR texts, e.g. ${DEFAULT_SUBNETS}`);
    if (Number(subnet.split('/')[1]) > PREFIX_BITS_MAX)
      throw new ConfigError(`--subnets: ${subnet} is too small; give /${PREFIX_BITS_MAX} or larger`);
  }
  const pair = [parseSubnet(first), parseSubnet(second)] as const;
  if (!pair[0] || !pair[1])
    throw new ConfigError(`--subnets: "${text}" must be two, e.g. ${DEFAULT_SUBNETS}`);
  const problem = subnetPairProblem([pair[0], pair[1]]);
  if (problem) throw new ConfigError(`--subnets: ${problem}; give two such as ${DEFAULT_SUBNETS}`);
  return [first, second];
}

function tlsFlags(flags: StartFlags): StartConfig['tls'] {
  const { tlsCert, tlsKey } = flags;
  if (tlsCert === undefined && tlsKey === undefined) return null;
  if (tlsCert === undefined || tlsKey === undefined)
    throw new ConfigError('--tls-cert and --tls-key belong together: give both or none');
  for (const [name, path] of [['--tls-cert', tlsCert] as const, ['--tls-key', tlsKey] as const])
    if (!existsSync(path)) throw new ConfigError(`${name}: there is no file ${path}`);
  return { certFile: resolve(tlsCert), keyFile: resolve(tlsKey) };
}

function count(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max)
    throw new ConfigError(`${name}: "${text}" is not a whole number from ${min} to ${max}`);
  return value;
}

function pattern(name: string, text: string, expression: RegExp, expected: string): string {
  if (!expression.test(text)) throw new ConfigError(`${name}: must be ${expected}`);
  return text;
}

// -------------------------------------------------------------------------------------------- from files

interface ReadFile<T> {
  readonly data: T;
  /** `:12`, or nothing where there is no line. */
  readonly lineOf: (at: readonly string[]) => string;
}

function readFile<T>(path: string, schema: z.ZodType<T>): ReadFile<T> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(
      `${path}: cannot be read (${(error as NodeJS.ErrnoException).code}); check --config`,
    );
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const wrong = document.errors[0];
  if (wrong)
    throw new ConfigError(`${path}:${lines.linePos(wrong.pos[0]).line}: ${wrong.message.split('\n')[0]}`);
  const lineOf = (at: readonly string[]) => {
    const node = nodeAt(document.contents, at);
    return node?.range ? `:${lines.linePos(node.range[0]).line}` : '';
  };
  const result = schema.safeParse(document.toJS() ?? {});
  if (result.success) return { data: result.data, lineOf };
  const issue = result.error.issues[0]!;
  const at = issue.path.map(String);
  const key = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const full = key === undefined ? at : [...at, key];
  const line = lineOf(full);
  const name = full.join('.');
  const what =
    key === undefined ? issue.message : 'there is no such setting; remove it or check its spelling';
  throw new ConfigError(`${path}${line}: ${name || 'the file'}: ${what}`);
}

/** The deepest node of the document on the way to `path`: a missing key is reported where it should stand. */
function nodeAt(start: YamlNode | null, path: readonly string[]): YamlNode | null {
  let node = start;
  for (const step of path) {
    const next: unknown = isMap(node) || (node && 'items' in node) ? getChild(node, step) : undefined;
    if (!next) break;
    node = next as YamlNode;
  }
  return node;
}

function getChild(node: YamlNode, step: string): unknown {
  if (isMap(node)) return node.items.find((pair) => String(pair.key) === step)?.value ?? undefined;
  return (node as unknown as { items: unknown[] }).items[Number(step)];
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}
