/**
 * A storage node that lives: its process starts (fenced), stops, is killed; its disk stays, rots or is replaced by an
 * empty one. What it answers is the fake node's; here is what becomes of the machine around it.
 */
import type { Random } from '../../src/base/clock.ts';
import type { BlobId, Epoch, MemberId } from '../../src/base/ids.ts';
import type { NodeState, NodeStatus } from '../../src/nodes/protocol.ts';
import type { SearchTransport } from '../../src/twin/search.ts';
import { type Answerer, createAnswerer } from '../../src/twin/search-answerer.ts';
import { NodeCore, type PeerReads } from './node-core.ts';
import { Process } from './process.ts';
import { SEARCH_KEY } from './sim-search.ts';
import type { Trace } from './trace.ts';
import type { VirtualClock } from './virtual-clock.ts';

export class SimNode {
  readonly member: MemberId;
  readonly core: NodeCore;
  /** null while it does not run. */
  process: Process | null = null;
  /** When it last was not up, running and serving, or changed its disk. */
  #disturbedAt = 0;
  readonly #onServing: (node: SimNode) => void;
  readonly #center: string;
  #answerer!: Answerer;
  readonly #heldSince = new Map<BlobId, number>();
  readonly #clock: VirtualClock;
  readonly #trace: Trace;

  constructor(o: {
    member: MemberId;
    center: string;
    clock: VirtualClock;
    random: Random;
    trace: Trace;
    /** How it reaches the others, to pull: over lines of its own. */
    peers: (from: SimNode) => PeerReads;
    onStored: (node: SimNode, id: BlobId) => void;
    onRemoved: (node: SimNode, id: BlobId) => void;
    onServing: (node: SimNode) => void;
  }) {
    this.member = o.member;
    this.#center = o.center;
    this.#onServing = o.onServing;
    this.#clock = o.clock;
    this.#trace = o.trace;
    const own = {
      now: () => (this.process ?? o.clock).now(),
      monotonic: () => o.clock.monotonic(),
      sleep: (ms: number, signal?: AbortSignal) => (this.process ?? o.clock).sleep(ms, signal),
    };
    this.core = new NodeCore({
      ...{ member: o.member, clock: own, random: o.random, peers: o.peers(this) },
      onStored: ({ id }) => {
        this.#heldSince.set(id, o.clock.monotonic());
        o.onStored(this, id);
      },
      onRemoved: (id) => o.onRemoved(this, id),
    });
  }

  get isUp(): boolean {
    return this.process !== null && !this.process.isStopped;
  }

  /** Since when it has been up, serving, on one disk; Infinity: it is not. */
  goodSince(): number {
    return this.isUp && this.core.state === 'serving' ? this.#disturbedAt : Number.POSITIVE_INFINITY;
  }

  start(): void {
    if (this.process) return;
    this.#note('start');
    this.process = new Process(this.member, this.#clock);
    this.core.boot();
    this.#answerer = this.#newAnswerer();
  }

  kill(): void {
    if (!this.process) return;
    this.#note('kill');
    const { process } = this;
    this.process = null;
    process.kill();
  }

  stop(): void {
    if (!this.isUp) return;
    this.#note('stop');
    this.process!.stop();
  }

  cont(): void {
    if (!this.process?.isStopped) return;
    this.#note('cont');
    this.process.cont();
  }

  /** Only while it does not run. */
  replaceDisk(): void {
    if (this.process) throw new Error(`${this.member} runs`);
    this.#note('replace-disk');
    this.core.replaceDisk();
    this.#heldSince.clear();
  }

  /** To a question of a search; null: it keeps silent. */
  async answer(
    question: Buffer,
    transport: SearchTransport,
  ): Promise<{ bytes: Buffer; windowMs: number } | null> {
    const reply = await this.#answerer.answer(question, transport);
    return 'silent' in reply ? null : { bytes: reply.bytes, windowMs: reply.question.windowMs };
  }

  #newAnswerer(): Answerer {
    return createAnswerer({
      ...{ member: this.member, center: this.#center, key: SEARCH_KEY, clock: this.#clock },
      standing: () => (this.core.state === 'serving' ? this.core.disk.epoch : null),
      look: (_kind, subject) => {
        const blob = this.blobs.get(subject as BlobId);
        if (!blob) return { has: false };
        const { size, root, state } = blob;
        return { has: true, detail: { size, root: root.toString('hex'), state } };
      },
      onAnswer: () => {
        this.core.requests += 1;
      },
    });
  }

  get blobs() {
    return this.core.disk.blobs;
  }

  /** Since when it has had a sound copy; Infinity: it has none. */
  soundSince(id: BlobId): number {
    const blob = this.blobs.get(id);
    return blob && !blob.isRotten ? this.#heldSince.get(id)! : Number.POSITIVE_INFINITY;
  }

  rot(id: BlobId): void {
    this.#note('rot', id);
    this.blobs.get(id)!.isRotten = true;
  }

  async setCondition(condition: { state: NodeState; epoch: Epoch }): Promise<NodeStatus> {
    const before = this.core.state;
    const status = await this.core.setCondition(condition);
    if (this.core.state !== before) {
      this.#note(`is-${this.core.state}`, `epoch ${condition.epoch}`);
      if (this.core.state === 'serving') this.#onServing(this);
    }
    return status;
  }

  #note(what: string, more = ''): void {
    this.#disturbedAt = this.#clock.monotonic();
    this.#trace.note(what, `${this.member} ${more}`);
  }
}
