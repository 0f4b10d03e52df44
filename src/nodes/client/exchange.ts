/**
 * A request whose answer is small enough to be held: control calls, and blobs of one chunk in either direction.
 * The answer's MAC is verified before anybody looks at it.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { NodeDeadlines } from '../protocol.ts';
import { NodeError } from '../protocol.ts';
import { ANSWER_KIND_HEADER, ANSWER_MAC_HEADER, EPOCH_HEADER, verifyAnswer } from '../request-auth.ts';
import { Call } from './call.ts';
import type { Connection, RequestParts } from './connection.ts';
import { Deadline } from './deadline.ts';
import { failureOf, failureOfStatus } from './failures.ts';

/** A listing of 1,000 entries with the longest keys, every byte escaped, takes 7 MB. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

export interface ExchangeOptions {
  readonly deadlines: NodeDeadlines;
  /** How long the node may take until its answer begins. */
  readonly answerMs: number;
  /** Control answers are signed with their body; blob bytes prove themselves. */
  readonly bodySigned: boolean;
  /** Made with the request's nonce, which the trailer of a blob is bound to. */
  readonly body?: (nonce: string) => Buffer | Buffer[];
  readonly signals?: readonly AbortSignal[];
}

const text = (value: string | string[] | undefined): string => (typeof value === 'string' ? value : '');

/** Checks that who answered knows the secret. @throws {NodeError} unauthorized or protocol, and what the status says */
export function checkAnswer(
  connection: Connection,
  nonce: string,
  status: number,
  headers: IncomingHttpHeaders,
  body: Buffer | null,
): void {
  const contentLength = Number(text(headers['content-length']));
  const kind = text(headers[ANSWER_KIND_HEADER]);
  const epoch = text(headers[EPOCH_HEADER]);
  const facts = { nonce, status, kind, epoch, contentLength, body };
  if (!verifyAnswer(connection.key, text(headers[ANSWER_MAC_HEADER]), facts)) {
    const failure = status === 403 ? 'unauthorized' : 'protocol';
    throw new NodeError(failure, connection.member, `answered ${status}, not signed`);
  }
  if (status !== 200 && status !== 201) throw failureOfStatus(connection.member, status, epoch);
}

/** The body of an answer of success. @throws {NodeError} */
export function exchange(
  connection: Connection,
  parts: RequestParts,
  options: ExchangeOptions,
): Promise<Buffer> {
  const { deadlines, answerMs, bodySigned, body, signals = [] } = options;
  return new Promise((resolve, reject) => {
    const deadline = new Deadline(connection.life);
    const received: Buffer[] = [];
    let receivedBytes = 0;
    let status = 0;
    let answerHeaders: IncomingHttpHeaders = {};
    const late = (): void => call.abort(new NodeError('timeout', connection.member, 'no answer in time'));
    const call = new Call(
      connection,
      {
        headers: (code, headers) => {
          status = code;
          answerHeaders = headers;
          deadline.start(deadlines.stallMs, late);
        },
        data: (bytes) => {
          receivedBytes += bytes.length;
          if (receivedBytes > ANSWER_BYTES_MAX) {
            call.abort(new NodeError('protocol', connection.member, 'the answer is too long'));
            return;
          }
          received.push(bytes);
          deadline.refresh();
        },
        ended: () => {
          deadline.stop();
          try {
            const answer = received.length === 1 ? received[0]! : Buffer.concat(received);
            const signedBody = bodySigned && answer.length > 0 ? answer : null;
            checkAnswer(connection, request.nonce, status, answerHeaders, signedBody);
            resolve(answer);
          } catch (error) {
            reject(failureOf(connection.member, error));
          }
        },
        failed: (error) => {
          deadline.stop();
          reject(error);
        },
      },
      signals,
    );
    const request = connection.sign(parts, body);
    deadline.start(deadlines.connectMs + answerMs, late);
    try {
      call.start('exchange', request);
    } catch (error) {
      call.abort(failureOf(connection.member, error));
    }
  });
}
