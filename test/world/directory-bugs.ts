/** Bugs of the failover of names, put in on purpose (see bugs.ts). */
import type { PutVersion } from '../../src/ddm/catalog.ts';
import { type Bug, mutate, ofCatalog } from './bugs.ts';
import type { Incident } from './storm.ts';

const kinds: readonly Incident[] = ['failDirectory'];

export const DIRECTORY_BUGS: readonly Bug[] = [
  {
    name: 'a twin is promoted that lacks what was acknowledged',
    foundAs: /older than what was told|never took effect|which no row names|which nobody wrote/,
    options: { mutate: mutate({ directory: { lagMs: 3_000 } }), kinds, incidentsMax: 8 },
  },
  {
    name: 'an old primary goes on answering reads',
    foundAs: /older than what was told/,
    options: { mutate: mutate({ directory: { oldReadsMs: 20_000 } }), kinds, incidentsMax: 8 },
  },
  {
    name: 'a commit whose outcome is unknown is taken for done',
    foundAs: /never took effect/,
    options: {
      mutate: ofCatalog((catalog) => ({
        putVersion: async (put: PutVersion) => {
          const outcome = await catalog.putVersion(put);
          if (outcome.outcome !== 'unknown') return outcome;
          return { outcome: 'done', value: { versionId: 'null', lastModified: new Date(0) } } as never;
        },
      })),
      kinds,
      incidentsMax: 14,
    },
  },
  {
    name: 'what a commit of unknown outcome has written is dropped at once',
    foundAs: /gave up|in a world that is well|which no row names|: the row|lacks|does not read/,
    options: {
      mutate: mutate({
        catalog: (catalog, gateway) =>
          new Proxy(catalog, {
            get: (target, name) => {
              const value: unknown = Reflect.get(target, name);
              if (name !== 'putVersion') return typeof value === 'function' ? value.bind(target) : value;
              return async (put: PutVersion) => {
                const outcome = await target.putVersion(put);
                if (outcome.outcome === 'unknown' && put.content.kind === 'blob')
                  for (const node of gateway.place.nodes.values())
                    await node.core.drop([put.content.blob.id]);
                return outcome;
              };
            },
          }),
      }),
      kinds,
      incidentsMax: 14,
    },
  },
];
