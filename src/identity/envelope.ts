/**
 * Envelopes: how an object's data key is kept beside the object. The key is random, of one object (or one upload), and
 * sealed under a master key (AES256), a declared key (aws:kms) or the client's own (SSE-C), bound to the object's bucket,
 * key and encryption context: in another row it does not open. Nothing of a client's key is kept; whether it is the right
 * one is shown by its opening the seal.
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto';
import {
  createMasterKey,
  isSealedUnder,
  type MasterKey,
  openSecret,
  SecretBoxError,
  sealSecret,
} from './secret-box.ts';

export const ENCRYPTIONS = ['AES256', 'aws:kms', 'SSE-C'] as const;
export type Encryption = (typeof ENCRYPTIONS)[number];
export type EncryptionContext = Readonly<Record<string, string>>;

/** What the catalog and the nodes' records of names keep, as JSON. */
export type Envelope = {
  readonly format: 1;
  readonly algorithm: Encryption;
  /** Base64 of secret-box.ts' layout. */
  readonly sealedKey: string;
  /** AES256: the master key's number. aws:kms: the declared id. */
  readonly keyId?: string;
  /** aws:kms: the id or ARN as the client named it. */
  readonly shownKeyId?: string;
  readonly bucketKey?: true;
  readonly context?: EncryptionContext;
};

/** The keys of a store. */
export interface Keyring {
  /** The one that seals. */
  readonly master: MasterKey;
  /** Every one that may have sealed, `master` too. */
  readonly masters: readonly MasterKey[];
  /** By their declared ids. */
  readonly kms: ReadonlyMap<string, MasterKey>;
  /** What aws:kms without a key id takes. */
  readonly defaultKmsKeyId?: string;
}

/** Under which key a new data key is to be sealed. */
export type SealUnder =
  | { readonly algorithm: 'AES256' }
  | {
      readonly algorithm: 'aws:kms';
      readonly keyId: string;
      readonly shownKeyId: string;
      readonly bucketKey: boolean;
      readonly context?: EncryptionContext;
    }
  | { readonly algorithm: 'SSE-C'; readonly customerKey: Buffer };

/** Which object an envelope belongs to. */
export interface EnvelopeOwner {
  readonly bucket: string;
  readonly key: string;
}

/** The key that an envelope was sealed under is not at hand. */
export class KeyMissing extends Error {
  override readonly name = 'KeyMissing';
}
/** The key at hand is not the one, or the envelope is another object's, or was changed. */
export class EnvelopeRefused extends Error {
  override readonly name = 'EnvelopeRefused';
}

const DATA_KEY_BYTES = 32;

/** The data key of an object: encrypts its chunks, and makes ETags that tell nothing about its bytes. */
export class DataKey {
  readonly #material: Buffer;
  #chunks: KeyObject | null = null;

  constructor(material: Buffer) {
    if (material.length !== DATA_KEY_BYTES) throw new EnvelopeRefused('a data key has 32 bytes');
    this.#material = material;
  }

  static random(): DataKey {
    return new DataKey(randomBytes(DATA_KEY_BYTES));
  }

  get chunks(): KeyObject {
    this.#chunks ??= createSecretKey(this.#derive('antipode chunks v1'));
    return this.#chunks;
  }

  /** The same for the same bytes under this key, so that a part sent again has the ETag that it had. */
  etag(md5: string): string {
    return createHmac('sha256', this.#derive('antipode etag v1')).update(md5).digest('hex').slice(0, 32);
  }

  seal(under: MasterKey, context: string): string {
    return sealSecret(under, this.#material, context).toString('base64');
  }

  #derive(purpose: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#material, '', purpose, 32));
  }
}

/** @throws {KeyMissing} when `under` names a key that is not declared */
export function sealEnvelope(
  keyring: Keyring,
  under: SealUnder,
  owner: EnvelopeOwner,
  key: DataKey,
): Envelope {
  const context = under.algorithm === 'aws:kms' ? under.context : undefined;
  const bound = boundTo(under.algorithm, owner, context);
  const { algorithm } = under;
  if (algorithm === 'AES256')
    return {
      ...{ format: 1, algorithm, sealedKey: key.seal(keyring.master, bound) },
      keyId: String(keyring.master.id),
    };
  if (algorithm === 'SSE-C') {
    return { format: 1, algorithm, sealedKey: key.seal(createMasterKey(under.customerKey), bound) };
  }
  const kms = keyring.kms.get(under.keyId);
  if (!kms) throw new KeyMissing(`no key ${under.keyId} is declared`);
  return {
    ...{ format: 1, algorithm, sealedKey: key.seal(kms, bound) },
    ...{ keyId: under.keyId, shownKeyId: under.shownKeyId },
    ...(under.bucketKey ? { bucketKey: true } : {}),
    ...(context === undefined ? {} : { context }),
  };
}

/** @throws {KeyMissing} @throws {EnvelopeRefused} */
export function openEnvelope(
  keyring: Keyring,
  envelope: Envelope,
  owner: EnvelopeOwner,
  customerKey?: Buffer,
): DataKey {
  const sealed = Buffer.from(envelope.sealedKey, 'base64');
  const keys = keysFor(keyring, envelope, sealed, customerKey);
  try {
    return new DataKey(openSecret(keys, sealed, boundTo(envelope.algorithm, owner, envelope.context)));
  } catch (cause) {
    if (!(cause instanceof SecretBoxError)) throw cause;
    throw new EnvelopeRefused('the envelope does not open', { cause });
  }
}

function keysFor(
  keyring: Keyring,
  envelope: Envelope,
  sealed: Buffer,
  customerKey: Buffer | undefined,
): MasterKey | readonly MasterKey[] {
  switch (envelope.algorithm) {
    case 'AES256':
      if (!keyring.masters.some((master) => isSealedUnder(master, sealed)))
        throw new KeyMissing(`no master key ${sealed[1]} is here`);
      return keyring.masters;
    case 'aws:kms': {
      const kms = keyring.kms.get(envelope.keyId ?? '');
      if (!kms) throw new KeyMissing(`no key ${envelope.keyId} is declared`);
      return kms;
    }
    case 'SSE-C':
      if (customerKey === undefined) throw new KeyMissing("the client's key was not given");
      return createMasterKey(customerKey);
  }
}

/** Whether the envelope was sealed under a master key that does not seal any more. */
export const isStale = (keyring: Keyring, envelope: Envelope): boolean =>
  envelope.algorithm === 'AES256' &&
  !isSealedUnder(keyring.master, Buffer.from(envelope.sealedKey, 'base64'));

/** The same data key under the newest master key; null where there is nothing to do. @throws as openEnvelope */
export function resealEnvelope(keyring: Keyring, envelope: Envelope, owner: EnvelopeOwner): Envelope | null {
  if (!isStale(keyring, envelope)) return null;
  return sealEnvelope(keyring, { algorithm: 'AES256' }, owner, openEnvelope(keyring, envelope, owner));
}

/** From the catalog's JSON; null: not encrypted. @throws {EnvelopeRefused} for what is no envelope of this release */
export function envelopeOf(value: unknown): Envelope | null {
  if (value === undefined || value === null) return null;
  const { format, algorithm, sealedKey } = value as Partial<Envelope>;
  if (format !== 1 || !ENCRYPTIONS.some((known) => known === algorithm) || typeof sealedKey !== 'string')
    throw new EnvelopeRefused('an envelope of a form that this release does not know');
  return value as Envelope;
}

/** JSON keeps names apart, so that no two owners give the same. */
function boundTo(
  algorithm: Encryption,
  owner: EnvelopeOwner,
  context: EncryptionContext | undefined,
): string {
  const pairs = Object.entries(context ?? {}).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `object data key\0${JSON.stringify([algorithm, owner.bucket, owner.key, pairs])}`;
}
