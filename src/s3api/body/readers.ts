/**
 * The pipeline's readers, made of identity's authenticate and of this folder: the one place where the two meet.
 */
import type { IncomingMessage } from 'node:http';
import { type AuthenticateDeps, authenticate } from '../../identity/authenticate.ts';
import type { RequestReaders } from '../pipeline.ts';
import type { Headers } from './declared.ts';
import { type BodyOptions, openRequestBody } from './request-body.ts';
import { readWholeBody } from './whole-body.ts';

export function createRequestReaders(
  deps: AuthenticateDeps,
  o: { readonly stallMs?: number } = {},
): RequestReaders {
  const optionsFor = (signal: AbortSignal): BodyOptions => ({ ...o, clock: deps.clock, signal });
  return {
    authenticate: (request) => authenticate(request, deps),
    openBody: (req, authenticated, signal) =>
      openRequestBody(req, headersOf(req), authenticated, optionsFor(signal)),
    readBody: (req, authenticated, signal) =>
      readWholeBody(req, headersOf(req), authenticated, optionsFor(signal)),
  };
}

function headersOf(req: IncomingMessage): Headers {
  const headers: Record<string, string | undefined> = {};
  for (const [name, values] of Object.entries(req.headersDistinct)) headers[name] = values?.join(',');
  return headers;
}
