/**
 * A large blob on its way onto the disk: a temporary file, its digest tree, and a publication at the end.
 * Invariant: the temporary file is gone, whatever happens, unless it was published.
 */
import { rm } from 'node:fs/promises';
import type { BlobId } from '../../base/ids.ts';
import { DigestTreeBuilder } from '../digest-tree.ts';
import { type BlobSink, type Reservation, StoreError } from './blob-store.ts';
import { onDisk } from './disk-errors.ts';
import type { LargeFileWriter } from './large-file.ts';

/** Large blobs on their way in, and whether their id was removed meanwhile. */
export class Arrivals {
  readonly #underWay = new Map<BlobId, Set<{ isRemoved: boolean }>>();

  enter(id: BlobId): { readonly isRemoved: boolean } {
    const arrival = { isRemoved: false };
    const same = this.#underWay.get(id) ?? new Set();
    this.#underWay.set(id, same.add(arrival));
    return arrival;
  }

  leave(id: BlobId, arrival: { isRemoved: boolean }): void {
    const same = this.#underWay.get(id);
    same?.delete(arrival);
    if (same?.size === 0) this.#underWay.delete(id);
  }

  remove(id: BlobId): void {
    for (const arrival of this.#underWay.get(id) ?? []) arrival.isRemoved = true;
  }
}

interface SinkEvents {
  /** Gives the finished file its name. @throws {StoreError} */
  publish(root: Buffer): Promise<void>;
  /** Called once, whatever came of it. */
  ended(): void;
}

export class LargeSink implements BlobSink {
  readonly #writer: LargeFileWriter;
  readonly #disk: string;
  readonly #temporary: string;
  readonly #reservation: Reservation;
  readonly #events: SinkEvents;
  readonly #tree = new DigestTreeBuilder();
  #ended = false;

  constructor(
    writer: LargeFileWriter,
    disk: string,
    temporary: string,
    reservation: Reservation,
    events: SinkEvents,
  ) {
    this.#writer = writer;
    this.#disk = disk;
    this.#temporary = temporary;
    this.#reservation = reservation;
    this.#events = events;
  }

  async append(parts: readonly Buffer[], chunkDigest: Buffer): Promise<void> {
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    await onDisk(this.#disk, () => this.#writer.append(parts, bytes));
    this.#reservation.used(bytes);
    this.#tree.push(chunkDigest);
  }

  async commit(root: Buffer): Promise<void> {
    this.#ended = true;
    try {
      if (!this.#tree.root().equals(root)) {
        throw new StoreError('corrupt', 'the root does not match the chunks');
      }
      await onDisk(this.#disk, () => this.#writer.finish(this.#tree));
      await this.#writer.close();
      await this.#events.publish(root);
    } catch (error) {
      await this.#drop();
      throw error;
    } finally {
      this.#events.ended();
    }
  }

  async discard(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#events.ended();
    await this.#drop();
  }

  async #drop(): Promise<void> {
    await this.#writer.close().catch(() => {});
    await rm(this.#temporary, { force: true }).catch(() => {});
  }
}
