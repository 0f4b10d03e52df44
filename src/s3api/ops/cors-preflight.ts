/**
 * CORS preflight, which carries no signature: what a browser asks before it sends a request from a page of another origin.
 * Source: "Testing CORS", S3 User Guide; OPTIONS object, S3 API Reference.
 */
import { corsRequest, corsRules } from '../cors/answers.ts';
import { CORS_METHODS, corsHeaders, matchCors } from '../cors/rules.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext, OperationResult, OperationRow, Target } from '../operation.ts';

const NOT_ALLOWED =
  "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.";

async function run({ headers, bucket, operation }: OperationContext): Promise<OperationResult> {
  const method = headers['access-control-request-method'];
  const asked = corsRequest('', headers);
  if (asked === null)
    throw new S3Error('BadRequest', { message: 'Insufficient information. Origin request header needed.' });
  if (!(CORS_METHODS as readonly (string | undefined)[]).includes(method))
    throw new S3Error('BadRequest', {
      message: `Invalid Access-Control-Request-Method: ${method ?? 'null'}`,
    });
  const rules = corsRules(bucket);
  const match = matchCors(rules, asked);
  if (match !== null) return { status: 200, headers: corsHeaders(match, asked) };
  throw new S3Error('AccessForbidden', {
    ...(rules.length > 0 && { message: NOT_ALLOWED }),
    fields: { Method: asked.method, ResourceType: operation.target.toUpperCase() },
  });
}

const preflight = (name: string, target: Target): OperationRow => ({
  name,
  method: 'OPTIONS',
  target,
  permission: 's3:Preflight',
  body: 'none',
  status: 'supported',
  run,
});

export const CORS_PREFLIGHT: readonly OperationRow[] = [
  preflight('PreflightBucket', 'bucket'),
  preflight('PreflightObject', 'object'),
];
