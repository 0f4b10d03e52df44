/**
 * The pipeline's readers, made of identity's authenticate and of this folder: the one place where the two meet.
 */
import { type AuthenticateDeps, authenticate } from '../../identity/authenticate.ts';
import type { BodyReading, RequestReaders } from '../run-request.ts';
import { openRequestBody } from './request-body.ts';
import { readWholeBody } from './whole-body.ts';

export function createRequestReaders(
  deps: AuthenticateDeps,
  o: { readonly stallMs?: number } = {},
): RequestReaders {
  const optionsFor = (reading: BodyReading) => ({ ...o, ...reading, clock: deps.clock });
  return {
    authenticate: (request) => authenticate(request, deps),
    openBody: (req, headers, authenticated, reading) =>
      openRequestBody(req, headers, authenticated, optionsFor(reading)),
    readBody: (req, headers, authenticated, reading) =>
      readWholeBody(req, headers, authenticated, optionsFor(reading)),
  };
}
