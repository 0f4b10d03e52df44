/**
 * The part of a gateway's file that gives directories as connection settings: Postgres servers that others run, instead of
 * agents of ours. Shapes alone, and what they must agree on; passwords are read here, once, at the start.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { MemberId, PairId } from './base/ids.ts';
import type { Topology } from './twin/topology.ts';

const port = z.int().min(1).max(65_535);
const name = z.string().min(1).max(63);

const login = z
  .strictObject({ user: name, passwordFile: z.string().optional(), passwordEnv: z.string().optional() })
  .refine((l) => (l.passwordFile === undefined) !== (l.passwordEnv === undefined), {
    message: 'give passwordFile or passwordEnv, and not both',
  });

const member = z.strictObject({
  host: z.string().min(1).max(253),
  port: port.default(5432),
  /** The name in its certificate, where it is not `host`. */
  serverName: z.string().min(1).optional(),
  /** The address of its Patroni, e.g. https://10.0.1.5:8008. */
  patroni: z
    .string()
    .regex(/^https?:\/\/[^/\s]+\/?$/, 'is no http:// or https:// address without a path')
    .optional(),
});

const pair = z
  .strictObject({
    /**
     * Who alone says which of the two is the primary. `patroni`: Patroni, in strict synchronous mode. `external`: whoever
     * promotes them, by what the servers themselves show. `single`: there is one server and no twin.
     */
    decider: z.enum(['patroni', 'external', 'single']),
    database: name.default('antipode'),
    app: login,
    owner: login,
    /** Certificate authorities (PEM files); absent: no TLS. */
    tls: z.strictObject({ ca: z.string() }).optional(),
    patroniTls: z.strictObject({ ca: z.string() }).optional(),
    members: z.record(z.string(), member),
  })
  .superRefine((p, context) => {
    const count = Object.keys(p.members).length;
    const refuse = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (p.decider === 'single' && count !== 1)
      refuse(['members'], `decider single means one server, not ${count}; name one`);
    if (p.decider === 'external' ? count !== 2 : p.decider === 'patroni' && count < 2)
      refuse(
        ['members'],
        `both members of the pair are needed, not ${count}; one server without a twin is decider: single`,
      );
    for (const [id, m] of Object.entries(p.members))
      if ((p.decider === 'patroni') !== (m.patroni !== undefined))
        refuse(
          ['members', id],
          p.decider === 'patroni'
            ? 'patroni: is missing; give the address of its REST API'
            : `patroni: belongs to decider patroni; this is ${p.decider}`,
        );
  });

export const externalDirectories = z.record(z.string(), pair);
export type ExternalDirectories = z.infer<typeof externalDirectories>;

export interface ExternalLogin {
  readonly user: string;
  readonly password: string;
}
export interface ExternalServer {
  readonly host: string;
  readonly port: number;
  readonly serverName?: string;
  readonly patroni?: string;
}
/** With what stands in other files and in the environment. */
export interface ExternalPair {
  readonly decider: 'patroni' | 'external' | 'single';
  readonly database: string;
  readonly app: ExternalLogin;
  readonly owner: ExternalLogin;
  /** PEM texts. */
  readonly ca: string | null;
  readonly patroniCa: string | null;
  readonly servers: ReadonlyMap<string, ExternalServer>;
}

/** `path` leads to the setting at fault, below `directories`. */
export class ExternalDirectoriesError extends Error {
  override readonly name = 'ExternalDirectoriesError';
  readonly path: readonly string[];
  constructor(path: readonly string[], message: string) {
    super(message);
    this.path = path;
  }
}

/** @throws {ExternalDirectoriesError} */
export function resolveExternal(
  directories: ExternalDirectories,
  topology: Topology,
  environment: Readonly<Record<string, string | undefined>>,
): ReadonlyMap<string, ExternalPair> {
  for (const pair of topology.pairs.values())
    if (pair.kind === 'directory' && !directories[pair.id])
      throw new ExternalDirectoriesError(
        [],
        `${pair.id} is missing; give every directory pair of the cluster, or none`,
      );
  return new Map(
    Object.entries(directories).map(([id, settings]) => {
      checkMembers(id, settings, topology);
      return [id, resolvePair(id, settings, environment)] as const;
    }),
  );
}

type Settings = ExternalDirectories[string];

/** Patroni may have more members than the pair: each of them may lead. */
function checkMembers(id: string, { decider, members }: Settings, topology: Topology): void {
  const pair = topology.pairs.get(id as PairId);
  if (pair?.kind !== 'directory')
    throw new ExternalDirectoriesError([id], 'is no directory pair of the cluster');
  for (const member of pair.members)
    if (decider === 'patroni' && !members[member])
      throw new ExternalDirectoriesError([id, 'members'], `${member} is missing`);
  for (const member of Object.keys(members))
    if (decider !== 'patroni' && !pair.members.includes(member as MemberId))
      throw new ExternalDirectoriesError(
        [id, 'members', member],
        `is not of ${id}, which is ${pair.members.join(' and ')}`,
      );
}

function resolvePair(
  id: string,
  settings: Settings,
  environment: Readonly<Record<string, string | undefined>>,
): ExternalPair {
  const { decider, database, tls, patroniTls, members } = settings;
  const loginOf = (which: 'app' | 'owner'): ExternalLogin => {
    const { user, passwordFile, passwordEnv } = settings[which];
    const at = [id, which, passwordFile === undefined ? 'passwordEnv' : 'passwordFile'];
    const text = passwordFile === undefined ? environment[passwordEnv!] : readText(passwordFile, at).trim();
    if (!text) throw new ExternalDirectoriesError(at, `${passwordFile ?? passwordEnv} holds no password`);
    return { user, password: text };
  };
  const pem = (file: string | undefined, at: readonly string[]): string | null => {
    if (file === undefined) return null;
    const text = readText(file, at);
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
    throw new ExternalDirectoriesError(at, `${file} holds no certificate (PEM)`);
  };
  const servers = Object.entries(members).map(([member, { serverName, patroni, ...rest }]) => {
    return [member, { ...rest, ...(serverName && { serverName }), ...(patroni && { patroni }) }] as const;
  });
  return {
    ...{ decider, database, app: loginOf('app'), owner: loginOf('owner'), servers: new Map(servers) },
    ca: pem(tls?.ca, [id, 'tls', 'ca']),
    patroniCa: pem(patroniTls?.ca, [id, 'patroniTls', 'ca']),
  };
}

function readText(file: string, at: readonly string[]): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ExternalDirectoriesError(
      at,
      `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`,
    );
  }
}
