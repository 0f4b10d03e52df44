/**
 * One blob's way onto the members of one plan. Each replica is a slot: open → written → done, or lost at any point.
 * A slot lost while opening is opened on a handoff node; one lost later leaves the stream to the other, and once the
 * survivor has everything a handoff node copies it from there. Resolves only when the durability asked for is fsynced.
 */
import type { BlobId, Epoch, MemberId } from '../base/ids.ts';
import type { BlobRef, Durability } from '../ddm/catalog.ts';
import { type BlobWriter, NodeError, type WriteIntent } from '../nodes/protocol.ts';
import type { WrittenBlob } from './dosm.ts';
import type { Guard } from './guard.ts';
import { type CopyDeps, copyToHandoff, handoffCandidates } from './handoff-copy.ts';
import type { WritePlan } from './write-plan.ts';

export interface AttemptInput {
  readonly plan: WritePlan;
  readonly id: BlobId;
  /** The pair's, as known when the plan was made. */
  readonly epoch: Epoch;
  readonly size: number;
  readonly intent: WriteIntent;
  readonly durability: Durability;
  /** Whether the bytes can still be sent to another pair. */
  readonly canReplay: () => boolean;
}
interface Slot {
  readonly home: MemberId;
  member: MemberId;
  writer: BlobWriter | null;
  isDone: boolean;
  failure: NodeError | null;
}

export class Attempt {
  readonly #deps: CopyDeps;
  readonly #guard: Guard;
  readonly #input: AttemptInput;
  readonly #slots: readonly Slot[];
  /** Who may have the whole blob, acknowledged or not. */
  readonly #contacted = new Set<MemberId>();
  readonly #tried = new Set<MemberId>();
  #isOver = false;

  constructor(deps: CopyDeps, guard: Guard, input: AttemptInput) {
    this.#deps = deps;
    this.#guard = guard;
    this.#input = input;
    this.#slots = input.plan.targets.map((target) => ({
      ...{ ...target, writer: null, isDone: false, failure: null },
    }));
  }

  /** @throws {NodeError} the plan cannot be carried out */
  async open(): Promise<void> {
    await this.#all(this.#slots, (slot) => this.#openOn(slot, slot.member));
    this.#throwIfStale();
    for (const slot of this.#lost()) if (this.#mayStandIn(slot)) await this.#openHandoff(slot);
    this.#requireEnough();
  }

  /** Resolves when every open slot has room for more. @throws {NodeError} too few are left */
  async write(chunk: Buffer, digest: Buffer): Promise<void> {
    await this.#all(this.#live(), (slot) => slot.writer!.write(chunk, digest));
    this.#requireEnough();
  }

  /** @throws {NodeError} it is not kept as the durability asks */
  async finish(root: Buffer): Promise<WrittenBlob> {
    const { durability, id, size } = this.#input;
    const live = this.#live();
    for (const slot of live) this.#contacted.add(slot.member);
    const finishing = live.map((slot) => this.#settle(slot, () => this.#finishOn(slot, root)));
    await this.#guard.race(durability === 'one' ? firstDone(live, finishing) : Promise.all(finishing));
    this.#throwIfStale();
    if (durability !== 'one') this.#requireEnough();
    else if (!live.some((slot) => slot.isDone)) throw this.#lastFailure();
    if (durability === 'two-copies') await this.#copyForLost({ id, size, root });
    return this.#written(root);
  }

  abort(reason: unknown): void {
    this.#isOver = true;
    for (const slot of this.#slots) {
      slot.writer?.abort(reason);
      slot.writer = null;
    }
    if (this.#contacted.size > 0) this.#deps.discard(this.#input.id, [...this.#contacted]);
  }

  #live = (): readonly Slot[] => this.#slots.filter((slot) => slot.writer !== null);
  #lost = (): readonly Slot[] => this.#slots.filter((slot) => slot.failure !== null);
  #holders = (): readonly MemberId[] =>
    this.#slots.filter((slot) => slot.writer !== null || slot.isDone).map((slot) => slot.member);

  async #all(slots: readonly Slot[], run: (slot: Slot) => Promise<void>): Promise<void> {
    await this.#guard.race(Promise.all(slots.map((slot) => this.#settle(slot, () => run(slot)))));
  }

  /** Never rejects for what a node did: that loses the slot. */
  async #settle(slot: Slot, run: () => Promise<void>): Promise<void> {
    const { member } = slot;
    try {
      await run();
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      this.#deps.health.failed(error);
      if (error.kind === 'fenced') void this.#deps.view.reloadSoon();
      this.#tried.add(member);
      slot.failure = error;
      slot.writer = null;
    }
  }

  async #openOn(slot: Slot, member: MemberId): Promise<void> {
    const { view } = this.#deps;
    const { id, size, intent } = this.#input;
    const { signal } = this.#guard;
    const told = member === slot.home ? intent : { ...intent, handoffFor: slot.home };
    slot.member = member;
    slot.failure = null;
    const writer = await view.client(member).write(id, size, told, { signal, ...view.epochFor(member) });
    if (this.#isOver) writer.abort(this.#guard.signal.reason);
    else slot.writer = writer;
  }

  async #finishOn(slot: Slot, root: Buffer): Promise<void> {
    await slot.writer!.finish(root);
    slot.isDone = true;
    slot.writer = null;
    this.#deps.health.good(slot.member);
  }

  /** A full member is no absent one: while the bytes can go to another pair, they do. */
  #mayStandIn(slot: Slot): boolean {
    if (this.#input.durability !== 'two-copies') return false;
    const isFull = slot.failure?.kind === 'full' && slot.member === slot.home;
    return !(isFull && this.#input.canReplay());
  }

  async #openHandoff(slot: Slot): Promise<void> {
    const candidates = this.#candidates().slice(0, this.#deps.tuning.handoffAttemptsMax);
    for (const node of candidates) {
      await this.#all([slot], () => this.#openOn(slot, node));
      if (slot.writer) return;
    }
  }

  #candidates(): readonly MemberId[] {
    const { plan, id } = this.#input;
    const survivors = this.#holders();
    return handoffCandidates(this.#deps.view, {
      ...{ pair: plan.pair, survivors, except: this.#tried, blob: { id } },
    });
  }

  /** Whether what is left can still become what was asked for. */
  #requireEnough(): void {
    this.#throwIfStale();
    const lost = this.#lost();
    if (lost.length === 0) return;
    const { durability, canReplay } = this.#input;
    const failure = this.#lastFailure();
    const holders = this.#holders();
    if (holders.length === 0) throw failure;
    if (durability === 'one') return;
    const homes = this.#slots.filter((slot) => slot.failure === null && slot.member === slot.home);
    if (homes.length === 0 && canReplay()) throw failure;
    if (!lost.every((slot) => this.#mayStandIn(slot)) || this.#candidates().length === 0) throw failure;
  }

  /** Under a later epoch everything is planned anew, where that is still possible. */
  #throwIfStale(): void {
    const stale = this.#lost().find((slot) => slot.failure?.kind === 'stale-epoch');
    if (stale && this.#input.canReplay()) throw stale.failure;
  }

  #lastFailure(): NodeError {
    const failures = this.#lost().map((slot) => slot.failure!);
    return failures.find((failure) => failure.kind !== 'full') ?? failures[0]!;
  }

  async #copyForLost(blob: { id: BlobId; size: number; root: Buffer }): Promise<void> {
    const { plan, intent } = this.#input;
    for (const slot of this.#lost()) {
      slot.member = await copyToHandoff(this.#deps, {
        ...{ blob, pair: plan.pair, intent, absent: slot.home },
        ...{ survivors: this.#holders(), except: this.#tried, signal: this.#guard.signal },
      });
      this.#contacted.add(slot.member);
      slot.failure = null;
      slot.isDone = true;
    }
  }

  #written(root: Buffer): WrittenBlob {
    const { plan, id, size, intent, epoch, durability } = this.#input;
    const away = this.#slots.filter((slot) => slot.isDone && slot.member !== slot.home);
    const late = this.#slots.filter((slot) => !slot.isDone).map((slot) => slot.home);
    const lagging = durability === 'one' ? [...plan.lagging, ...late] : [];
    // A handoff node that was given up may have it all the same, and no row would ever name it there.
    const strays = [...this.#tried].filter(
      (member) => this.#contacted.has(member) && !plan.pair.members.includes(member),
    );
    if (strays.length > 0) this.#deps.discard(id, strays);
    const blob: BlobRef = {
      ...{ id, size, root, pair: plan.pair.id },
      ...(away.length > 0 && {
        offMap: away.map((slot) => slot.member),
        absent: away.map((slot) => slot.home),
      }),
    };
    return { blob, intentAt: intent.intentAt, epoch, ...(lagging.length > 0 && { lagging }) };
  }
}

/** Resolves with the first that is done, or when all have ended; rejects as Promise.all does. */
function firstDone(slots: readonly Slot[], finishing: readonly Promise<void>[]): Promise<unknown> {
  const done = finishing.map(async (promise, index) => {
    await promise;
    if (!slots[index]!.isDone) await Promise.all(finishing);
  });
  return Promise.race(done);
}
