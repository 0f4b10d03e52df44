/** Writers and readers of a FakeNode. */
import type { BlobId } from '../../src/base/ids.ts';
import { DigestTreeBuilder } from '../../src/nodes/digest-tree.ts';
import type { BlobReader, BlobWriter, WriteIntent } from '../../src/nodes/protocol.ts';
import { FAKE_DEADLINES, type FakeNode, type Faults, type StoredBlob } from './fake-node.ts';

/** What writer and reader share: they are open until they end, and a call in flight ends when they are closed. */
abstract class Handle {
  protected readonly node: FakeNode;
  protected readonly closed = new AbortController();
  #isOpen = true;
  #isBusy = false;

  constructor(node: FakeNode) {
    this.node = node;
    node.openHandles += 1;
  }

  protected end(): void {
    if (this.#isOpen) this.node.openHandles -= 1;
    this.#isOpen = false;
    this.closed.abort(new Error('closed'));
  }

  protected async call<T>(run: () => Promise<T>): Promise<T> {
    if (this.#isBusy) throw new Error(`${this.node.member}: two calls at once`);
    if (!this.#isOpen) throw this.node.error('aborted');
    this.#isBusy = true;
    try {
      return await run();
    } catch (error) {
      this.end();
      throw error;
    } finally {
      this.#isBusy = false;
    }
  }
}

export class FakeWriter extends Handle implements BlobWriter {
  readonly #id: BlobId;
  readonly #size: number;
  readonly #intent: WriteIntent;
  readonly #chunks: Buffer[] = [];
  readonly #tree = new DigestTreeBuilder();
  readonly #term: number;

  constructor(node: FakeNode, id: BlobId, size: number, intent: WriteIntent) {
    super(node);
    this.#term = node.term;
    this.#id = id;
    this.#size = size;
    this.#intent = intent;
  }

  write(chunk: Buffer, digest: Buffer): Promise<void> {
    return this.call(async () => {
      const { faults } = this.node;
      const after = this.#chunks.length;
      if (takeFault(faults, 'cutWriteAfter', after)) throw this.node.error('unreachable');
      if (takeFault(faults, 'fullWriteAfter', after)) throw this.node.error('full');
      const isStalled = takeFault(faults, 'stallWriteAfter', after);
      await this.node.answer(FAKE_DEADLINES.stallMs, this.closed.signal, isStalled);
      this.#chunks.push(chunk);
      this.#tree.push(digest);
    });
  }

  finish(root: Buffer): Promise<void> {
    return this.call(async () => {
      await this.node.answer(FAKE_DEADLINES.stallMs, this.closed.signal);
      const size = this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      if (size !== this.#size || !this.#tree.root().equals(root)) throw this.node.error('protocol');
      if (this.node.state !== 'serving' || this.node.term !== this.#term) throw this.node.error('fenced');
      const { blobs, faults } = this.node;
      blobs.set(this.#id, {
        id: this.#id,
        size,
        root,
        intent: this.#intent,
        state: 'pending',
        chunks: this.#chunks,
      });
      if (faults.loseFinishAnswer) {
        faults.loseFinishAnswer = false;
        await this.node.answer(FAKE_DEADLINES.stallMs, this.closed.signal, true);
      }
      this.end();
    });
  }

  abort(): void {
    this.end();
  }
}

export class FakeReader extends Handle implements BlobReader {
  readonly #blob: StoredBlob;
  readonly #last: number;
  readonly #first: number;
  #index: number;

  constructor(node: FakeNode, blob: StoredBlob, range: { firstChunk: number; lastChunk: number }) {
    super(node);
    this.#blob = blob;
    this.#first = range.firstChunk;
    this.#index = range.firstChunk;
    this.#last = range.lastChunk;
  }

  next(): Promise<Buffer | null> {
    return this.call(async () => {
      if (this.#index > this.#last) {
        this.end();
        return null;
      }
      const { faults } = this.node;
      const after = this.#index - this.#first;
      if (takeFault(faults, 'cutReadAfter', after)) throw this.node.error('unreachable');
      const isStalled = takeFault(faults, 'stallReadAfter', after);
      await this.node.answer(FAKE_DEADLINES.stallMs, this.closed.signal, isStalled);
      if (faults.corruptAtChunk === this.#index || this.node.rotten.has(this.#blob.id))
        throw this.node.error('corrupt');
      if (takeFault(faults, 'endAtChunk', this.#index)) return null;
      const chunk = this.#blob.chunks[this.#index]!;
      this.#index += 1;
      return takeFault(faults, 'shortAtChunk', this.#index - 1) ? chunk.subarray(1) : chunk;
    });
  }

  close(): void {
    this.end();
  }
}

type CountedFault = {
  [K in keyof Faults]-?: Faults[K] extends number | undefined ? K : never;
}[keyof Faults];

/** True once, when the fault is due. */
function takeFault(faults: Faults, name: CountedFault, at: number): boolean {
  const due = faults[name];
  if (due === undefined || at < due) return false;
  delete faults[name];
  return true;
}
