/** The half of a client that is about names: whose blobs a node keeps, and the records of names. Every failure is a NodeError. */

import { digestsFromJson } from '../control-codec.ts';
import { countFromJson, namesPageFromJson, recordToJson } from '../names-codec.ts';
import type { NodeNames } from '../names-protocol.ts';
import type { Connection } from './connection.ts';
import { type ControlCall, catalogQuery, json, query, understood } from './control-calls.ts';

export function nodeNames(
  connection: Connection,
  control: ControlCall,
  catalogId?: () => string | null,
): NodeNames {
  const post = (target: string, value: unknown): Promise<unknown> =>
    control({ method: 'POST', target, signedBody: json(value) });
  const counted = (answer: unknown): number => understood(connection, () => countFromJson(answer));

  return {
    async adoptCatalog(id, instead) {
      await post('/v1/catalog', { id, instead });
    },
    async putNames(records, { epoch } = {}) {
      if (records.length === 0) return 0;
      const signedBody = json({ records: records.map(recordToJson) });
      const target = epoch === undefined ? '/v1/names/copy' : '/v1/names';
      const withEpoch = epoch === undefined ? {} : { epoch };
      return counted(await control({ method: 'POST', target, signedBody, ...withEpoch }));
    },
    async names({ after, max, prefix }) {
      const answer = await control({ method: 'GET', target: `/v1/names${query({ max, after, prefix })}` });
      return understood(connection, () => namesPageFromJson(answer));
    },
    async nameDigests(prefix) {
      const answer = await control({ method: 'GET', target: `/v1/names/digests${query({ prefix })}` });
      return understood(connection, () => digestsFromJson(answer));
    },
    async trimNames(order) {
      return counted(await post(`/v1/names/trim${query(catalogQuery(connection, catalogId))}`, order));
    },
    async release(ids, intentAt) {
      if (ids.length > 0)
        await post(`/v1/release${query(catalogQuery(connection, catalogId))}`, { ids, intentAt });
    },
  };
}
