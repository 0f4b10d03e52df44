/**
 * Who may talk to the admin API: the root account, by a SigV4 signature of service `antipode` that covers the body.
 * The body is read whole (bounded) before it is believed; its SHA-256 must be the signed one.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Request, RequestHandler } from 'express';
import type { Clock } from '../base/clock.ts';
import type { AccessKey } from '../ddm/catalog.ts';
import { authenticate } from '../identity/authenticate.ts';
import { AuthError } from '../identity/errors.ts';
import type { SignedRequest } from '../identity/types.ts';
import { AdminError } from './admin-error.ts';
import { ADMIN_REGION, ADMIN_SERVICE } from './api.ts';

export interface AdminAuth {
  readonly findAccessKey: (accessKeyId: string) => Promise<AccessKey | null>;
  readonly openSecret: (key: AccessKey) => string | Buffer;
  readonly clock: Clock;
}

const BODY_BYTES_MAX = 64 * 1024;

/** What a verified request carries on `res.locals`. */
export interface AdminLocals {
  accessKeyId: string;
  /** For the record of what was done: the account and its key. */
  who: string;
  body: unknown;
}

export function requireRoot(auth: AdminAuth): RequestHandler {
  const deps = { ...auth, region: ADMIN_REGION, service: ADMIN_SERVICE };
  return async (req, res, next) => {
    const body = await readBody(req);
    const { principal, payload } = await authenticate(signedRequestOf(req), deps).catch((cause: unknown) => {
      throw refusal(cause);
    });
    if (principal.kind !== 'account') throw new AdminError('Unauthorized', 'the request is not signed');
    if (!principal.account.isRoot || principal.identity !== undefined) {
      throw new AdminError('Unauthorized', 'only the root account may use the admin API');
    }
    if (payload.kind !== 'sha256') {
      throw new AdminError('InvalidRequest', 'x-amz-content-sha256 must be the SHA-256 of the body');
    }
    const digest = createHash('sha256').update(body).digest();
    const signed = Buffer.from(payload.hex, 'hex');
    if (signed.length !== digest.length || !timingSafeEqual(signed, digest)) {
      throw new AdminError('Unauthorized', 'the body is not the one that was signed');
    }
    const { accessKeyId, account } = principal;
    const locals: AdminLocals = { accessKeyId, who: `${account.id} (${accessKeyId})`, body: parseJson(body) };
    Object.assign(res.locals, locals);
    next();
  };
}

function refusal(cause: unknown): unknown {
  if (!(cause instanceof AuthError)) return cause;
  return new AdminError('Unauthorized', `${cause.code}: ${cause.message}`, { cause });
}

/** The request as it came over the wire, which is what the signature covers. */
function signedRequestOf(req: Request): SignedRequest {
  // Not `url`, from which the router takes its mount point away.
  const url = req.originalUrl;
  const mark = url.indexOf('?');
  const headers: Record<string, string[]> = {};
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const name = req.rawHeaders[i]!.toLowerCase();
    headers[name] = [...(headers[name] ?? []), req.rawHeaders[i + 1]!];
  }
  return {
    method: req.method,
    rawPath: mark < 0 ? url : url.slice(0, mark),
    rawQuery: mark < 0 ? '' : url.slice(mark + 1),
    headers,
  };
}

async function readBody(req: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX)
      throw new AdminError('TooLarge', `the body is longer than ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseJson(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new AdminError('InvalidRequest', 'the body is not JSON', { cause });
  }
}
