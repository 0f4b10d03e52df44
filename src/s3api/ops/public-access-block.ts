/** GetPublicAccessBlock, PutPublicAccessBlock and DeletePublicAccessBlock. What they do is decided where access is (authorize.ts). */
import { PUBLIC_ACCESS_BLOCK, type PublicAccessBlock } from '../access/bucket-policy.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { tag, xmlDocument } from '../xml.ts';
import { childText, malformedXml, parseDocument } from '../xml-reader.ts';

const ROOT = 'PublicAccessBlockConfiguration';
/** Elements in the order of the response. */
const ELEMENTS: readonly (readonly [string, keyof PublicAccessBlock])[] = [
  ['BlockPublicAcls', 'blockPublicAcls'],
  ['IgnorePublicAcls', 'ignorePublicAcls'],
  ['BlockPublicPolicy', 'blockPublicPolicy'],
  ['RestrictPublicBuckets', 'restrictPublicBuckets'],
];

const row = (name: string, method: OperationRow['method']): OperationRow => ({
  name,
  method,
  target: 'bucket',
  query: { publicAccessBlock: true },
  permission: method === 'GET' ? 's3:GetBucketPublicAccessBlock' : 's3:PutBucketPublicAccessBlock',
  body: 'none',
  status: 'supported',
});

export const getPublicAccessBlock: OperationRow = {
  ...row('GetPublicAccessBlock', 'GET'),
  run: async ({ bucket }) => {
    const block = bucket!.settings[PUBLIC_ACCESS_BLOCK] as PublicAccessBlock | undefined;
    if (block === undefined)
      throw new S3Error('NoSuchPublicAccessBlockConfiguration', { fields: { BucketName: bucket!.name } });
    return {
      status: 200,
      body: xmlDocument(ROOT, ELEMENTS.map(([element, name]) => tag(element, block[name])).join('')),
    };
  },
};

export const putPublicAccessBlock: OperationRow = {
  ...row('PutPublicAccessBlock', 'PUT'),
  body: 'xml',
  run: (ctx) => setBlock(ctx, readBlock(ctx.text), 200),
};

export const deletePublicAccessBlock: OperationRow = {
  ...row('DeletePublicAccessBlock', 'DELETE'),
  run: (ctx) => setBlock(ctx, null, 204),
};

/** What is left out is off. @throws {S3Error} MalformedXML */
function readBlock(text: string): PublicAccessBlock {
  const root = parseDocument(
    text,
    ROOT,
    ELEMENTS.map(([element]) => element),
  );
  const flag = (element: string): boolean => {
    const value = childText(root, element)?.trim().toLowerCase() ?? 'false';
    if (value !== 'true' && value !== 'false') throw malformedXml();
    return value === 'true';
  };
  const [blockPublicAcls, ignorePublicAcls, blockPublicPolicy, restrictPublicBuckets] = ELEMENTS.map(
    ([element]) => flag(element),
  ) as [boolean, boolean, boolean, boolean];
  return { blockPublicAcls, ignorePublicAcls, blockPublicPolicy, restrictPublicBuckets };
}

async function setBlock(
  ctx: OperationContext,
  block: PublicAccessBlock | null,
  status: number,
): Promise<OperationResult> {
  const outcome = await ctx.services.catalog.setBucketSetting(ctx.bucket!.id, PUBLIC_ACCESS_BLOCK, block);
  settle(outcome, () => new S3Error('NoSuchBucket', { fields: { BucketName: ctx.bucketName } }));
  return { status };
}
