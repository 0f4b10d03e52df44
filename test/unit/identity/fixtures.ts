/** The credentials, the date and a one-key store for tests of identity, as AWS's examples use them. */
import type { Clock } from '../../../src/base/clock.ts';
import type { AccountId } from '../../../src/base/ids.ts';
import type { AccessKey } from '../../../src/ddm/catalog.ts';
import type { AuthenticateDeps } from '../../../src/identity/authenticate.ts';
import type { Authenticated, PayloadMode } from '../../../src/identity/types.ts';

export const credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};

/** 24 May 2013 00:00:00 GMT */
export const EXAMPLE_TIME_MS = Date.UTC(2013, 4, 24);

export const clockAt = (nowMs: number): Clock => ({
  now: () => nowMs,
  monotonic: () => nowMs,
  sleep: () => new Promise(() => {}),
});

export const exampleKey: AccessKey = {
  accessKeyId: credentials.accessKeyId,
  account: { id: 'owner' as AccountId, displayName: 'owner', isRoot: false },
  status: 'active',
  sealedSecret: Buffer.from(credentials.secretAccessKey),
  createdAt: new Date(0),
};

export function depsAt(nowMs: number, changes: Partial<AuthenticateDeps> = {}): AuthenticateDeps {
  return {
    findAccessKey: async (id) => (id === exampleKey.accessKeyId ? exampleKey : null),
    openSecret: (key) => key.sealedSecret,
    clock: clockAt(nowMs),
    region: 'us-east-1',
    service: 's3',
    ...changes,
  };
}

export const authenticatedWith = (payload: PayloadMode): Authenticated => ({
  principal: { kind: 'account', account: exampleKey.account, accessKeyId: exampleKey.accessKeyId },
  payload,
  presigned: false,
});
