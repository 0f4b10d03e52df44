/**
 * The pipeline's readers, made of identity's authenticate and of this folder: the one place where the two meet.
 */
import { authenticate } from '../../identity/authenticate.ts';
import { authenticateForm, type FormDeps } from '../../identity/authenticate-form.ts';
import type { BodyReading, RequestReaders } from '../run-request.ts';
import { openRequestBody } from './request-body.ts';
import { readWholeBody } from './whole-body.ts';

export function createRequestReaders(deps: FormDeps, o: { readonly stallMs?: number } = {}): RequestReaders {
  const optionsFor = (reading: BodyReading) => ({ ...o, ...reading, clock: deps.clock });
  return {
    authenticate: (request) => authenticate(request, deps),
    authenticateForm: (form) => authenticateForm(form, deps),
    openBody: (req, headers, authenticated, reading) =>
      openRequestBody(req, headers, authenticated, optionsFor(reading)),
    readBody: (req, headers, authenticated, reading) =>
      readWholeBody(req, headers, authenticated, optionsFor(reading)),
  };
}
