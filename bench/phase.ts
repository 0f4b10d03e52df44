/** One phase of a run: so many requests at once of one kind (or of a mix) until the time or the count is used up. */

import type { Content } from './content.ts';
import { OPERATIONS, type Operation, type PhaseName, type Weights } from './options.ts';
import type { S3 } from './s3.ts';

export interface PhasePlan {
  readonly phase: PhaseName;
  readonly concurrency: number;
  readonly count: number;
  readonly durationMs: number;
  readonly objects: number;
  readonly prefix: string;
  readonly weights: Weights;
}

/** What one process measured. Latencies are in milliseconds, of requests that succeeded. */
export interface PhaseResult {
  readonly latencies: number[];
  readonly bytes: number;
  readonly elapsedMs: number;
  /** How often each kind of error happened. */
  readonly errors: Record<string, number>;
}

const LIST_KEYS_MAX = 1000;
const FILL_TRIES = 5;

export async function runPhase(s3: S3, content: Content, plan: PhasePlan): Promise<PhaseResult> {
  const latencies: number[] = [];
  const errors: Record<string, number> = {};
  let bytes = 0;
  let started = 0;
  const limit = plan.phase === 'delete' ? Math.min(plan.count, plan.objects) : plan.count;
  const beganAt = performance.now();
  const choose = chooser(plan);
  const worker = async () => {
    while (started < limit && performance.now() - beganAt < plan.durationMs) {
      const turn = started++;
      const operation = choose();
      const sequential = plan.phase === 'put' || plan.phase === 'delete';
      const index = sequential ? turn % plan.objects : Math.floor(Math.random() * plan.objects);
      const at = performance.now();
      try {
        const moved = await request(s3, content, plan, operation, index);
        bytes += moved;
        latencies.push(performance.now() - at);
      } catch (error) {
        const kind = kindOf(error);
        errors[kind] = (errors[kind] ?? 0) + 1;
      }
    }
  };
  await Promise.all(Array.from({ length: plan.concurrency }, worker));
  return { latencies, bytes, elapsedMs: performance.now() - beganAt, errors };
}

/** Writes every key that later phases expect, unmeasured; a busy store is asked again. */
export async function fill(s3: S3, content: Content, plan: PhasePlan): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < plan.objects; index = next++) {
      for (let tries = 1; ; tries++) {
        try {
          await s3.put(keyOf(plan.prefix, index), content, index);
          break;
        } catch (error) {
          if (tries < FILL_TRIES) continue;
          throw new Error(`the objects to measure with could not be written: ${kindOf(error)}`);
        }
      }
    }
  };
  await Promise.all(Array.from({ length: plan.concurrency }, worker));
}

async function request(
  s3: S3,
  content: Content,
  plan: PhasePlan,
  operation: Operation,
  index: number,
): Promise<number> {
  const key = keyOf(plan.prefix, index);
  switch (operation) {
    case 'put':
      await s3.put(key, content, index);
      return content.size;
    case 'get':
      // In a mix a key may be between its DELETE and its next PUT.
      return await s3.get(key, content, index, { absentIsFine: plan.phase === 'mixed' });
    case 'head':
      await s3.head(key, { absentIsFine: plan.phase === 'mixed' });
      return 0;
    case 'list':
      await s3.list(plan.prefix, LIST_KEYS_MAX);
      return 0;
    case 'delete':
      await s3.delete(key);
      return 0;
  }
}

export const keyOf = (prefix: string, index: number) => `${prefix}${String(index).padStart(8, '0')}`;

function chooser(plan: PhasePlan): () => Operation {
  const { phase } = plan;
  if (phase !== 'mixed') return () => phase;
  const total = OPERATIONS.reduce((sum, name) => sum + plan.weights[name], 0);
  return () => {
    let rest = Math.random() * total;
    for (const name of OPERATIONS) {
      rest -= plan.weights[name];
      if (rest < 0) return name;
    }
    return 'get';
  };
}

function kindOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? String(error);
}
