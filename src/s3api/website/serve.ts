/**
 * A bucket's website, for visitors without a name: GET and HEAD of what everybody may read, index and error documents,
 * redirects. Errors are pages. Order as S3 has it: rules without an error code, the object or its folder's index, the
 * folder itself, rules for the error, the error document.
 * Source: "Website endpoints", "Configuring an index document", "… a custom error document", Amazon S3 User Guide.
 */
import { hidingWhatIsMissing } from '../access/hide-missing.ts';
import { S3Error } from '../errors.ts';
import { toS3Error } from '../lower-errors.ts';
import { requireVersion } from '../objects/reading.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { getObject } from '../ops/get-object.ts';
import { headObject } from '../ops/head-object.ts';
import { urlEncode } from '../xml.ts';
import { errorHeaders, errorPage, type PageIds, redirected } from './pages.ts';
import { protocolOf, routeOf, type Visit, WEBSITE, type WebsiteConfiguration } from './routing.ts';

export const WEBSITE_GET: OperationRow = { ...getObject, name: 'WebsiteGet' };
export const WEBSITE_HEAD: OperationRow = { ...headObject, name: 'WebsiteHead' };

export interface WebsiteRequest {
  readonly method: string;
  readonly rawQuery: string;
  readonly ids: PageIds;
  /** The request as it would read an object of the bucket; throws where there is no such bucket. */
  open(): Promise<OperationContext>;
}

/** Headers that choose among the bytes of an object; they say nothing of an error document. */
const CHOOSING = [
  'range',
  'if-range',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
];

export async function serveWebsite(request: WebsiteRequest): Promise<OperationResult> {
  try {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      throw new S3Error('MethodNotAllowed', {
        fields: { Method: request.method.slice(0, 32), ResourceType: 'OBJECT' },
        headers: { allow: 'GET, HEAD' },
      });
    const ctx = await request.open();
    const website = ctx.bucket!.settings[WEBSITE] as WebsiteConfiguration | undefined;
    if (website === undefined)
      throw new S3Error('NoSuchWebsiteConfiguration', { fields: { BucketName: ctx.bucketName } });
    return await visit(ctx, website, request);
  } catch (error) {
    const shown = toS3Error(error);
    if (shown.status === 304) throw shown;
    if (shown.code === 'InternalError') throw error;
    return errorPage(shown, request.ids, null);
  }
}

async function visit(
  ctx: OperationContext,
  website: WebsiteConfiguration,
  { rawQuery, ids }: WebsiteRequest,
): Promise<OperationResult> {
  const at: Visit = { key: ctx.key, secure: ctx.origin.secure, host: ctx.origin.host };
  const { redirectAll, rules } = website;
  if (redirectAll !== undefined) {
    const origin = `${redirectAll.protocol ?? protocolOf(at)}://${redirectAll.hostName}`;
    const query = rawQuery === '' ? '' : `?${rawQuery}`;
    return redirected({ status: 301, location: `${origin}/${urlEncode(ctx.key)}${query}` });
  }
  const away = routeOf(rules, at, null);
  if (away !== null) return redirected(away);
  try {
    return await show(ctx, website);
  } catch (error) {
    const shown = toS3Error(error);
    if (shown.status < 400) throw shown;
    const elsewhere = routeOf(rules, at, shown.status);
    if (elsewhere !== null) return redirected(elsewhere);
    return errorDocument(ctx, website, shown, ids);
  }
}

async function show(ctx: OperationContext, website: WebsiteConfiguration): Promise<OperationResult> {
  const suffix = website.indexSuffix!;
  const isFolder = ctx.key === '' || ctx.key.endsWith('/');
  try {
    return await read({ ...ctx, key: isFolder ? ctx.key + suffix : ctx.key });
  } catch (error) {
    const code = error instanceof S3Error ? error.code : '';
    if (isFolder || (code !== 'NoSuchKey' && code !== 'AccessDenied')) throw error;
    if (!(await isReadable({ ...ctx, key: `${ctx.key}/${suffix}` }))) throw error;
    return redirected({ status: 302, location: `/${urlEncode(ctx.key)}/` });
  }
}

/** An object, or where it sends its readers. @throws {S3Error} */
async function read(ctx: OperationContext): Promise<OperationResult> {
  await ctx.authorize('s3:GetObject', ctx.bucketName, ctx.key);
  return hidingWhatIsMissing(ctx, async () => {
    const version = await requireVersion(ctx);
    const location = version.system.websiteRedirectLocation;
    if (location !== undefined && /^[\x21-\x7e]+$/.test(location))
      return redirected({ status: 301, location });
    return ctx.operation.run!(ctx);
  });
}

async function isReadable(ctx: OperationContext): Promise<boolean> {
  if (!(await ctx.allows('s3:GetObject', ctx.key))) return false;
  const version = await ctx.services.catalog.findVersion(ctx.bucket!.id, ctx.key);
  return version !== null && !version.isDeleteMarker;
}

async function errorDocument(
  ctx: OperationContext,
  { errorKey }: WebsiteConfiguration,
  error: S3Error,
  ids: PageIds,
): Promise<OperationResult> {
  if (errorKey === undefined || error.status >= 500) return errorPage(error, ids, null);
  const headers = { ...ctx.headers };
  for (const name of CHOOSING) headers[name] = undefined;
  try {
    const page = await read({ ...ctx, key: errorKey, headers });
    if (page.status >= 300) return page;
    const { etag: _, 'last-modified': __, 'accept-ranges': ___, ...kept } = page.headers ?? {};
    return { ...page, status: error.status, headers: { ...kept, ...error.headers, ...errorHeaders(error) } };
  } catch (failed) {
    return errorPage(error, ids, toS3Error(failed));
  }
}
