/**
 * Says who signed the policy of a POST form. What is signed is the policy as it was sent (base64); the other fields are
 * bound by the policy's conditions (s3api/forms/policy.ts). A form without a policy is anonymous.
 * Source: "Authenticating Requests in Browser-Based Uploads Using POST (AWS Signature Version 4)", S3 API Reference.
 */
import { createHmac } from 'node:crypto';
import { LIMITS } from '../base/limits.ts';
import { type AuthenticateDeps, decoyKey, equalHex, signingKeys } from './authenticate.ts';
import { AuthError, mechanismNotSupported, signatureDoesNotMatch } from './errors.ts';
import { findSigner } from './signer.ts';
import { ALGORITHM, hmacHex } from './sigv4/canonical.ts';
import { type Malformed, parseCredential } from './sigv4/credentials.ts';
import { parseIsoBasic } from './sigv4/dates.ts';
import type { Principal } from './types.ts';

export interface FormSigner {
  readonly principal: Principal;
  /** Ms since the epoch; absent for anonymous forms. */
  readonly signedAt?: number;
}

export interface FormDeps extends AuthenticateDeps {
  /** Takes signatures of version 2, too. Default: they are refused. */
  readonly formSignatureV2?: boolean;
}

/** Values of a form by their names in lower case. */
export type FormValues = ReadonlyMap<string, string>;

/** @throws {AuthError} @throws what `findAccessKey` throws (the catalog does not answer) */
export async function authenticateForm(form: FormValues, deps: FormDeps): Promise<FormSigner> {
  const isV2 = form.has('awsaccesskeyid') || (form.has('signature') && !form.has('x-amz-signature'));
  if (isV2 && !deps.formSignatureV2) throw mechanismNotSupported();
  const isSigned = isV2 || form.has('x-amz-signature') || form.has('x-amz-credential');
  const policy = form.get('policy');
  if (policy === undefined || policy === '') {
    if (isSigned) throw missing('policy');
    return { principal: { kind: 'anonymous' } };
  }
  return isV2 ? byVersion2(form, policy, deps) : byVersion4(form, policy, deps);
}

async function byVersion4(form: FormValues, policy: string, deps: FormDeps): Promise<FormSigner> {
  const algorithm = required(form, 'X-Amz-Algorithm');
  const credential = required(form, 'X-Amz-Credential');
  const date = required(form, 'X-Amz-Date');
  const given = required(form, 'X-Amz-Signature');
  if (algorithm !== ALGORITHM)
    throw argument('X-Amz-Algorithm', algorithm, `X-Amz-Algorithm only supports "${ALGORITHM}"`);
  const claim = parseCredential(credential, deps, inForm(credential));
  const signedAt = parseIsoBasic(date);
  if (signedAt === null)
    throw argument(
      'X-Amz-Date',
      date,
      "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
    );
  if (date.slice(0, 8) !== claim.date)
    throw inForm(credential)(
      `Invalid credential date "${claim.date}". This date is not the same as X-Amz-Date: "${date.slice(0, 8)}".`,
    );
  const now = deps.clock.now();
  if (signedAt > now + LIMITS.clockSkewMs) throw new AuthError('AccessDenied', 'Request is not valid yet');
  if (signedAt + LIMITS.presignSecondsMax * 1_000 <= now)
    throw new AuthError('AccessDenied', 'Request has expired');
  const signer = await findSigner(deps, claim.accessKeyId, form.get('x-amz-security-token'));
  const key = signer
    ? signingKeys(deps).get(claim.accessKeyId, signer.sealed, claim.scope, () => signer.open())
    : decoyKey;
  const matches = equalHex(hmacHex(key, policy), given);
  if (!signer) throw unknownKey(claim.accessKeyId);
  if (!matches) throw mismatch(claim.accessKeyId, policy, given);
  return { principal: signer.principal, signedAt };
}

/** HMAC-SHA1 of the policy under the secret itself, base64. It does not say when it was made. */
async function byVersion2(form: FormValues, policy: string, deps: FormDeps): Promise<FormSigner> {
  const accessKeyId = required(form, 'AWSAccessKeyId');
  const given = required(form, 'Signature');
  const signer = await findSigner(deps, accessKeyId, form.get('x-amz-security-token'));
  const secret = signer ? signer.open() : decoyKey;
  const computed = createHmac('sha1', secret).update(policy).digest('base64');
  const matches = equalHex(computed, given);
  if (!signer) throw unknownKey(accessKeyId);
  if (!matches) throw mismatch(accessKeyId, policy, given);
  return { principal: signer.principal, signedAt: deps.clock.now() };
}

function required(form: FormValues, name: string): string {
  const value = form.get(name.toLowerCase());
  if (value === undefined || value === '') throw missing(name);
  return value;
}

const argument = (name: string, value: string, message: string): AuthError =>
  new AuthError('InvalidArgument', message, { ArgumentName: name, ArgumentValue: value.slice(0, 256) });

const missing = (name: string): AuthError =>
  argument(
    name,
    '',
    `Bucket POST must contain a field named '${name}'.  If it is specified, please check the order of the fields.`,
  );

const inForm =
  (credential: string): Malformed =>
  (detail) =>
    argument('X-Amz-Credential', credential, `Error parsing the X-Amz-Credential parameter; ${detail}`);

const unknownKey = (accessKeyId: string): AuthError =>
  new AuthError('InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.', {
    AWSAccessKeyId: accessKeyId.slice(0, 128),
  });

const mismatch = (accessKeyId: string, policy: string, signature: string): AuthError =>
  signatureDoesNotMatch({ accessKeyId, stringToSign: policy, signature: signature.slice(0, 256) });
