/** The half of a client that is about names. Every failure is a NodeError. */
import type { NodeNames } from '../names-protocol.ts';
import { type ControlCall, json } from './control-calls.ts';

export function nodeNames(control: ControlCall): NodeNames {
  const post = (target: string, value: unknown): Promise<unknown> =>
    control({ method: 'POST', target, signedBody: json(value) });
  return {
    async adoptCatalog(id, instead) {
      await post('/v1/catalog', { id, instead });
    },
  };
}
