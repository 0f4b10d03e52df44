/**
 * A NodeClient (with its control half) of one process, over the simulated network, to one simulated node. It keeps what
 * the real client promises: deadlines, error kinds, one call of a handle at a time. A call that was given up still
 * happens on the node when it arrives there; a killed node resets its connections, a killed caller never hears more.
 */
import { OVER } from '../../src/base/clock.ts';
import type { BlobId, Epoch } from '../../src/base/ids.ts';
import {
  type BlobReader,
  type BlobWriter,
  type InventoryEntry,
  type NodeClient,
  type NodeControl,
  NodeError,
  type NodeErrorKind,
  type NodeState,
  type NodeStatus,
  type PullRequest,
  type ScrubStatus,
  type WriteIntent,
} from '../../src/nodes/protocol.ts';
import { FAKE_DEADLINES } from './fake-node.ts';
import type { Network } from './network.ts';
import type { Process } from './process.ts';
import type { SimNode } from './sim-node.ts';

/** A moment on a node at which a schedule may strike: before a call takes effect, or between that and its answer. */
export type Hazard = (point: {
  readonly what: string;
  readonly when: 'before' | 'after';
  node: SimNode;
}) => void;

interface CallOptions {
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** The message may come twice. */
  readonly mayRepeat?: boolean;
  readonly isLastResort?: boolean;
}
/** A pull and a check work on many blobs. */
const LONG_MS = 60_000;

export class WireClient implements NodeClient, NodeControl {
  readonly member: NodeClient['member'];
  /** Told of every question before it is sent. */
  onCall: (what: string, isLastResort: boolean) => void = () => {};
  readonly #from: Process;
  readonly #node: SimNode;
  readonly #network: Network;
  readonly #hazard: Hazard;

  constructor(o: { from: Process; node: SimNode; network: Network; hazard: Hazard }) {
    this.member = o.node.member;
    this.#from = o.from;
    this.#node = o.node;
    this.#network = o.network;
    this.#hazard = o.hazard;
  }

  async write(
    id: BlobId,
    size: number,
    intent: WriteIntent,
    options?: { epoch?: Epoch; signal?: AbortSignal; oneShot?: boolean },
  ): Promise<BlobWriter> {
    const { signal, ...rest } = options ?? {};
    const open = () => this.#node.core.write(id, size, intent, rest);
    const core = await this.call('write', open, { signal });
    return new WireWriter(this, core);
  }

  async read(
    id: BlobId,
    blob: { size: number; root: Buffer },
    range: { firstChunk: number; lastChunk: number },
    options?: { epoch?: Epoch; signal?: AbortSignal; lastResort?: boolean; purpose?: 'replication' },
  ): Promise<BlobReader> {
    const { signal, ...rest } = options ?? {};
    const isControl = rest.purpose === 'replication';
    const core = await this.call(
      isControl ? 'replicate' : 'read',
      () => this.#node.core.read(id, blob, range, rest),
      { signal, isLastResort: rest.lastResort === true },
    );
    return new WireReader(this, core);
  }

  stat = (id: BlobId) => this.call('stat', () => this.#node.core.stat(id));
  confirm = (ids: readonly BlobId[]) =>
    this.call('confirm', () => this.#node.core.confirm(ids), { mayRepeat: true });
  delete = (ids: readonly BlobId[], options?: { epoch?: Epoch }) =>
    this.call('delete', () => this.#node.core.delete(ids, options), { mayRepeat: true });
  pending = (query: { before: number; after?: BlobId; max: number }) =>
    this.call('pending', () => this.#node.core.pending(query));
  inventory = (query: {
    after?: BlobId;
    max: number;
    prefix?: string;
    scope?: 'home' | 'handoff';
  }): Promise<readonly InventoryEntry[]> => this.call('inventory', () => this.#node.core.inventory(query));
  status = (): Promise<NodeStatus> => this.call('status', () => this.#node.core.status());
  close = async () => {};

  setCondition = (condition: { state: NodeState; epoch: Epoch }) =>
    this.call('setCondition', () => this.#node.setCondition(condition), { mayRepeat: true });
  pull = (request: PullRequest, signal?: AbortSignal) =>
    this.call('pull', () => this.#node.core.pull(request), { signal, deadlineMs: LONG_MS });
  digests = (prefix?: string) => this.call('digests', () => this.#node.core.digests(prefix));
  drop = (ids: readonly BlobId[]) => this.call('drop', () => this.#node.core.drop(ids), { mayRepeat: true });
  check = (ids: readonly BlobId[], signal?: AbortSignal) =>
    this.call('check', () => this.#node.core.check(ids), { signal, deadlineMs: LONG_MS });
  damage = (query: { after?: BlobId; max: number }) =>
    this.call('damage', () => this.#node.core.damage(query));
  forgetDamage = (ids: readonly BlobId[]) =>
    this.call('forgetDamage', () => this.#node.core.forgetDamage(ids), { mayRepeat: true });
  scrub = (): Promise<ScrubStatus> => this.call('scrub', () => this.#node.core.scrub());

  async search(question: Buffer, options: { epoch?: Epoch; signal?: AbortSignal } = {}): Promise<Buffer> {
    const ask = async () => {
      this.#node.core.admit(options);
      const reply = await this.#node.answer(question, 'point-to-point');
      if (!reply) throw this.error('protocol', 'no answer');
      return reply.bytes;
    };
    return await this.call('search', ask, { signal: options.signal });
  }

  error(kind: NodeErrorKind, message: string): NodeError {
    return new NodeError(kind, this.member, message);
  }

  /** One question and its answer. */
  call<T>(what: string, run: () => Promise<T>, options: CallOptions = {}): Promise<T> {
    const { signal, deadlineMs = FAKE_DEADLINES.firstByteMs } = options;
    this.onCall(what, options.isLastResort === true);
    return new Promise<T>((resolve, reject) => {
      if (signal?.aborted) return reject(this.error('aborted', what));
      let isOver = false;
      const end = (settle: () => void) => {
        if (isOver) return;
        isOver = true;
        this.#from.cancel(deadline);
        signal?.removeEventListener('abort', onAbort);
        settle();
      };
      const fail = (error: unknown) => end(() => reject(error));
      const onAbort = () => fail(this.error('aborted', what));
      signal?.addEventListener('abort', onAbort, { once: true });
      const deadline = this.#from.after(deadlineMs, () => fail(this.error('timeout', what)));
      const refused = () => this.#from.run(() => fail(this.error('unreachable', what)));
      this.#network.send(this.#from.id, this.member, () => this.#arrived(what, run, { end, resolve, fail }), {
        refused,
        mayRepeat: options.mayRepeat === true,
      });
    });
  }

  /** Tells the node and waits for nothing. */
  tell(run: () => void): void {
    this.#network.send(this.#from.id, this.member, () => this.#node.process?.run(run));
  }

  #arrived<T>(
    what: string,
    run: () => Promise<T>,
    caller: { end(settle: () => void): void; resolve(value: T): void; fail(error: unknown): void },
  ): void {
    const { process } = this.#node;
    const answer = (settle: () => void) =>
      this.#network.send(this.member, this.#from.id, () => this.#from.run(settle));
    const reset = () => answer(() => caller.fail(this.error('unreachable', `${what}: reset`)));
    if (!process) {
      reset();
      return;
    }
    const forget = process.onKill(reset);
    process.run(() => {
      this.#hazard({ what, when: 'before', node: this.#node });
      if (process.isDead) return;
      run().then(
        (value) => {
          this.#hazard({ what, when: 'after', node: this.#node });
          if (process.isDead) return;
          forget();
          answer(() => caller.end(() => caller.resolve(value)));
        },
        (error: unknown) => {
          forget();
          answer(() => caller.fail(error));
        },
      );
    });
  }
}

/** Handles are open until they end; a call in flight ends when they are closed. */
abstract class Handle {
  protected readonly client: WireClient;
  protected readonly closed = new AbortController();
  #isOpen = true;
  #isBusy = false;

  constructor(client: WireClient) {
    this.client = client;
  }

  /** True the first time. */
  protected end(): boolean {
    const wasOpen = this.#isOpen;
    this.#isOpen = false;
    this.closed.abort(OVER);
    return wasOpen;
  }

  protected async once<T>(what: string, run: () => Promise<T>): Promise<T> {
    if (this.#isBusy) throw new Error(`${this.client.member}: two calls at once`);
    if (!this.#isOpen) throw this.client.error('aborted', what);
    this.#isBusy = true;
    try {
      return await this.client.call(what, run, {
        deadlineMs: FAKE_DEADLINES.stallMs,
        signal: this.closed.signal,
      });
    } catch (error) {
      this.end();
      throw error;
    } finally {
      this.#isBusy = false;
    }
  }
}

class WireWriter extends Handle implements BlobWriter {
  readonly #core: BlobWriter;

  constructor(client: WireClient, core: BlobWriter) {
    super(client);
    this.#core = core;
  }

  write(chunk: Buffer, digest: Buffer): Promise<void> {
    return this.once('chunk', () => this.#core.write(chunk, digest));
  }

  async finish(root: Buffer): Promise<void> {
    await this.once('finish', () => this.#core.finish(root));
    this.end();
  }

  abort(reason: unknown): void {
    if (this.end()) this.client.tell(() => this.#core.abort(reason));
  }
}

class WireReader extends Handle implements BlobReader {
  readonly #core: BlobReader;

  constructor(client: WireClient, core: BlobReader) {
    super(client);
    this.#core = core;
  }

  next(): Promise<Buffer | null> {
    return this.once('next', () => this.#core.next());
  }

  close(): void {
    if (this.end()) this.client.tell(() => this.#core.close());
  }
}
