/** The control half of a NodeClient: conditions, replication and the scrub. Every failure is a NodeError. */
import type { BlobId } from '../../base/ids.ts';
import {
  damageFromJson,
  digestsFromJson,
  pullResultsFromJson,
  pullToJson,
  scrubStatusFromJson,
} from '../control-codec.ts';
import { entryFromJson } from '../entry-codec.ts';
import { type NodeControl, type NodeDeadlines, NodeError, type NodeStatus } from '../protocol.ts';
import type { Connection, RequestParts } from './connection.ts';
import { exchange } from './exchange.ts';
import { progressExchange } from './progress-exchange.ts';

/** A control request, whose answer is signed JSON. @throws {NodeError} */
export type ControlCall = (parts: RequestParts) => Promise<unknown>;

export function controlCall(connection: Connection, deadlines: NodeDeadlines): ControlCall {
  const answerMs = deadlines.stallMs; // a control call may wait for a flush
  return async (parts) => {
    const body = await exchange(connection, parts, { deadlines, answerMs, bodySigned: true });
    return understood(connection, () => JSON.parse(body.toString('utf8')) as unknown);
  };
}

/** @throws {NodeError} protocol, when `parse` throws */
export function understood<T>({ member }: Connection, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new NodeError('protocol', member, 'the answer is malformed', { cause: error });
  }
}

export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value), 'utf8');
export const query = (fields: Readonly<Record<string, string | number | undefined>>): string => {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return given.length === 0 ? '' : `?${given.map(([name, value]) => `${name}=${value}`).join('&')}`;
};

/** For whom something is to be removed. @throws {NodeError} when that is not known yet */
export function catalogQuery(
  { member }: Connection,
  catalogId: (() => string | null) | undefined,
): { catalog?: string } {
  if (!catalogId) return {};
  const catalog = catalogId();
  if (catalog === null) throw new NodeError('fenced', member, 'it is not known yet which catalog this is');
  return { catalog };
}

export function nodeControl(
  connection: Connection,
  deadlines: NodeDeadlines,
  control: ControlCall,
  catalogId?: () => string | null,
): NodeControl {
  const post = (target: string, value: unknown): Promise<unknown> =>
    control({ method: 'POST', target, signedBody: json(value) });
  const postIds = async (target: string, ids: readonly BlobId[]): Promise<void> => {
    if (ids.length > 0) await post(target, { ids });
  };
  const get = (target: string): Promise<unknown> => control({ method: 'GET', target });

  return {
    async setCondition({ state, epoch }) {
      return (await post('/v1/condition', { state, epoch })) as NodeStatus;
    },
    async pull(request, signal) {
      if (request.blobs.length === 0) return [];
      const signedBody = json(pullToJson(request));
      const parts: RequestParts = { method: 'POST', target: '/v1/pull', signedBody };
      const answer = await progressExchange(connection, parts, deadlines, signal);
      const asked = request.blobs.map(({ id }) => id);
      return understood(connection, () => pullResultsFromJson(answer, asked));
    },
    async digests(prefix) {
      const answer = await get(`/v1/digests${query({ prefix })}`);
      return understood(connection, () => digestsFromJson(answer));
    },
    async inventory({ after, max, prefix, scope }) {
      const answer = await get(`/v1/inventory${query({ max, after, prefix, scope })}`);
      return understood(connection, () => (answer as { entries: unknown[] }).entries.map(entryFromJson));
    },
    drop: async (ids) => postIds(`/v1/drop${query(catalogQuery(connection, catalogId))}`, ids),
    async check(ids, signal) {
      if (ids.length === 0) return [];
      const parts: RequestParts = { method: 'POST', target: '/v1/check', signedBody: json({ ids }) };
      const answer = await progressExchange(connection, parts, deadlines, signal);
      return understood(connection, () => damageFromJson(answer));
    },
    async damage({ after, max }) {
      const answer = await get(`/v1/damage${query({ max, after })}`);
      return understood(connection, () => damageFromJson(answer));
    },
    forgetDamage: (ids) => postIds('/v1/damage/forget', ids),
    async scrub(command) {
      const answer = await post('/v1/scrub', command);
      return understood(connection, () => scrubStatusFromJson(answer));
    },
  };
}
