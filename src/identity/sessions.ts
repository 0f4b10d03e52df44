/**
 * Temporary credentials. Nothing of them is kept: the token holds the secret, whose session it is and until when, sealed
 * under the master key and bound to its access key id. What the session stands on is looked up at every use: a role, or (of
 * GetSessionToken) a key; when that is gone, or the key inactive, the session is over.
 */
import type { Clock } from '../base/clock.ts';
import type { Catalog, Entity } from '../ddm/catalog.ts';
import { AuthError, invalidToken } from './errors.ts';
import { identityOfSession } from './identities.ts';
import { generateAccessKey, type MasterKey, openSecret, SecretBoxError, sealSecret } from './secret-box.ts';
import { ownerOfKey, type Signer } from './signer.ts';

/** What a session stands on. */
export type SessionOf =
  | { readonly kind: 'role'; readonly role: Entity; readonly name: string; readonly policy?: string }
  | { readonly kind: 'key'; readonly accessKeyId: string };

export interface SessionCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly token: string;
  readonly expiresAt: Date;
}

export interface Sessions {
  issue(of: SessionOf, seconds: number): SessionCredentials;
  /**
   * null: what it stands on is gone. @throws {AuthError} InvalidToken, ExpiredToken
   * @throws what the catalog throws
   */
  find(accessKeyId: string, token: string): Promise<Signer | null>;
}

export interface SessionsOptions {
  readonly catalog: Pick<Catalog, 'findAccessKey' | 'findEntityById'>;
  readonly master: MasterKey;
  /** Also of earlier master keys; the newest seals. */
  readonly masters?: readonly MasterKey[];
  readonly clock: Clock;
}

/** Short names: tokens travel with every request. `x`: expiry, in seconds. */
interface Content {
  readonly v: 1;
  readonly x: number;
  readonly s: string;
  readonly role?: string;
  readonly name?: string;
  readonly policy?: string;
  readonly key?: string;
}

const TOKEN = /^[A-Za-z0-9+/]{40,12000}={0,2}$/;
const contextOf = (accessKeyId: string): string => `session ${accessKeyId}`;

export function openSessions(o: SessionsOptions): Sessions {
  return {
    issue(of, seconds) {
      const { accessKeyId, secretAccessKey } = generateAccessKey('ASIA');
      const x = Math.floor(o.clock.now() / 1000) + seconds;
      const content: Content = { v: 1, x, s: secretAccessKey, ...standsOn(of) };
      const sealed = sealSecret(o.master, JSON.stringify(content), contextOf(accessKeyId));
      const token = sealed.toString('base64');
      return { accessKeyId, secretAccessKey, token, expiresAt: new Date(x * 1000) };
    },

    async find(accessKeyId, token) {
      const content = open(o, accessKeyId, token);
      if (content.x * 1000 <= o.clock.now())
        throw new AuthError('ExpiredToken', 'The provided token has expired.');
      const principal = await ownerOf(o, content, accessKeyId);
      return principal && { principal, sealed: Buffer.from(token), open: () => content.s };
    },
  };
}

const standsOn = (of: SessionOf): Pick<Content, 'role' | 'name' | 'policy' | 'key'> =>
  of.kind === 'key'
    ? { key: of.accessKeyId }
    : { role: of.role.id, name: of.name, ...(of.policy !== undefined && { policy: of.policy }) };

function open(o: SessionsOptions, accessKeyId: string, token: string): Content {
  if (!TOKEN.test(token)) throw invalidToken();
  try {
    const masters = [o.master, ...(o.masters ?? [])];
    const bytes = openSecret(masters, Buffer.from(token, 'base64'), contextOf(accessKeyId));
    return JSON.parse(bytes.toString()) as Content;
  } catch (error) {
    if (error instanceof SecretBoxError) throw invalidToken();
    throw error;
  }
}

async function ownerOf(o: SessionsOptions, content: Content, accessKeyId: string) {
  if (content.key !== undefined) {
    const key = await o.catalog.findAccessKey(content.key);
    return key?.status === 'active' ? { ...ownerOfKey(key), accessKeyId } : null;
  }
  const role = await o.catalog.findEntityById(content.role ?? '');
  if (role?.kind !== 'role') return null;
  const identity = identityOfSession(role, content.name ?? '', content.policy);
  return { kind: 'account', account: role.account, accessKeyId, identity } as const;
}
