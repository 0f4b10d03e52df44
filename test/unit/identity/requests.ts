/** Signed requests to change and to verify. */
import assert from 'node:assert/strict';
import { type AuthenticateDeps, authenticate } from '../../../src/identity/authenticate.ts';
import { AuthError } from '../../../src/identity/errors.ts';
import { presignRequest, type SigningInput, signRequest } from '../../../src/identity/sign.ts';
import type { SignedRequest } from '../../../src/identity/types.ts';
import { credentials, depsAt, EXAMPLE_TIME_MS } from './fixtures.ts';

export const NOW = EXAMPLE_TIME_MS;
export const deps = depsAt(NOW);
export const base = {
  method: 'GET',
  path: '/bucket/key',
  headers: { host: 'h:9000' },
  credentials,
  region: 'us-east-1',
  service: 's3',
  nowMs: NOW,
} as const satisfies SigningInput;

export const lists = (headers: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));

export function signed(changes: Partial<SigningInput> = {}): SignedRequest {
  const input = { ...base, ...changes };
  const { headers } = signRequest(input);
  return { method: input.method, rawPath: input.path, rawQuery: input.query ?? '', headers: lists(headers) };
}

export function presigned(changes: Partial<SigningInput & { expiresSeconds: number }> = {}): SignedRequest {
  const input = { ...base, expiresSeconds: 60, ...changes };
  const [rawPath, rawQuery] = presignRequest(input).split('?') as [string, string];
  return { method: input.method, rawPath, rawQuery, headers: lists(input.headers) };
}

/** `null` removes the header. */
export function withHeaders(req: SignedRequest, changes: Record<string, string | null>): SignedRequest {
  const headers: Record<string, readonly string[]> = { ...req.headers };
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) delete headers[name];
    else headers[name] = [value];
  }
  return { ...req, headers };
}

export const editAuthorization = (req: SignedRequest, edit: (text: string) => string): SignedRequest =>
  withHeaders(req, { authorization: edit(req.headers.authorization![0]!) });

export async function refused(
  req: SignedRequest,
  code: string,
  message?: RegExp | string,
  d: AuthenticateDeps = deps,
): Promise<AuthError> {
  try {
    await authenticate(req, d);
  } catch (error) {
    assert.ok(error instanceof AuthError, String(error));
    assert.equal(error.code, code, error.message);
    if (message instanceof RegExp) assert.match(error.message, message);
    else if (message) assert.equal(error.message, message);
    assert.ok(!JSON.stringify([error.message, error.fields]).includes(credentials.secretAccessKey));
    return error;
  }
  return assert.fail(`${code} expected`);
}
