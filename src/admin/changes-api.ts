/** The admin API's documents about the change feed (src/ddm/change-feed.ts): lines of a stream, and its consumers. */
import { z } from 'zod';
import { READER_NAME } from '../ddm/change-feed.ts';

/**
 * A place in every directory's feed: `directory/5:TX-N`, several with commas between. A directory that it does not name
 * is read from its beginning: it was not there when the position was taken.
 */
export type FeedPosition = string;

/** Every line says how far all before it, and itself, go: reading on from there repeats nothing. */
export type ChangeLine = ChangeEventLine | GapLine | PositionLine;

export interface ChangeEventLine {
  readonly type: 'change';
  /** Stable: the same however often the change is read. */
  readonly event: string;
  readonly at: string;
  readonly kind: string;
  readonly directory: string;
  readonly bucket: string;
  readonly key?: string;
  readonly versionId?: string;
  readonly deleteMarker?: boolean;
  readonly size?: number;
  readonly etag?: string;
  /** Of two changes of a key, the one with the higher number came later. */
  readonly number: number;
  /** By what request or job it was made (`via`), and by whom, where that is known. */
  readonly cause?: unknown;
  /** A bucket's own changes: its record. */
  readonly record?: unknown;
  readonly position: FeedPosition;
}
/** Changes that were trimmed before they were read. */
export interface GapLine {
  readonly type: 'gap';
  readonly event: string;
  readonly directory: string;
  readonly from: string;
  readonly to: string;
  /** null: nobody counted. */
  readonly changes: number | null;
  readonly position: FeedPosition;
}
/** Nothing of interest up to there; now and then, so that a narrow filter need not begin again far behind. */
export interface PositionLine {
  readonly type: 'position';
  readonly position: FeedPosition;
}

export interface ConsumerReport {
  readonly name: string;
  readonly directory: string;
  readonly position: string;
  readonly createdAt: string;
  readonly advancedAt: string;
  /** At most 10,000 are counted. */
  readonly unread: number;
  /** How old the oldest unread change is; 0: it has read all. */
  readonly lagSeconds: number;
  readonly gapChanges?: number;
}
export interface ConsumersReport {
  readonly consumers: readonly ConsumerReport[];
}

const DIRECTORIES_MAX = 64;
const PART = /^(directory\/\d{1,4}):((?:0|[1-9]\d{0,19})-(?:0|[1-9]\d{0,18}))$/;
const position = z.string().refine((text) => isFeedPosition(text), 'not a position of the feed');
const isFeedPosition = (text: string) => {
  const parts = text.split(',');
  return parts.length <= DIRECTORIES_MAX && parts.every((part) => PART.test(part));
};
const name = z.string().regex(READER_NAME, 'a name has letters, digits, . _ and -, at most 64');

export const changesQuery = z.strictObject({
  from: z.enum(['now', 'beginning']).or(position).optional(),
  consumer: name.optional(),
  follow: z.enum(['0', '1']).default('0'),
  bucket: z.string().min(1).max(63).optional(),
  prefix: z.string().max(1024).optional(),
});
export const newConsumer = z.strictObject({
  name,
  from: z.enum(['now', 'beginning']).or(position).default('now'),
});
export const consumerProgress = z.strictObject({ position });
export const consumerName = z.strictObject({ name });

/** Of a text that has been checked. */
export const positionParts = (text: FeedPosition): readonly (readonly [pair: string, at: string])[] =>
  text.split(',').map((part) => {
    const [, pair, at] = PART.exec(part)!;
    return [pair!, at!] as const;
  });
