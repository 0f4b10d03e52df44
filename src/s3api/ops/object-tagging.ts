/** GetObjectTagging, PutObjectTagging and DeleteObjectTagging: the tags of one version. */
import { readTagging } from '../documents.ts';
import { changeVersion } from '../objects/changes.ts';
import { requireVersion } from '../objects/reading.ts';
import { type ResponseHeaders, versionHeaders } from '../objects/response-headers.ts';
import type { OperationContext, OperationRow } from '../operation.ts';
import { type Tags, taggingXml, validTags } from '../tags.ts';

const query = { tagging: true } as const;

export const getObjectTagging: OperationRow = {
  name: 'GetObjectTagging',
  method: 'GET',
  target: 'object',
  query,
  permission: 's3:GetObjectTagging',
  body: 'none',
  status: 'supported',
  run: async (ctx) => {
    const version = await requireVersion(ctx);
    return {
      status: 200,
      headers: versionHeaders(ctx.bucket!, version.versionId),
      body: taggingXml(version.tags),
    };
  },
};

export const putObjectTagging: OperationRow = {
  name: 'PutObjectTagging',
  method: 'PUT',
  target: 'object',
  query,
  permission: 's3:PutObjectTagging',
  body: 'xml',
  bodyFacts: (text) => ({ tags: Object.fromEntries(readTagging(text)) }),
  status: 'supported',
  run: async (ctx) => ({
    status: 200,
    headers: await replaceTags(ctx, validTags(readTagging(ctx.text))),
  }),
};

export const deleteObjectTagging: OperationRow = {
  name: 'DeleteObjectTagging',
  method: 'DELETE',
  target: 'object',
  query,
  permission: 's3:DeleteObjectTagging',
  body: 'none',
  status: 'supported',
  run: async (ctx) => ({ status: 204, headers: await replaceTags(ctx, {}) }),
};

async function replaceTags(ctx: OperationContext, tags: Tags): Promise<ResponseHeaders> {
  const versionId = await changeVersion(ctx, (change) => ctx.services.catalog.setTags({ ...change, tags }));
  return versionHeaders(ctx.bucket!, versionId);
}
