/**
 * Carries the epochs of node pairs from the root pair's record to the other directories, where commits check them. Whoever
 * changes the record carries them at once; every gateway carries what it reads of the record, once for each epoch; and
 * before anything else is sent over a new connection to a directory, the record is read and the directory is told.
 *
 * So a directory that was away when a condition changed has the new epoch before its first commit: all connections broke.
 * Where only one gateway could not reach it, the others carry the change within the age of their record (a second).
 */
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { PairId } from '../base/ids.ts';
import { within } from '../base/within.ts';
import type { Conditions } from '../twin/condition.ts';
import { CatalogUnavailable } from './catalog.ts';
import { certain, type Directories } from './directories.ts';
import type { Directory } from './directory.ts';
import type { Link } from './link.ts';
import { statement } from './statements.ts';

const BEHIND_EPOCHS = statement('behind-epochs');
const RAISE_PAIR_EPOCHS = statement('raise-pair-epochs');
const LEARN_CONDITIONS = statement('learn-conditions');
/** Of the question and of the answer on a new connection. */
const GREETING_MS = 5_000;
/** Reading the record first: a root pair that is away keeps nobody for longer from the others. */
const RECORD_MS = 1_000;

/** For the views of each directory. */
const newsOf = ({ epoch, members }: Conditions) =>
  JSON.stringify({
    epoch,
    states: Object.fromEntries([...members].map(([member, { state }]) => [member, state])),
  });
const documentOf = ({ pairEpochs }: Conditions) => JSON.stringify(Object.fromEntries(pairEpochs));

export class CarriedEpochs {
  readonly #directories: Directories;
  readonly #clock: Clock;
  readonly #log: Pick<Logger, 'warn'>;
  readonly #carried = new Map<PairId, number>();
  #known: Conditions | null = null;

  constructor(directories: Directories, clock: Clock, log: Pick<Logger, 'warn'>) {
    this.#directories = directories;
    this.#clock = clock;
    this.#log = log;
  }

  async carry(conditions: Conditions): Promise<void> {
    this.#know(conditions);
    for (const directory of this.#directories.all()) {
      if (directory === this.#directories.root) continue;
      try {
        await this.#tell(directory, conditions);
        this.#carried.set(directory.pair, conditions.epoch);
      } catch (error) {
        if (!(error instanceof CatalogUnavailable)) throw error;
        this.#log.warn({ pair: directory.pair, err: error }, 'a directory has not heard of the new epochs');
      }
    }
  }

  /** In the background, and only for directories that this gateway has not told yet. */
  follow(conditions: Conditions): void {
    this.#know(conditions);
    for (const { pair } of this.#directories.all()) {
      if (pair === this.#directories.root.pair || (this.#carried.get(pair) ?? 0) >= conditions.epoch)
        continue;
      this.#carried.set(pair, conditions.epoch);
      this.#tell(this.#directories.of(pair), conditions).catch(() => this.#carried.delete(pair));
    }
  }

  /** Where the root pair does not answer, the directory is told what was known last. */
  async greet(pair: PairId, link: Link, read: () => Promise<Conditions>): Promise<void> {
    try {
      this.#know(await within(this.#clock, RECORD_MS, read()));
    } catch (error) {
      this.#log.warn({ pair, err: error }, 'a directory is told epochs that may be old: the root is away');
    }
    if (!this.#known) return;
    const epochs = documentOf(this.#known);
    const [row] = (await link.query(BEHIND_EPOCHS, [epochs], GREETING_MS)).rows;
    if (row?.behind === true) await link.query(RAISE_PAIR_EPOCHS, [epochs], GREETING_MS);
  }

  async #tell(directory: Directory, conditions: Conditions): Promise<void> {
    certain(await directory.write(RAISE_PAIR_EPOCHS, [documentOf(conditions)]));
    certain(await directory.write(LEARN_CONDITIONS, [newsOf(conditions)]));
  }

  #know(conditions: Conditions): void {
    if (!this.#known || conditions.epoch >= this.#known.epoch) this.#known = conditions;
  }
}
