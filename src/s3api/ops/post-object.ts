/**
 * PostObject: an upload by an HTML form. The form says who signed it and what its signer allows; what is stored is what a
 * PutObject with the form's fields as headers would store, by the same code and with the same permissions.
 * Source: "POST Object" and "Creating a POST policy", Amazon S3 API Reference.
 */
import { Readable } from 'node:stream';
import { actionsOf } from '../access/actions.ts';
import { openRequestBody } from '../body/request-body.ts';
import { S3Error } from '../errors.ts';
import {
  type FormHeaders,
  formHeaders,
  formKey,
  formValues,
  locationOf,
  redirectOf,
  type Stored,
  statusOf,
  type Values,
} from '../forms/fields.ts';
import { type Form, openForm } from '../forms/form.ts';
import { type HeldFile, holdFile, Room } from '../forms/held-file.ts';
import { checkPostPolicy, lengthRange, readPostPolicy } from '../forms/policy.ts';
import { checkMeaning } from '../meaning.ts';
import type { AuthorizeMore, OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { tag, xmlDocument } from '../xml.ts';
import { putObject } from './put-object.ts';

export const postObject: OperationRow = {
  name: 'PostObject',
  method: 'POST',
  target: 'bucket',
  permission: 's3:PutObject',
  asksItself: true,
  body: 'stream',
  status: 'supported',
  run,
};

const room = new Room();
const NO_QUERY: ReadonlyMap<string, string> = new Map();

async function run(ctx: OperationContext): Promise<OperationResult> {
  if (ctx.principal.kind !== 'anonymous')
    throw new S3Error('InvalidArgument', {
      message:
        'A form is signed by its fields; the Authorization header and presigned URLs do not apply to it.',
      fields: { ArgumentName: 'Authorization' },
    });
  const form = await openForm(ctx.body!.stream(), ctx.headers['content-type']);
  try {
    return await store(ctx, form);
  } finally {
    form.close();
  }
}

async function store(ctx: OperationContext, form: Form): Promise<OperationResult> {
  const values = formValues(form.fields, form.filename);
  const signer = await ctx.authenticateForm(values);
  const key = formKey(values);
  const range = judge(ctx, values);
  const headers = formHeaders(values);
  const as = {
    principal: signer.principal,
    headers,
    form: signer.signedAt === undefined ? {} : { signedAt: signer.signedAt },
  };
  const put = putContext(ctx, key, headers, as);
  for (const action of actionsOf(putObject, headers, NO_QUERY, ctx.bucket!.owner))
    await put.authorize(action, ctx.bucketName, key);
  const { bucket, services } = ctx;
  const { storageClasses } = services;
  checkMeaning({ operation: putObject, headers, query: NO_QUERY, bucket, storageClasses });
  const held = await holdFile(ctx, key, form.file(), { room, range, bytesMax: ctx.body!.length });
  try {
    const result = await putObject.run!({ ...put, body: bodyOf(ctx, held, headers) });
    return answer(ctx, values, key, result);
  } finally {
    held.release();
  }
}

/** @returns how long the file may be @throws {S3Error} InvalidPolicyDocument, AccessDenied */
function judge(ctx: OperationContext, values: Values): ReturnType<typeof lengthRange> {
  const text = values.get('policy');
  if (text === undefined || text === '') return lengthRange(null);
  const policy = readPostPolicy(text);
  checkPostPolicy(policy, new Map([...values, ['bucket', ctx.bucketName]]), ctx.services.clock.now());
  return lengthRange(policy);
}

/** The same request, as if its fields had been headers and its signer had signed those. */
function putContext(
  ctx: OperationContext,
  key: string,
  headers: FormHeaders,
  as: AuthorizeMore & Pick<OperationContext, 'principal'>,
): OperationContext {
  return {
    ...ctx,
    principal: as.principal,
    key,
    headers,
    query: NO_QUERY,
    authorize: (action, bucketName, name, more) =>
      ctx.authorize(action, bucketName, name, { ...as, ...more }),
    allows: (action, name, more) => ctx.allows(action, name, { ...as, ...more }),
  };
}

function bodyOf(ctx: OperationContext, held: HeldFile, headers: FormHeaders): OperationContext['body'] {
  return openRequestBody(
    Readable.from(held.bytes(), { objectMode: false }),
    { ...headers, 'content-length': String(held.length) },
    { principal: ctx.principal, payload: { kind: 'unsigned' }, presigned: false },
    { clock: ctx.services.clock, signal: ctx.signal },
  );
}

function answer(ctx: OperationContext, values: Values, key: string, put: OperationResult): OperationResult {
  const { scheme, host } = ctx.origin;
  const bucket = ctx.bucketName;
  const location = locationOf({ scheme, host, bucket, key });
  const stored: Stored = { location, bucket, key, etag: String(put.headers?.etag ?? '') };
  const redirect = redirectOf(values, stored);
  if (redirect !== null) return { status: 303, headers: { ...put.headers, location: redirect } };
  const status = statusOf(values);
  const headers = { ...put.headers, location };
  if (status !== 201) return { status, headers };
  const document = Object.entries({ Location: location, Bucket: bucket, Key: key, ETag: stored.etag });
  const inner = document.map(([name, value]) => tag(name, value)).join('');
  return { status, headers, body: xmlDocument('PostResponse', inner).replace(/ xmlns="[^"]*"/, '') };
}
