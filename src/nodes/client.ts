/**
 * The NodeClient over undici: persistent, bounded connections to one node. Deadlines run only while a call is pending,
 * so that a slow S3 client is not a slow node; every failure is a NodeError. Writes of one chunk go out in one request
 * (a round trip saved; errors arrive in finish()), larger ones wait for "ready" first.
 */
import type { Clock } from '../base/clock.ts';
import type { BlobId, MemberId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import { Connection, type RequestParts } from './client/connection.ts';
import { type ExchangeOptions, exchange } from './client/exchange.ts';
import { failureOf } from './client/failures.ts';
import { OneShotWriter } from './client/one-shot-writer.ts';
import { HeldReader, StreamReader } from './client/readers.ts';
import { StreamWriter } from './client/stream-writer.ts';
import { entryFromJson, intentToHeader } from './entry-codec.ts';
import { isChunkRange, putBodyBytes } from './framing.ts';
import {
  type InventoryEntry,
  type NodeClient,
  type NodeDeadlines,
  NodeError,
  type NodeSearch,
  type NodeStatus,
} from './protocol.ts';

export interface NodeClientOptions {
  readonly member: MemberId;
  readonly address: string;
  readonly port: number;
  readonly secret: Buffer;
  readonly deadlines: NodeDeadlines;
  readonly clock: Clock;
}

export function createNodeClient(options: NodeClientOptions): NodeClient & NodeSearch {
  const { member, deadlines } = options;
  const connection = new Connection({ ...options, connectMs: deadlines.connectMs });
  const patient = deadlines.stallMs; // a control call may wait for a flush

  const control = async (parts: RequestParts): Promise<unknown> => {
    const held: ExchangeOptions = { deadlines, answerMs: patient, bodySigned: true };
    const body = await exchange(connection, parts, held);
    try {
      return JSON.parse(body.toString('utf8'));
    } catch (error) {
      throw new NodeError('protocol', member, 'the answer is not JSON', { cause: error });
    }
  };
  const entries = async (target: string): Promise<readonly InventoryEntry[]> => {
    const answer = (await control({ method: 'GET', target })) as { entries: unknown[] };
    try {
      return answer.entries.map(entryFromJson);
    } catch (error) {
      throw new NodeError('protocol', member, 'the listing is malformed', { cause: error });
    }
  };
  const post = async (target: string, ids: readonly BlobId[]): Promise<void> => {
    if (ids.length === 0) return;
    await control({ method: 'POST', target, signedBody: Buffer.from(JSON.stringify({ ids })) });
  };
  const after = (id: BlobId | undefined): string => (id === undefined ? '' : `&after=${id}`);

  return {
    member,
    async write(id, size, intent, { epoch, signal, oneShot = size <= LIMITS.chunkBytes } = {}) {
      if (oneShot && size > LIMITS.chunkBytes) throw new RangeError('oneShot is for blobs of one chunk');
      const parts: RequestParts = {
        method: 'PUT',
        target: `/v1/blobs/${id}?size=${size}${oneShot ? '' : '&ready=1'}`,
        contentLength: putBodyBytes(size, !oneShot),
        intent: intentToHeader(intent),
        ...(epoch === undefined ? {} : { epoch }),
      };
      if (oneShot) return new OneShotWriter(connection, deadlines, parts, signal);
      return StreamWriter.open(connection, deadlines, parts, signal);
    },
    async read(id, blob, range, { epoch, signal } = {}) {
      if (!isChunkRange(blob.size, range)) throw new RangeError('the blob has no such chunks');
      const parts: RequestParts = {
        method: 'GET',
        target: `/v1/blobs/${id}?first=${range.firstChunk}&last=${range.lastChunk}`,
        ...(epoch === undefined ? {} : { epoch }),
      };
      if (blob.size > LIMITS.chunkBytes) {
        return StreamReader.open(connection, deadlines, parts, blob, range, signal);
      }
      const held: ExchangeOptions = {
        deadlines,
        answerMs: deadlines.firstByteMs,
        bodySigned: false,
        signals: signal ? [signal] : [],
      };
      return new HeldReader(connection, blob, await exchange(connection, parts, held));
    },
    async stat(id) {
      try {
        return entryFromJson(await control({ method: 'GET', target: `/v1/blobs/${id}/record` }));
      } catch (error) {
        if (error instanceof NodeError && error.kind === 'not-found') return null;
        throw error instanceof NodeError
          ? error
          : new NodeError('protocol', member, 'malformed', { cause: error });
      }
    },
    confirm: (ids) => post('/v1/confirm', ids),
    delete: (ids) => post('/v1/delete', ids),
    pending: (query) =>
      entries(
        `/v1/pending?before=${Math.max(0, Math.ceil(query.before))}&max=${query.max}${after(query.after)}`,
      ),
    inventory: (query) => entries(`/v1/inventory?max=${query.max}${after(query.after)}`),
    async status() {
      return (await control({ method: 'GET', target: '/v1/status' })) as NodeStatus;
    },
    search: (question, { epoch, signal } = {}) =>
      exchange(
        connection,
        {
          method: 'POST',
          target: '/v1/search',
          signedBody: question,
          ...(epoch === undefined ? {} : { epoch }),
        },
        {
          deadlines,
          answerMs: deadlines.firstByteMs,
          bodySigned: true,
          signals: signal ? [signal] : [],
        },
      ),
    async close() {
      try {
        await connection.close();
      } catch (error) {
        throw failureOf(member, error);
      }
    },
  };
}
