/**
 * What authentication refuses, in S3's codes, statuses and words; the front end turns an AuthError into the S3Error of
 * the same code. Fields become further elements of the XML. No field ever holds a secret.
 * Source: "Error responses", S3 API Reference; wording of the details as AWS S3 answers.
 */
import type { Mismatch } from './explain-mismatch.ts';

export const AUTH_STATUS = {
  AccessDenied: 403,
  AuthorizationHeaderMalformed: 400,
  AuthorizationQueryParametersError: 400,
  ExpiredToken: 400,
  InvalidAccessKeyId: 403,
  InvalidArgument: 400,
  InvalidRequest: 400,
  InvalidToken: 400,
  NotImplemented: 501,
  RequestTimeTooSkewed: 403,
  SignatureDoesNotMatch: 403,
} as const;

export type AuthErrorCode = keyof typeof AUTH_STATUS;

export class AuthError extends Error {
  override readonly name = 'AuthError';
  readonly code: AuthErrorCode;
  /** HTTP status. */
  readonly status: number;
  readonly fields: Readonly<Record<string, string>>;
  constructor(code: AuthErrorCode, message: string, fields: Readonly<Record<string, string>> = {}) {
    super(message);
    this.code = code;
    this.status = AUTH_STATUS[code];
    this.fields = fields;
  }
}

export const invalidToken = (): AuthError =>
  new AuthError('InvalidToken', 'The provided token is malformed or otherwise invalid.');

/** A signature that does not match, with what the log is to say of it. */
export class SignatureMismatch extends AuthError {
  /** Costs some hundred HMACs. */
  readonly explain: () => Mismatch;
  constructor(message: string, fields: Readonly<Record<string, string>>, explain: () => Mismatch) {
    super('SignatureDoesNotMatch', message, fields);
    this.explain = explain;
  }
}

export const mechanismNotSupported = (): AuthError =>
  new AuthError(
    'InvalidRequest',
    'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
  );

const hexBytes = (text: string): string => text.replace(/../g, '$& ').trimEnd();

/** Texts are latin1-decoded wire bytes; the client sees them as UTF-8 and as bytes. */
export function signatureDoesNotMatch(
  o: { accessKeyId: string; stringToSign: string; signature: string; canonicalRequest?: string },
  explain?: () => Mismatch,
): AuthError {
  const fields: Record<string, string> = {
    AWSAccessKeyId: o.accessKeyId,
    StringToSign: o.stringToSign,
    SignatureProvided: o.signature,
    StringToSignBytes: hexBytes(Buffer.from(o.stringToSign, 'latin1').toString('hex')),
  };
  if (o.canonicalRequest !== undefined) {
    const bytes = Buffer.from(o.canonicalRequest, 'latin1');
    fields.CanonicalRequest = bytes.toString('utf8');
    fields.CanonicalRequestBytes = hexBytes(bytes.toString('hex'));
  }
  const message =
    'The request signature we calculated does not match the signature you provided. Check your key and signing method.';
  return explain
    ? new SignatureMismatch(message, fields, explain)
    : new AuthError('SignatureDoesNotMatch', message, fields);
}
