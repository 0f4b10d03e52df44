/**
 * Conditions, pulls, digests, damage and the scrub's figures as JSON between client and node. Peers are authenticated,
 * yet what they send is parsed once, with bounds, and trusted afterwards.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import type { BlobId, Epoch, MemberId } from '../base/ids.ts';
import {
  blobIdSchema,
  digestSchema,
  IDS_MAX,
  intentSchema,
  memberSchema,
  sizeSchema,
} from './entry-codec.ts';
import type { Damage, NodeState, PullRequest, PullResult, RangeDigest, ScrubStatus } from './protocol.ts';

export const SOURCES_MAX = 16;
export const CHECKS_MAX = 100;
/** 1,000 blobs with the longest keys, every byte escaped, take 7 MB. */
export const PULL_BYTES_MAX = 8 * 1024 * 1024;
const ERROR_CHARACTERS_MAX = 500;

const conditionSchema = z.object({
  state: z.enum(['fenced', 'resyncing', 'serving']),
  epoch: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
});
export const conditionFromJson = (value: unknown): { state: NodeState; epoch: Epoch } => {
  const { state, epoch } = conditionSchema.parse(value);
  return { state, epoch: epoch as Epoch };
};

const catalogIdSchema = z.string().regex(/^[0-9a-f-]{36}$/);
const catalogSchema = z.object({ id: catalogIdSchema, instead: catalogIdSchema.optional() });
export const catalogFromJson = (value: unknown): { id: string; instead?: string | undefined } =>
  catalogSchema.parse(value);

const rateSchema = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER);
const pullSchema = z.object({
  sources: z
    .array(
      z.object({
        member: memberSchema,
        address: z.string().refine((text) => isIP(text) !== 0),
        port: z.number().int().min(1).max(65_535),
      }),
    )
    .max(SOURCES_MAX),
  blobs: z
    .array(
      z.object({
        id: blobIdSchema,
        size: sizeSchema,
        root: digestSchema,
        state: z.enum(['pending', 'confirmed']),
        intent: intentSchema,
        replace: z.boolean().default(false),
      }),
    )
    .max(IDS_MAX),
  bytesPerSecondMax: rateSchema.optional(),
});
export function pullFromJson(value: unknown): PullRequest {
  const { sources, blobs, bytesPerSecondMax } = pullSchema.parse(value);
  return {
    sources: sources.map((source) => ({ ...source, member: source.member as MemberId })),
    blobs,
    ...(bytesPerSecondMax === undefined ? {} : { bytesPerSecondMax }),
  };
}
export const pullToJson = ({ sources, blobs, bytesPerSecondMax }: PullRequest): unknown => ({
  sources: sources.map(({ member, address, port }) => ({ member, address, port })),
  blobs: blobs.map((blob) => ({ ...blob, root: blob.root.toString('hex') })),
  bytesPerSecondMax,
});

const KINDS = [
  'unreachable',
  'timeout',
  'not-found',
  'corrupt',
  'full',
  'stale-epoch',
  'fenced',
  'unauthorized',
  'conflict',
  'aborted',
  'protocol',
] as const;
const pullResultSchema = z.object({
  id: blobIdSchema,
  outcome: z.enum(['pulled', 'had', 'failed']),
  kind: z.enum(KINDS).optional(),
  error: z.string().optional(),
});
/** In the order of `asked`. @throws when it answers something else */
export function pullResultsFromJson(value: unknown, asked: readonly BlobId[]): PullResult[] {
  const results = z.array(pullResultSchema).length(asked.length).parse(value);
  return results.map(({ id, outcome, kind, error }, i) => {
    if (id !== asked[i]) throw new TypeError('a result of another blob');
    return { id, outcome, ...(kind ? { kind } : {}), ...(error ? { error } : {}) };
  });
}
export const pullResultToJson = (result: PullResult): unknown => ({
  ...result,
  error: result.error?.slice(0, ERROR_CHARACTERS_MAX),
});

export const prefixSchema = z.string().regex(/^(?:[0-9a-f]{2}|[0-9a-f]{4})$/);
const digestsSchema = z.array(
  z.object({ prefix: prefixSchema, count: z.number().int().positive(), sum: digestSchema }),
);
export const digestsFromJson = (value: unknown): RangeDigest[] => digestsSchema.parse(value);
export const digestToJson = (range: RangeDigest): unknown => ({ ...range, sum: range.sum.toString('hex') });

const damageSchema = z.array(
  z.object({ id: blobIdSchema, kind: z.enum(['missing', 'corrupt']), foundAt: z.number() }),
);
export const damageFromJson = (value: unknown): Damage[] => damageSchema.parse(value);

const scrubCommandSchema = z.object({
  start: z.boolean().optional(),
  bytesPerSecondMax: rateSchema.optional(),
});
export interface ScrubCommand {
  readonly start?: boolean;
  readonly bytesPerSecondMax?: number;
}
export function scrubCommandFromJson(value: unknown): ScrubCommand {
  const { start, bytesPerSecondMax } = scrubCommandSchema.parse(value);
  return {
    ...(start === undefined ? {} : { start }),
    ...(bytesPerSecondMax === undefined ? {} : { bytesPerSecondMax }),
  };
}

const scrubStatusSchema = z.object({
  bytes: z.number(),
  blobs: z.number(),
  roundStartedAt: z.number().nullable(),
  lastRoundEndedAt: z.number().nullable(),
  bytesPerSecondMax: z.number(),
});
export const scrubStatusFromJson = (value: unknown): ScrubStatus => scrubStatusSchema.parse(value);
