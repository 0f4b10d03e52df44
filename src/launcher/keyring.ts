/**
 * The keys that a gateway encrypts with. Master keys: `master.key` of the secrets folder is number 0, `master-N.key` number
 * N; more, or the same, from files or the environment as the settings name them. The highest number seals, unless the
 * settings say which; all of them open. Declared keys (aws:kms) come from the settings alone.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ConfigError, fromEnvironment, type Settings } from '../config.ts';
import type { Keyring } from '../identity/envelope.ts';
import { createMasterKey, type MasterKey } from '../identity/secret-box.ts';
import type { EncryptionService } from '../s3api/operation.ts';
import { writeDurably } from './durable.ts';
import { newKey, SECRET_FILES } from './secrets.ts';

type EncryptionSettings = Settings['encryption'];
type KeySource = { readonly file?: string | undefined; readonly env?: string | undefined };

const KEY_BYTES = 32;
const MASTER_FILE = /^master-([1-9]\d{0,2})\.key$/;
const MASTER_ID_MAX = 255;

/** @throws {ConfigError} that names the key at fault, and never shows it */
export function openKeyring(secretsDir: string, settings: EncryptionSettings): Keyring {
  const masters = readMasters(secretsDir, settings);
  const newest = [...masters.values()].reduce((a, b) => (a.id > b.id ? a : b));
  const master = settings.sealWith === undefined ? newest : masters.get(settings.sealWith);
  if (!master)
    throw new ConfigError(
      `encryption.sealWith: there is no master key ${settings.sealWith}; name one of ${[...masters.keys()].join(', ')}`,
    );
  const kms = new Map<string, MasterKey>();
  for (const source of settings.kmsKeys) {
    const name = `encryption.kmsKeys: ${source.id}`;
    if (kms.has(source.id)) throw new ConfigError(`${name}: is declared twice`);
    kms.set(source.id, createMasterKey(materialOf(name, source)));
  }
  const { defaultKmsKey } = settings;
  if (defaultKmsKey !== undefined && !kms.has(defaultKmsKey))
    throw new ConfigError(`encryption.defaultKmsKey: ${defaultKmsKey} is not declared in encryption.kmsKeys`);
  return {
    ...{ master, masters: [...masters.values()], kms },
    ...(defaultKmsKey === undefined ? {} : { defaultKmsKeyId: defaultKmsKey }),
  };
}

export function encryptionService(keyring: Keyring, settings: EncryptionSettings): EncryptionService {
  const algorithm = settings.byDefault;
  return {
    ...{ keyring, plainHttp: settings.plainHttp },
    ...(algorithm === 'none' ? {} : { byDefault: { byDefault: { algorithm } } }),
  };
}

/**
 * Makes the next master key, which seals from the next start of the gateways on. Keys that are there stay: what they sealed
 * opens with them alone. @returns its number
 */
export function addMasterKey(secretsDir: string): number {
  const id = Math.max(0, ...fileIds(secretsDir)) + 1;
  if (id > MASTER_ID_MAX)
    throw new ConfigError(`${secretsDir}: there are ${MASTER_ID_MAX} master keys already`);
  writeDurably(join(secretsDir, `master-${id}.key`), `${newKey()}\n`);
  return id;
}

function readMasters(secretsDir: string, settings: EncryptionSettings): ReadonlyMap<number, MasterKey> {
  const sources = new Map<number, KeySource>(settings.masterKeys.map(({ id, ...source }) => [id, source]));
  if (sources.size < settings.masterKeys.length)
    throw new ConfigError('encryption.masterKeys: a number stands there twice');
  for (const id of fileIds(secretsDir))
    if (!sources.has(id)) sources.set(id, { file: join(secretsDir, `master-${id}.key`) });
  // Once nothing is sealed under the first key any more, it may be put away.
  const first = join(secretsDir, SECRET_FILES.master);
  if (!sources.has(0) && (sources.size === 0 || existsSync(first))) sources.set(0, { file: first });
  return new Map(
    [...sources].map(([id, source]) => [id, createMasterKey(materialOf(`the master key ${id}`, source), id)]),
  );
}

function fileIds(secretsDir: string): number[] {
  const ids = readdirSync(secretsDir).map((name) => Number(MASTER_FILE.exec(name)?.[1]));
  return ids.filter((id) => id <= MASTER_ID_MAX);
}

/** 32 bytes, written as hex or base64. */
function materialOf(name: string, { file, env }: KeySource): Buffer {
  const where = file === undefined ? `the variable ${env}` : resolve(file);
  const text = file === undefined ? fromEnvironment(env!) : readText(name, resolve(file));
  if (!text) throw new ConfigError(`${name}: ${where} is not set`);
  const material = Buffer.from(text, /^[0-9a-f]{64}$/i.test(text) ? 'hex' : 'base64');
  if (material.length !== KEY_BYTES)
    throw new ConfigError(`${name}: ${where} does not hold 32 bytes, as 64 hex digits or in base64`);
  return material;
}

function readText(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new ConfigError(`${name}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
