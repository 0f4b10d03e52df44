/**
 * The catalog as one gateway reaches it: the one shared model behind two lines, one to the root pair (conditions,
 * resyncs) and one to the directory that has the rows. A question or answer may be lost on a cut line: then a commit
 * is unknown, and everything else unavailable. Each of the two is a pair that may fail (sim-directory.ts). `intentMs` is enforced here, as short as the world wants it.
 */
import type { Catalog, PutVersion } from '../../src/ddm/catalog.ts';
import { CatalogUnavailable } from '../../src/ddm/catalog.ts';
import type { Network } from './network.ts';
import type { Process } from './process.ts';
import type { SimDirectory } from './sim-directory.ts';

export const ROOT = 'root';
export const DIRECTORY = 'directory';
const DEADLINE_MS = 3_000;

/** Of the root pair; the rest is the directory's. */
const AT_ROOT = new Set([
  ...['registerTopology', 'readConditions', 'changeCondition', 'allowReturn', 'conditionHistory'],
  ...['adoptStore', 'leaseResync', 'listResyncs', 'setPairWeight', 'pairWeights', 'knownPairs', 'status'],
]);
/** Their outcome may be unknown; a lost answer of the others is told by a rejection. */
const COMMITS = new Set(['putVersion', 'deleteVersion', 'changeCondition', 'allowReturn', 'setPairWeight']);

export type CatalogHazard = (point: { what: string; when: 'before' | 'taken' | 'after' }) => void;
export const isOfRoot = (what: string): boolean => AT_ROOT.has(what);
type Ask = (...args: unknown[]) => Promise<unknown>;

export function wireCatalog(o: {
  readonly model: Catalog;
  readonly from: Process;
  readonly network: Network;
  readonly intentMs: number;
  readonly hazard: CatalogHazard;
  readonly directories: Readonly<Record<string, SimDirectory>>;
}): Catalog {
  const asked = new Map<string, Ask>();
  return new Proxy(o.model, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof name !== 'string' || typeof value !== 'function') return value;
      let ask = asked.get(name);
      if (!ask) {
        const run = value.bind(target) as Ask;
        ask = name === 'close' ? async () => {} : (...args) => over(o, name, () => run(...args), args);
        asked.set(name, ask);
      }
      return ask;
    },
  });
}

function over(
  o: Parameters<typeof wireCatalog>[0],
  what: string,
  run: () => Promise<unknown>,
  args: readonly unknown[],
): Promise<unknown> {
  const to = AT_ROOT.has(what) ? ROOT : DIRECTORY;
  const { from, network } = o;
  return new Promise((resolve, reject) => {
    let isOver = false;
    let isSent = true;
    const end = (settle: () => void) => {
      if (isOver) return;
      isOver = true;
      from.cancel(deadline);
      settle();
    };
    const lost = () =>
      end(() => {
        if (isSent && COMMITS.has(what)) resolve({ outcome: 'unknown' });
        else reject(new CatalogUnavailable(`${what}: no answer`));
      });
    const deadline = from.after(DEADLINE_MS, lost);
    const refused = () => {
      isSent = false;
      from.run(lost);
    };
    const arrive = () => {
      o.hazard({ what, when: 'before' });
      const isLate = what === 'putVersion' && isExpired(args[0] as PutVersion, o);
      const onTaken = () => o.hazard({ what, when: 'taken' });
      const answer = isLate
        ? Promise.resolve({ outcome: 'refused', reason: 'intent-expired' })
        : o.directories[to]!.take(what, args, from.id, run, onTaken);
      const back = (settle: () => void) => {
        o.hazard({ what, when: 'after' });
        network.send(to, from.id, () => from.run(() => end(settle)));
      };
      answer.then(
        (value) => back(() => resolve(value)),
        (error: unknown) => back(() => reject(error)),
      );
    };
    network.send(from.id, to, arrive, { refused });
  });
}

const isExpired = (put: PutVersion, o: { from: Process; intentMs: number }): boolean =>
  put.content.kind === 'blob' && put.content.intentAt + o.intentMs < o.from.base.now();
