/**
 * GetObjectRetention, PutObjectRetention, GetObjectLegalHold and PutObjectLegalHold: the locks of one version. Whether a
 * retention may change is decided by the commit.
 */
import type { ObjectVersion } from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';
import { readLegalHold, readRetention } from '../lock-documents.ts';
import { changeVersion } from '../objects/changes.ts';
import { bypassesGovernance, requireFuture, requireObjectLock } from '../objects/locks.ts';
import { requireVersion } from '../objects/reading.ts';
import type { OperationContext, OperationRow } from '../operation.ts';
import { tag, xmlDocument } from '../xml.ts';

const row = (name: string, method: 'GET' | 'PUT', subresource: string): OperationRow => ({
  name,
  method,
  target: 'object',
  query: { [subresource]: true },
  permission: `s3:${name}`,
  body: method === 'GET' ? 'none' : 'xml',
  checksumRequired: method === 'PUT',
  status: 'supported',
});

async function readLocks(ctx: OperationContext): Promise<ObjectVersion> {
  requireObjectLock(ctx.bucket!);
  return requireVersion(ctx);
}

export const getObjectRetention: OperationRow = {
  ...row('GetObjectRetention', 'GET', 'retention'),
  run: async (ctx) => {
    const { retention } = await readLocks(ctx);
    if (retention === undefined) throw new S3Error('NoSuchObjectLockConfiguration');
    const inner = tag('Mode', retention.mode) + tag('RetainUntilDate', retention.until.toISOString());
    return { status: 200, body: xmlDocument('Retention', inner) };
  },
};

export const putObjectRetention: OperationRow = {
  ...row('PutObjectRetention', 'PUT', 'retention'),
  bodyFacts: (text) => {
    const retention = readRetention(text);
    if (retention === null) return {};
    const { mode, until } = retention;
    return {
      body: { 's3:object-lock-mode': mode, 's3:object-lock-retain-until-date': until.toISOString() },
    };
  },
  run: async (ctx) => {
    requireObjectLock(ctx.bucket!);
    const retention = readRetention(ctx.text);
    if (retention !== null) requireFuture(retention.until, ctx.services.clock.now());
    const bypassGovernance = await bypassesGovernance(ctx, ctx.key);
    await changeVersion(ctx, (change) =>
      ctx.services.catalog.setRetention({ ...change, retention, bypassGovernance }),
    );
    return { status: 200 };
  },
};

export const getObjectLegalHold: OperationRow = {
  ...row('GetObjectLegalHold', 'GET', 'legal-hold'),
  run: async (ctx) => {
    const { legalHold } = await readLocks(ctx);
    if (legalHold === undefined) throw new S3Error('NoSuchObjectLockConfiguration');
    return { status: 200, body: xmlDocument('LegalHold', tag('Status', legalHold ? 'ON' : 'OFF')) };
  },
};

export const putObjectLegalHold: OperationRow = {
  ...row('PutObjectLegalHold', 'PUT', 'legal-hold'),
  bodyFacts: (text) => ({ body: { 's3:object-lock-legal-hold': readLegalHold(text) ? 'ON' : 'OFF' } }),
  run: async (ctx) => {
    requireObjectLock(ctx.bucket!);
    const legalHold = readLegalHold(ctx.text);
    await changeVersion(ctx, (change) => ctx.services.catalog.setLegalHold({ ...change, legalHold }));
    return { status: 200 };
  },
};
