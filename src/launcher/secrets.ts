/**
 * The secrets of a data folder, made on the first start: DATA/secrets, 0700, each file 0600. A file that is there is
 * never replaced: losing the master key loses every access key that it seals.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Credentials, readCredentials } from '../config.ts';
import { writeDurably } from './durable.ts';

export const SECRET_FILES = {
  cluster: 'cluster.key',
  master: 'master.key',
  superuser: 'postgres-superuser.password',
  replication: 'postgres-replication.password',
  owner: 'postgres-owner.password',
  app: 'postgres-app.password',
  reader: 'postgres-reader.password',
  writer: 'postgres-writer.password',
  rootCredentials: 'root-credentials.json',
} as const;

export interface PostgresPasswords {
  readonly superuser: string;
  readonly replication: string;
  readonly owner: string;
  /** The gateways'. */
  readonly app: string;
  readonly reader: string;
  /** null: made before there was such a file, and not made since (`antipode secrets init` makes what is missing). */
  readonly writer: string | null;
}

/** Makes what is missing. @returns whether the root credentials were generated just now */
export function makeSecrets(
  folder: string,
  given: Credentials | null,
): { credentials: Credentials; generated: boolean } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  makeFile(folder, SECRET_FILES.cluster, newKey);
  // The first of them may have been put away.
  const hasMaster = readdirSync(folder).some((name) => /^master-\d+\.key$/.test(name));
  if (!hasMaster) makeFile(folder, SECRET_FILES.master, newKey);
  for (const name of ['superuser', 'replication', 'owner', 'app', 'reader', 'writer'] as const)
    makeFile(folder, SECRET_FILES[name], newPassword);
  const path = join(folder, SECRET_FILES.rootCredentials);
  const known = existsSync(path) ? readRootCredentials(folder) : null;
  const credentials = given ?? known ?? newCredentials();
  if (known?.accessKeyId !== credentials.accessKeyId || known.secretKey !== credentials.secretKey) {
    const before = known ? [...(known.revoked ?? []), known.accessKeyId] : [];
    const revoked = before.filter((id) => id !== credentials.accessKeyId);
    writeDurably(path, `${JSON.stringify({ ...credentials, revoked }, null, 2)}\n`);
  }
  return { credentials, generated: given === null && known === null };
}

export interface RootCredentials extends Credentials {
  /** Access keys of earlier credentials: they no longer work. */
  readonly revoked?: readonly string[];
}

/** The file's; where it is not given to this host, the environment's. */
export function readRootCredentials(folder: string): RootCredentials {
  const given = existsSync(join(folder, SECRET_FILES.rootCredentials)) ? null : readCredentials();
  if (given) return given;
  return JSON.parse(readFileSync(join(folder, SECRET_FILES.rootCredentials), 'utf8')) as RootCredentials;
}

/** 32 bytes. */
export function readKey(folder: string, name: 'cluster' | 'master'): Buffer {
  const key = Buffer.from(readText(folder, SECRET_FILES[name]), 'hex');
  if (key.length !== 32) throw new Error(`${join(folder, SECRET_FILES[name])} does not hold 64 hex digits`);
  return key;
}

export function readPasswords(folder: string): PostgresPasswords {
  return {
    superuser: readText(folder, SECRET_FILES.superuser),
    replication: readText(folder, SECRET_FILES.replication),
    owner: readText(folder, SECRET_FILES.owner),
    app: readText(folder, SECRET_FILES.app),
    reader: readText(folder, SECRET_FILES.reader),
    writer: existsSync(join(folder, SECRET_FILES.writer)) ? readText(folder, SECRET_FILES.writer) : null,
  };
}

const readText = (folder: string, name: string): string => readFileSync(join(folder, name), 'utf8').trim();

function makeFile(folder: string, name: string, make: () => string): void {
  const path = join(folder, name);
  if (!existsSync(path)) writeDurably(path, `${make()}\n`);
}

export const newKey = (): string => randomBytes(32).toString('hex');
const newPassword = (): string => randomBytes(24).toString('base64url');

/** As long as AWS's: 20 and 40 characters, of an alphabet that needs no quoting anywhere. */
function newCredentials(): Credentials {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const id = Array.from(randomBytes(16), (byte) => alphabet[byte % alphabet.length]).join('');
  return { accessKeyId: `ANTI${id}`, secretKey: randomBytes(30).toString('base64url') };
}
