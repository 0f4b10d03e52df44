/**
 * CORS preflight, which carries no signature. No bucket has a CORS configuration yet, so every preflight is refused as AWS
 * refuses it: 400 without an Origin, 403 with one.
 */
import { S3Error } from '../errors.ts';
import type { OperationContext, OperationRow, Target } from '../operation.ts';

async function refuse({ headers }: OperationContext): Promise<never> {
  if (headers.origin === undefined)
    throw new S3Error('BadRequest', { message: 'Insufficient information. Origin request header needed.' });
  throw new S3Error('AccessForbidden', {
    fields: { Method: headers['access-control-request-method'] ?? '', ResourceType: 'BUCKET' },
  });
}

const preflight = (name: string, target: Target): OperationRow => ({
  name,
  method: 'OPTIONS',
  target,
  permission: 's3:Preflight',
  body: 'none',
  status: 'not-set',
  run: refuse,
});

export const CORS_PREFLIGHT: readonly OperationRow[] = [
  preflight('PreflightBucket', 'bucket'),
  preflight('PreflightObject', 'object'),
];
