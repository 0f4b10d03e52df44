/** Turns whatever undici, a socket or a node's answer says into the NodeError kinds that the DOSM decides by. */
import type { Epoch, MemberId } from '../../base/ids.ts';
import { DigestMismatch } from '../digest-tree.ts';
import { NodeError, type NodeErrorKind } from '../protocol.ts';

const KIND_OF_STATUS: Readonly<Record<number, NodeErrorKind>> = {
  400: 'protocol',
  403: 'unauthorized',
  404: 'not-found',
  409: 'conflict',
  412: 'stale-epoch',
  422: 'corrupt',
  423: 'fenced',
  507: 'full',
};

/** Errors of undici that say that the peer does not speak the protocol; every other one is about reaching it. */
const PROTOCOL_CODES: ReadonlySet<unknown> = new Set([
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_INVALID_ARG',
]);

/** `epoch`: as the answer's header says, verified. */
export function failureOfStatus(member: MemberId, status: number, epoch = ''): NodeError {
  const kind = KIND_OF_STATUS[status] ?? 'protocol';
  const known = /^\d{1,15}$/.test(epoch) ? { epoch: Number(epoch) as Epoch } : {};
  return new NodeError(kind, member, `answered ${status}`, known);
}

export function failureOf(member: MemberId, error: unknown): NodeError {
  if (error instanceof NodeError) return error;
  if (error instanceof DigestMismatch)
    return new NodeError('corrupt', member, error.message, { cause: error });
  const { code, name, message } = error as { code?: unknown; name?: unknown; message?: unknown };
  const isProtocol = PROTOCOL_CODES.has(code) || name === 'HTTPParserError';
  return new NodeError(isProtocol ? 'protocol' : 'unreachable', member, String(message), { cause: error });
}
