/** The admin API's documents about notifications (src/ddm/notification-queue.ts): queues of webhooks, and dead letters. */
import { z } from 'zod';

export interface TargetReport {
  readonly target: string;
  readonly directory: string;
  /** Whether this gateway's configuration has it. */
  readonly declared: boolean;
  /** Both counted up to 10,000. */
  readonly queued: number;
  readonly dead: number;
  /** How long the one that is due the longest has waited; 0: nothing waits. */
  readonly oldestSeconds: number;
}
export interface NotificationsReport {
  readonly targets: readonly TargetReport[];
}
export interface DeadLetterReport {
  readonly event: string;
  readonly target: string;
  readonly directory: string;
  readonly bucket: string;
  readonly key: string;
  readonly name: string;
  readonly at: string;
  readonly diedAt: string;
  readonly attempts: number;
  readonly error: string;
  /** What was sent. */
  readonly message: unknown;
}
export interface DeadLettersReport {
  readonly deadLetters: readonly DeadLetterReport[];
}
export interface DeadLettersTaken {
  readonly taken: number;
}

const which = {
  target: z.string().min(1).max(64).optional(),
  bucket: z.string().min(1).max(63).optional(),
  event: z.uuid().optional(),
};
export const deadLettersQuery = z.strictObject({
  ...which,
  max: z.coerce.number().int().min(1).max(1_000).default(100),
});
/** Naming nothing has to be meant. */
export const deadLettersOrder = z
  .strictObject({ ...which, all: z.boolean().default(false) })
  .refine(
    ({ target, bucket, event, all }) =>
      all || target !== undefined || bucket !== undefined || event !== undefined,
    'name a target, a bucket or an event, or say all',
  );
