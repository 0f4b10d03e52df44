/**
 * Who may talk to the admin API: the root account, by a SigV4 signature of service `antipode` that covers the body.
 * The body is read whole (bounded) before it is believed; its SHA-256 must be the signed one.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { RequestHandler } from 'express';
import type { Authenticated, SignedRequest } from '../identity/types.ts';
import { AdminError } from './admin-error.ts';

export type Authenticate = (request: SignedRequest) => Promise<Authenticated>;

const BODY_BYTES_MAX = 64 * 1024;
const EMPTY_SHA256 = createHash('sha256').digest('hex');

/** What a verified request carries on `res.locals`. */
export interface AdminLocals {
  accessKeyId: string;
  body: unknown;
}

export function requireRoot(authenticate: Authenticate): RequestHandler {
  return async (req, res, next) => {
    const body = await readBody(req);
    const { principal, payload } = await authenticate(signedRequestOf(req)).catch((cause: unknown) => {
      throw refusal(cause);
    });
    if (principal.kind !== 'account') throw new AdminError('Unauthorized', 'the request is not signed');
    if (!principal.account.isRoot) {
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
    const locals: AdminLocals = { accessKeyId: principal.accessKeyId, body: parseJson(body) };
    Object.assign(res.locals, locals);
    next();
  };
}

function refusal(cause: unknown): unknown {
  const { code, status } = cause as { code?: unknown; status?: unknown };
  const isRefusal =
    cause instanceof Error && typeof code === 'string' && typeof status === 'number' && status < 500;
  return isRefusal ? new AdminError('Unauthorized', `${code}: ${cause.message}`, { cause }) : cause;
}

/** The request as it came over the wire, which is what the signature covers. */
function signedRequestOf(req: IncomingMessage): SignedRequest {
  const url = req.url ?? '/';
  const mark = url.indexOf('?');
  const headers: Record<string, string[]> = {};
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const name = req.rawHeaders[i]!.toLowerCase();
    headers[name] = [...(headers[name] ?? []), req.rawHeaders[i + 1]!];
  }
  return {
    method: req.method ?? 'GET',
    rawPath: mark < 0 ? url : url.slice(0, mark),
    rawQuery: mark < 0 ? '' : url.slice(mark + 1),
    // Optional on the wire for requests without body; the payload's digest is checked either way.
    headers: { 'x-amz-content-sha256': [EMPTY_SHA256], ...headers },
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
