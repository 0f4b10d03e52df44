/**
 * The NodeClient over undici: persistent, bounded connections to one node. Deadlines run only while a call is pending,
 * so that a slow S3 client is not a slow node; every failure is a NodeError. Writes of one chunk go out in one request
 * (a round trip saved; errors arrive in finish()), larger ones wait for "ready" first.
 */
import type { Clock } from '../base/clock.ts';
import type { BlobId, Epoch, MemberId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import { Connection, type RequestParts } from './client/connection.ts';
import { catalogQuery, controlCall, json, nodeControl, query, understood } from './client/control-calls.ts';
import { type ExchangeOptions, exchange } from './client/exchange.ts';
import { failureOf } from './client/failures.ts';
import { nodeNames } from './client/names-calls.ts';
import { OneShotWriter } from './client/one-shot-writer.ts';
import { HeldReader, StreamReader } from './client/readers.ts';
import { StreamWriter } from './client/stream-writer.ts';
import { entryFromJson, intentToHeader } from './entry-codec.ts';
import { isChunkRange, putBodyBytes } from './framing.ts';
import type { NodeNames } from './names-protocol.ts';
import {
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
  /**
   * The catalog that this client speaks for; null: not known yet, and nothing is removed before it is. Absent: tools and
   * tests, which speak for none.
   */
  readonly catalogId?: () => string | null;
}

const withEpoch = (epoch: Epoch | undefined): { epoch?: Epoch } => (epoch === undefined ? {} : { epoch });

export function createNodeClient(options: NodeClientOptions): NodeClient & NodeSearch & NodeNames {
  const { member, deadlines } = options;
  const connection = new Connection({ ...options, connectMs: deadlines.connectMs });
  const control = controlCall(connection, deadlines);

  const post = async (target: string, ids: readonly BlobId[], epoch?: Epoch): Promise<void> => {
    if (ids.length === 0) return;
    await control({ method: 'POST', target, signedBody: json({ ids }), ...withEpoch(epoch) });
  };

  return {
    ...nodeControl(connection, deadlines, control, options.catalogId),
    ...nodeNames(connection, control, options.catalogId),
    member,
    async write(id, size, intent, { epoch, signal, oneShot = size <= LIMITS.chunkBytes } = {}) {
      if (oneShot && size > LIMITS.chunkBytes) throw new RangeError('oneShot is for blobs of one chunk');
      const parts: RequestParts = {
        method: 'PUT',
        target: `/v1/blobs/${id}?size=${size}${oneShot ? '' : '&ready=1'}`,
        contentLength: putBodyBytes(size, !oneShot),
        intent: intentToHeader(intent),
        ...withEpoch(epoch),
      };
      if (oneShot) return new OneShotWriter(connection, deadlines, parts, signal);
      return StreamWriter.open(connection, deadlines, parts, signal);
    },
    async read(id, blob, range, { epoch, signal, lastResort, purpose } = {}) {
      if (!isChunkRange(blob.size, range)) throw new RangeError('the blob has no such chunks');
      const parts: RequestParts = {
        method: 'GET',
        target: `/v1/blobs/${id}${query({
          first: range.firstChunk,
          last: range.lastChunk,
          'last-resort': lastResort ? 1 : undefined,
          purpose,
        })}`,
        ...withEpoch(epoch),
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
      let answer: unknown;
      try {
        answer = await control({ method: 'GET', target: `/v1/blobs/${id}/record` });
      } catch (error) {
        if (error instanceof NodeError && error.kind === 'not-found') return null;
        throw error;
      }
      return understood(connection, () => entryFromJson(answer));
    },
    confirm: (ids) => post('/v1/confirm', ids),
    delete: async (ids, { epoch } = {}) =>
      post(`/v1/delete${query(catalogQuery(connection, options.catalogId))}`, ids, epoch),
    async pending({ before, max, after }) {
      const oldest = Math.max(0, Math.ceil(before));
      const answer = await control({
        method: 'GET',
        target: `/v1/pending${query({ before: oldest, max, after })}`,
      });
      return understood(connection, () => (answer as { entries: unknown[] }).entries.map(entryFromJson));
    },
    async status() {
      return (await control({ method: 'GET', target: '/v1/status' })) as NodeStatus;
    },
    search: (question, { epoch, signal } = {}) =>
      exchange(
        connection,
        { method: 'POST', target: '/v1/search', signedBody: question, ...withEpoch(epoch) },
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
