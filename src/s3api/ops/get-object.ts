/**
 * GetObject. Headers are returned (and so may be sent) only after the DOSM has proved the first chunk; a body that
 * cannot go on throws, and the pipeline cuts the connection.
 */
import { BytesUnavailable } from '../../dosm/dosm.ts';
import { openRange, requireVersion, select } from '../objects/reading.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';

/** How often the row is looked up again when its manifest has gone between two statements. */
const ATTEMPTS = 3;

export const getObject: OperationRow = {
  name: 'GetObject',
  method: 'GET',
  target: 'object',
  permission: 's3:GetObject',
  body: 'none',
  status: 'supported',
  run,
};

async function run(ctx: OperationContext): Promise<OperationResult> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const version = await requireVersion(ctx);
    const { status, headers, range, dataKey } = await select(ctx, version);
    if (range === null) return { status, headers };
    const body = await openRange(ctx, version, range, dataKey);
    if (body !== null) return { status, headers, body };
  }
  throw new BytesUnavailable(`the parts of ${ctx.bucketName}/${ctx.key} do not cover it`);
}
