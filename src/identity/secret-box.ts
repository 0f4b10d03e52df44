/**
 * Seals the secrets of access keys under a master key: AES-256-GCM, bound to the access key id, so that a sealed secret
 * copied to another key's row does not open. Layout: version (1) | master key id (1) | nonce (12) | tag (16) | ciphertext.
 * Rotation: seal with the newest master key, open with whichever the second byte names.
 */
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  randomInt,
} from 'node:crypto';

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 2 + NONCE_BYTES + TAG_BYTES;

export class SecretBoxError extends Error {
  override readonly name = 'SecretBoxError';
}

export interface MasterKey {
  /** 0–255, told from the others of this store. */
  readonly id: number;
  readonly key: KeyObject;
}

/** @param material at least 32 random bytes, e.g. of the key file @throws {SecretBoxError} when it is shorter */
export function createMasterKey(material: Buffer, id = 0): MasterKey {
  if (material.length < 32) throw new SecretBoxError('a master key needs at least 32 bytes');
  if (!Number.isInteger(id) || id < 0 || id > 255) throw new SecretBoxError('a master key id is 0 to 255');
  const key = hkdfSync('sha256', material, '', 'antipode secret box v1', 32);
  return { id, key: createSecretKey(Buffer.from(key)) };
}

/** @param context what the secret belongs to: the access key id */
export function sealSecret(master: MasterKey, secret: string | Buffer, context: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const start = Buffer.from([VERSION, master.id]);
  const cipher = createCipheriv('aes-256-gcm', master.key, nonce);
  cipher.setAAD(Buffer.concat([start, Buffer.from(context)]));
  const sealed = Buffer.concat([
    cipher.update(typeof secret === 'string' ? Buffer.from(secret) : secret),
    cipher.final(),
  ]);
  return Buffer.concat([start, nonce, cipher.getAuthTag(), sealed]);
}

/** @throws {SecretBoxError} when it was not sealed so: another context, another master key, changed bytes. */
export function openSecret(
  masters: MasterKey | readonly MasterKey[],
  sealed: Buffer,
  context: string,
): Buffer {
  if (sealed.length < HEADER_BYTES || sealed[0] !== VERSION) throw new SecretBoxError('not a sealed secret');
  const list: readonly MasterKey[] = 'key' in masters ? [masters] : masters;
  const master = list.find((each) => each.id === sealed[1]);
  if (!master) throw new SecretBoxError(`no master key with id ${sealed[1]}`);
  const nonce = sealed.subarray(2, 2 + NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', master.key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.concat([sealed.subarray(0, 2), Buffer.from(context)]));
  decipher.setAuthTag(sealed.subarray(2 + NONCE_BYTES, HEADER_BYTES));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(HEADER_BYTES)), decipher.final()]);
  } catch (cause) {
    throw new SecretBoxError('a sealed secret does not open: wrong master key or changed bytes', { cause });
  }
}

/** Whether a secret should be sealed anew, under the newest master key. */
export const isSealedUnder = (master: MasterKey, sealed: Buffer): boolean => sealed[1] === master.id;

const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** `AKIA…`, `AIDA…`: upper-case letters and digits, as AWS's ids have them. */
export const generateId = (prefix: string, length: number): string =>
  prefix + Array.from({ length }, () => UPPER[randomInt(UPPER.length)]).join('');

/** A new pair, shaped as AWS's are: 20 upper-case characters, and 40 of base64 without '/' or '+' (they break URLs). */
export function generateAccessKey(prefix: 'AKIA' | 'ASIA' = 'AKIA'): {
  accessKeyId: string;
  secretAccessKey: string;
} {
  const accessKeyId = generateId(prefix, 16);
  let secretAccessKey = '';
  while (secretAccessKey.length < 40)
    secretAccessKey += randomBytes(30).toString('base64').replace(/[+/=]/g, '');
  return { accessKeyId, secretAccessKey: secretAccessKey.slice(0, 40) };
}
