/**
 * A directory answers searches for buckets as a node does for blobs: by datagram to its center's group, and over its control
 * port. The epoch that it names is its server's timeline. Nobody is refused by it, as whoever asks takes a hint for a hint.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Clock, Random } from '../base/clock.ts';
import type { Epoch, MemberId } from '../base/ids.ts';
import type { MemberConfig } from '../config.ts';
import { buildTopology } from '../twin/load.ts';
import { createAnswerer, type Look } from '../twin/search-answerer.ts';
import { type GroupAddress, listenWherePossible } from '../twin/search-multicast.ts';
import { searchKey } from '../twin/search-wire.ts';
import { openAgentLook } from './agent-look.ts';
import { readControlFile } from './control-file.ts';
import { SUPERUSER } from './postgres-config.ts';
import { searchPlace } from './search.ts';
import { readKey, readPasswords } from './secrets.ts';

export interface NameAnswers {
  /** Point to point; null: silence. */
  answer(question: Buffer): Promise<Buffer | null>;
  close(): Promise<void>;
}
/** Answers nobody: for a directory that the topology does not place. */
export const NO_ANSWERS: NameAnswers = { answer: async () => null, close: async () => {} };

export interface NameAnswersOptions {
  readonly member: MemberId;
  readonly center: string;
  /** null: point to point alone. */
  readonly group: GroupAddress | null;
  readonly address: string;
  readonly secret: Buffer;
  readonly look: Look;
  /** null: there is no server to speak of. */
  readonly timeline: () => number | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'warn'>;
}

export async function openNameAnswers(o: NameAnswersOptions): Promise<NameAnswers> {
  const { member, center, group, address, look, clock, random, log } = o;
  const answerer = createAnswerer({
    ...{ member, center, look, clock },
    key: searchKey(o.secret),
    standing: () => o.timeline() as Epoch | null,
    // Timelines of several pairs have no order among each other.
    refusesOlder: false,
  });
  const ears = await listenWherePossible({ group, address, answerer, clock, random, log });
  return {
    async answer(question) {
      const reply = await answerer.answer(question, 'point-to-point');
      return 'silent' in reply ? null : reply.bytes;
    },
    close: () => ears.close(),
  };
}

/** For the process of a directory. */
export async function openAgentSearch(
  config: MemberConfig,
  { clock, log }: { readonly clock: Clock; readonly log: Pick<Logger, 'warn' | 'debug'> },
): Promise<NameAnswers> {
  const member = config.member as MemberId;
  const self = config.cluster.members.find(({ id }) => id === member);
  const secret = readKey(config.secretsDir, 'cluster');
  const place = searchPlace(config, buildTopology(config.cluster), member, secret);
  if (!self || !place) return NO_ANSWERS;
  const { address, port } = self;
  const server = { user: SUPERUSER, password: readPasswords(config.secretsDir).superuser };
  const looking = openAgentLook({ host: address, port, ...server, clock, log });
  const answers = await openNameAnswers({
    ...{ ...place, member, address, secret, clock, log },
    look: looking.look,
    timeline: () => readControlFile(join(config.dataDir, 'pg'))?.timeline ?? null,
    random: Math.random,
  });
  return {
    answer: answers.answer,
    async close() {
      looking.close();
      await answers.close();
    },
  };
}
