/**
 * Whether the nodes keep the blobs of this catalog. Every probe of a node passes here: one that remembers no catalog is told
 * this one, one that remembers another is not admitted, and removes nothing for us (nodes/server/catalog.ts).
 *
 * An empty catalog over nodes that keep blobs means that both directories were lost: then S3 answers 503 to everything until
 * `antipode rebuild-catalog` has made the names anew. To be sure of that, an empty catalog waits with S3 until it has heard a
 * node of each pair.
 */
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { MemberId, PairId } from '../base/ids.ts';
import { CatalogUnavailable } from '../ddm/catalog.ts';
import type { CatalogIdentity, IdentityCatalog } from '../ddm/identity.ts';
import type { NodeNames } from '../nodes/names-protocol.ts';
import type { NodeStatus } from '../nodes/protocol.ts';
import type { Topology } from '../twin/topology.ts';
import type { MemberProcess } from './member.ts';

const RETRY_MS = 250;

/** Resolves when the root pair has said which catalog it is; asks until it does. */
export async function openGuard(
  { log, send }: Pick<MemberProcess, 'log' | 'send'>,
  catalog: Pick<IdentityCatalog, 'identify'>,
  topology: Pick<Topology, 'pairs'>,
  clock: Clock,
): Promise<CatalogGuard> {
  for (;;) {
    try {
      const identity = await catalog.identify();
      return new CatalogGuard({
        identity,
        topology,
        log,
        onLost: (message) => send({ type: 'notice', message }),
      });
    } catch (error) {
      log.warn({ err: error }, 'which catalog this is cannot be read; trying again');
    }
    await clock.sleep(RETRY_MS);
  }
}

export interface CatalogGuardOptions {
  readonly identity: CatalogIdentity;
  readonly topology: Pick<Topology, 'pairs'>;
  readonly log: Pick<Logger, 'warn'>;
  /** Called once, when the catalog is found to be an empty one in the place of another. */
  readonly onLost: (message: string) => void;
}

/** What a node without a word about its catalog stands for. */
const UNNAMED = 'one that it does not name';

export class CatalogGuard {
  readonly #o: CatalogGuardOptions;
  /** What each node that was heard keeps; null: blobs of this catalog, or nothing. */
  readonly #heard = new Map<MemberId, string | null>();
  readonly #replaces: Set<string>;
  #young: boolean;
  #isSaid = false;

  constructor(options: CatalogGuardOptions) {
    this.#o = options;
    this.#young = options.identity.young;
    this.#replaces = new Set(options.identity.replaces);
  }

  get catalogId(): string {
    return this.#o.identity.id;
  }

  /** Why the node is not to be admitted, or null. @throws {NodeError} when it could not be told */
  async look(node: NodeNames, { member, catalog = null, blobs }: NodeStatus): Promise<string | null> {
    const foreign = this.#foreign(catalog, blobs);
    if (foreign === null && catalog !== this.catalogId)
      await node.adoptCatalog(this.catalogId, catalog ?? undefined);
    this.#heard.set(member, foreign);
    if (foreign === null) return null;
    this.#say(member, foreign);
    return `its ${blobs} blobs are those of another catalog (${foreign})`;
  }

  #foreign(catalog: string | null, blobs: number): string | null {
    if (catalog === null) return this.#young && blobs > 0 ? UNNAMED : null;
    return catalog === this.catalogId || this.#replaces.has(catalog) ? null : catalog;
  }

  #say(member: MemberId, foreign: string): void {
    const { log, onLost, identity } = this.#o;
    if (this.#isSaid) return;
    this.#isSaid = true;
    log.warn({ member, foreign, ours: identity.id }, 'a node keeps the blobs of another catalog');
    if (this.#young) onLost(LOST);
  }

  /** An empty catalog in the place of another one, or not known yet. */
  get isLost(): boolean {
    return this.#young && [...this.#heard.values()].some((foreign) => foreign !== null);
  }

  /** The names have been made anew, and the nodes told so. */
  rebuilt(replaced: readonly string[]): void {
    for (const id of replaced) this.#replaces.add(id);
    this.#young = false;
    this.#heard.clear();
    this.#isSaid = false;
  }

  get isUsable(): boolean {
    try {
      this.assertUsable();
      return true;
    } catch {
      return false;
    }
  }

  /** For whatever clients ask. @throws {CatalogUnavailable} */
  assertUsable(): void {
    if (!this.#young) return;
    if (this.isLost) throw new CatalogUnavailable(LOST);
    const isHeard = (members: readonly MemberId[]) => members.some((member) => this.#heard.has(member));
    const silent = [...this.#o.topology.pairs.values()].filter(
      (p) => p.kind === 'node' && !isHeard(p.members),
    );
    if (silent.length > 0)
      throw new CatalogUnavailable(`no node of ${named(silent.map((p) => p.id))} has been heard yet`);
    this.#young = false;
  }
}

const named = (pairs: readonly PairId[]): string => pairs.join(', ');
const LOST =
  'the catalog is empty and the nodes keep the objects of another one: nothing is removed, and S3 answers 503 until `antipode rebuild-catalog` has made the names anew';
