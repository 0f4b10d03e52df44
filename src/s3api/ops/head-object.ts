/** HeadObject: the headers of GetObject, from the catalog alone. */
import { requireVersion, select } from '../objects/reading.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';

export const headObject: OperationRow = {
  name: 'HeadObject',
  method: 'HEAD',
  target: 'object',
  permission: 's3:GetObject',
  body: 'none',
  status: 'supported',
  run,
};

async function run(ctx: OperationContext): Promise<OperationResult> {
  const { status, headers } = await select(ctx, await requireVersion(ctx));
  return { status, headers };
}
