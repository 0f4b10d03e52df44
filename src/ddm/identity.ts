/**
 * Which catalog this is, and the record's epochs where nodes know later ones: what a gateway has to know before it lets the
 * nodes of a store take its word for what is rubbish. All of it is the root pair's.
 */
import type { Epoch, MemberId, PairId } from '../base/ids.ts';
import type { Conditions } from '../twin/condition.ts';
import { conditionsOf } from './conditions.ts';
import { certain, type Directories } from './directories.ts';
import { statement } from './statements.ts';

const IDENTIFY = statement('identify');
const RAISE_EPOCH = statement('raise-epoch');

export interface CatalogIdentity {
  /** Random, made with the root pair's database. */
  readonly id: string;
  /** No bucket was ever made in it. */
  readonly young: boolean;
  /** Catalogs that this one was made anew from. */
  readonly replaces: readonly string[];
}

export interface IdentityCatalog {
  identify(): Promise<CatalogIdentity>;
  /**
   * A node of the pair knows `known`: where the record's epoch of the pair is below that, the catalog is of an earlier time, and
   * the record goes on above it. Answers the record as it is then.
   */
  raiseEpoch(pair: PairId, known: Epoch, decidedBy: MemberId): Promise<Conditions>;
}

export function openIdentity(directories: Directories): IdentityCatalog {
  return {
    async identify() {
      const [row] = await directories.root.read(IDENTIFY, []);
      return {
        id: String(row?.catalog),
        young: row?.young === true,
        replaces: row?.replaces as readonly string[],
      };
    },
    async raiseEpoch(pair, known, decidedBy) {
      const { rows } = certain(await directories.root.write(RAISE_EPOCH, [pair, known, decidedBy]));
      return conditionsOf((rows[0]!.answer as { conditions: unknown }).conditions);
    },
  };
}
