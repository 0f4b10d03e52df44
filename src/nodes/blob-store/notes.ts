/**
 * What a node remembers beside its blobs, in the same LMDB environment: small documents by name (its condition, the
 * scrub's cursor), and the damage that was found and that nobody has taken yet. Durable when a call resolves; a full
 * disk does not stand in the way (index-room.ts keeps slack for what is essential).
 */
import type { Database } from 'lmdb';
import type { BlobId } from '../../base/ids.ts';
import type { Damage } from '../protocol.ts';
import { idOf, keyOf } from './records.ts';

export type Table = Database<Buffer, Buffer>;
/** Runs `apply` in a transaction that touches so many keys. */
export type CommitKeys = (keys: number, apply: () => void) => Promise<void>;

/** Damage: [kind, 1 byte][found at, 8 bytes]. */
const KINDS = ['missing', 'corrupt'] as const satisfies readonly Damage['kind'][];
/** So that a step fits into the slack of a full disk. */
const KEYS_PER_STEP = 10;

function encodeDamage({ kind, foundAt }: Pick<Damage, 'kind' | 'foundAt'>): Buffer {
  const value = Buffer.alloc(9);
  value.writeUInt8(KINDS.indexOf(kind), 0);
  value.writeDoubleBE(foundAt, 1);
  return value;
}
const decodeDamage = (key: Buffer, value: Buffer): Damage => ({
  id: idOf(key),
  kind: KINDS[value.readUInt8(0)] ?? 'corrupt',
  foundAt: value.readDoubleBE(1),
});

export class Notes {
  readonly #documents: Table;
  readonly #damage: Table;
  readonly #commit: CommitKeys;

  constructor(documents: Table, damage: Table, commit: CommitKeys) {
    this.#documents = documents;
    this.#damage = damage;
    this.#commit = commit;
  }

  /** null when there is none; whatever put() was given otherwise. */
  get(name: string): unknown {
    const value = this.#documents.getBinary(Buffer.from(name));
    return value ? JSON.parse(value.toString('utf8')) : null;
  }

  async put(name: string, document: object): Promise<void> {
    const value = Buffer.from(JSON.stringify(document));
    await this.#commit(1, () => void this.#documents.put(Buffer.from(name), value));
  }

  get damaged(): number {
    return (this.#damage.getStats() as { entryCount: number }).entryCount;
  }

  isDamaged(id: BlobId): boolean {
    return this.#damage.getBinary(keyOf(id)) !== undefined;
  }

  /** What is noted already keeps its time. */
  async addDamage(found: readonly Damage[]): Promise<void> {
    await this.#inSteps(found, (damage) => {
      const key = keyOf(damage.id);
      const noted = this.#damage.getBinary(key);
      const foundAt = noted ? decodeDamage(key, noted).foundAt : damage.foundAt;
      this.#damage.put(key, encodeDamage({ kind: damage.kind, foundAt }));
    });
  }

  async forgetDamage(ids: readonly BlobId[]): Promise<void> {
    const noted = ids.filter((id) => this.isDamaged(id));
    await this.#inSteps(noted, (id) => void this.#damage.remove(keyOf(id)));
  }

  /** For a transaction that removes the blob itself. */
  dropWithin(key: Buffer): void {
    this.#damage.remove(key);
  }

  async #inSteps<T>(items: readonly T[], apply: (item: T) => void): Promise<void> {
    const steps: Promise<void>[] = [];
    for (let at = 0; at < items.length; at += KEYS_PER_STEP) {
      const some = items.slice(at, at + KEYS_PER_STEP);
      steps.push(
        this.#commit(some.length, () => {
          for (const item of some) apply(item);
        }),
      );
    }
    await Promise.all(steps);
  }

  damage({ after, max }: { after?: BlobId; max: number }): Damage[] {
    const start = after ? { start: keyOf(after), exclusiveStart: true } : {};
    const found: Damage[] = [];
    if (max < 1) return found;
    for (const { key, value } of this.#damage.getRange({ ...start, limit: max })) {
      found.push(decodeDamage(key, value));
    }
    return found;
  }
}
