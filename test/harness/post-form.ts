/** POST forms as browsers send them, and policies as the servers behind their pages sign them. */
import { createHmac } from 'node:crypto';
import { deriveSigningKey } from '../../src/identity/sigv4/signing-key.ts';

export interface FormPart {
  readonly name: string;
  readonly value: string | Buffer;
  readonly filename?: string;
  readonly type?: string;
}

const BOUNDARY = '----FormBoundaryOfTheTests7MA4YWxkTrZu0gW';
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

/** @param end what follows the last boundary; browsers send CR LF */
export function multipart(parts: readonly FormPart[], end = '\r\n'): Buffer {
  const bytes = parts.flatMap(({ name, value, filename, type }) => {
    const file = filename === undefined ? '' : `; filename="${filename}"`;
    const kind = type === undefined ? '' : `Content-Type: ${type}\r\n`;
    const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n${kind}\r\n`;
    return [Buffer.from(head), Buffer.from(value), Buffer.from('\r\n')];
  });
  return Buffer.concat([...bytes, Buffer.from(`--${BOUNDARY}--${end}`)]);
}

export const fieldsOf = (fields: Readonly<Record<string, string>>): FormPart[] =>
  Object.entries(fields).map(([name, value]) => ({ name, value }));

export interface PolicyToSign {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region?: string;
  readonly conditions: readonly unknown[];
  readonly expiration?: string;
  readonly now?: Date;
}

/** The fields that carry a signed policy; its conditions name them. */
export function signedPolicy(o: PolicyToSign): Record<string, string> {
  const now = o.now ?? new Date();
  const date = `${now.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
  const scope = `${date.slice(0, 8)}/${o.region ?? 'us-east-1'}/s3/aws4_request`;
  const own = {
    'x-amz-algorithm': 'AWS4-HMAC-SHA256',
    'x-amz-credential': `${o.accessKeyId}/${scope}`,
    'x-amz-date': date,
  };
  const document = {
    expiration: o.expiration ?? new Date(now.getTime() + 600_000).toISOString(),
    conditions: [...o.conditions, ...Object.entries(own).map(([name, value]) => ({ [name]: value }))],
  };
  const policy = Buffer.from(JSON.stringify(document)).toString('base64');
  const key = deriveSigningKey(o.secretAccessKey, scope);
  return { ...own, policy, 'x-amz-signature': createHmac('sha256', key).update(policy).digest('hex') };
}
