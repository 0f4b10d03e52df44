/**
 * A request whose answer takes as long as the node makes progress (server/progress.ts): signs of life, then one signed
 * line. The stall deadline runs between signs of life; nothing of the answer is believed before its MAC was verified.
 */
import type { NodeDeadlines } from '../protocol.ts';
import { NodeError } from '../protocol.ts';
import { verifyResult } from '../request-auth.ts';
import { Call } from './call.ts';
import type { Connection, RequestParts } from './connection.ts';
import { Deadline } from './deadline.ts';
import { checkAnswer } from './exchange.ts';
import { failureOf } from './failures.ts';

/** 1,000 results with an error text each. */
const RESULT_BYTES_MAX = 1024 * 1024;
const NEWLINE = 10;
const MAC_CHARACTERS = 43;

const withoutHeartbeats = (bytes: Buffer): Buffer => {
  let at = 0;
  while (bytes[at] === NEWLINE) at += 1;
  return bytes.subarray(at);
};

/** The result, parsed. @throws {NodeError} */
export function progressExchange(
  connection: Connection,
  parts: RequestParts,
  deadlines: NodeDeadlines,
  signal?: AbortSignal,
): Promise<unknown> {
  const { member } = connection;
  return new Promise((resolve, reject) => {
    const deadline = new Deadline(connection.life);
    const received: Buffer[] = [];
    let receivedBytes = 0;
    const late = (): void => call.abort(new NodeError('timeout', member, 'no sign of progress in time'));
    const guarded = (step: () => void): void => {
      try {
        step();
      } catch (error) {
        deadline.stop();
        reject(failureOf(member, error));
        call.abort(failureOf(member, error));
      }
    };
    const call = new Call(
      connection,
      {
        headers: (status, headers) =>
          guarded(() => {
            checkAnswer(connection, request.nonce, status, headers, null);
            deadline.start(deadlines.stallMs, late);
          }),
        data: (bytes) =>
          guarded(() => {
            deadline.refresh();
            const part = receivedBytes === 0 ? withoutHeartbeats(bytes) : bytes;
            receivedBytes += part.length;
            if (receivedBytes > RESULT_BYTES_MAX)
              throw new NodeError('protocol', member, 'too long a result');
            if (part.length > 0) received.push(part);
          }),
        ended: () =>
          guarded(() => {
            deadline.stop();
            resolve(openResult(connection, request.nonce, Buffer.concat(received).toString('utf8')));
          }),
        failed: (error) => {
          deadline.stop();
          reject(error);
        },
      },
      signal ? [signal] : [],
    );
    const request = connection.sign(parts);
    deadline.start(deadlines.connectMs + deadlines.stallMs, late);
    guarded(() => call.start('stream', request));
  });
}

function openResult({ key, member }: Connection, nonce: string, line: string): unknown {
  const json = line.slice(MAC_CHARACTERS + 1, -1);
  if (!verifyResult(key, nonce, json, line.slice(0, MAC_CHARACTERS))) {
    throw new NodeError('protocol', member, 'the result is not signed');
  }
  return JSON.parse(json);
}
