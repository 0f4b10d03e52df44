/**
 * A network for searches in memory, on any clock: datagrams reach every member that listens to the center's group,
 * answers come back after their jitter, questions point to point go to one member. Whoever is in between can change,
 * drop or repeat what passes. Counts what was sent.
 */
import type { Clock, Random } from '../../src/base/clock.ts';
import type { Epoch, MemberId } from '../../src/base/ids.ts';
import type { SearchMode } from '../../src/twin/search.ts';
import { type Answerer, createAnswerer, type Look } from '../../src/twin/search-answerer.ts';
import { createSearcher, type SearcherOptions } from '../../src/twin/search-asker.ts';
import { searchKey } from '../../src/twin/search-wire.ts';

export const NET_SECRET = Buffer.alloc(32, 9);

export interface NetMember {
  readonly member: MemberId;
  readonly center: string;
  readonly answerer: Answerer;
  /** null: it keeps silent. */
  epoch: Epoch | null;
  /** Datagrams, or everything, do not reach it. */
  deaf: 'no' | 'multicast' | 'all';
  answers: number;
}

export class SearchNet {
  readonly members = new Map<MemberId, NetMember>();
  /** Datagrams to groups, by center, and questions point to point, by member. */
  readonly sent = { datagrams: new Map<string, number>(), questions: new Map<MemberId, number>() };
  /** What arrives of a datagram or of an answer to one; none: it is lost. */
  passQuestion: (bytes: Buffer) => readonly Buffer[] = (bytes) => [bytes];
  passAnswer: (bytes: Buffer, from: MemberId) => readonly Buffer[] = (bytes) => [bytes];
  /** Gives the asker a datagram out of nowhere. */
  inject: (bytes: Buffer) => void = () => {};
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  add(member: string, center: string, look: Look, secret = NET_SECRET): NetMember {
    const added: NetMember = {
      member: member as MemberId,
      center,
      epoch: 1 as Epoch,
      deaf: 'no',
      answers: 0,
      answerer: createAnswerer({
        member: member as MemberId,
        center,
        key: searchKey(secret),
        clock: this.#clock,
        standing: () => added.epoch,
        look,
        onAnswer: () => {
          added.answers += 1;
        },
      }),
    };
    this.members.set(added.member, added);
    return added;
  }

  searcher(mode: SearchMode, more: Partial<SearcherOptions> = {}) {
    return createSearcher({
      mode,
      key: searchKey(NET_SECRET),
      clock: this.#clock,
      multicast: this.#port(),
      askMember: (member, question, signal) => this.#askMember(member, question, signal),
      epochOf: () => 1 as Epoch,
      random: this.#random,
      ...more,
    });
  }

  #port(): NonNullable<SearcherOptions['multicast']> {
    return {
      onDatagram: (listener) => {
        this.inject = listener;
      },
      open: async (center) => ({
        replyPort: 4_000,
        send: async (datagram) => {
          this.sent.datagrams.set(center, (this.sent.datagrams.get(center) ?? 0) + 1);
          for (const bytes of this.passQuestion(datagram)) {
            for (const member of this.members.values()) {
              if (member.center === center && member.deaf === 'no') void this.#hear(member, bytes);
            }
          }
        },
      }),
      close: async () => {},
    };
  }

  async #hear(member: NetMember, bytes: Buffer): Promise<void> {
    const reply = await member.answerer.answer(bytes, 'multicast');
    if ('silent' in reply) return;
    await this.#clock.sleep(this.#random() * reply.question.windowMs);
    for (const passed of this.passAnswer(reply.bytes, member.member)) this.inject(passed);
  }

  async #askMember(id: MemberId, question: Buffer, signal: AbortSignal): Promise<Buffer> {
    this.sent.questions.set(id, (this.sent.questions.get(id) ?? 0) + 1);
    const member = this.members.get(id);
    if (!member || member.deaf === 'all') {
      await this.#clock.sleep(60_000, signal);
      throw new Error('no answer');
    }
    await this.#clock.sleep(this.#random(), signal);
    const reply = await member.answerer.answer(question, 'point-to-point');
    if ('silent' in reply) throw new Error(`silent: ${reply.silent}`);
    return reply.bytes;
  }
}
