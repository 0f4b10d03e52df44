/** One client process of a run: does the phases that bench.ts tells it, and answers with what it measured. */
import { type Content, createContent } from './content.ts';
import type { BenchOptions } from './options.ts';
import { fill, type PhasePlan, type PhaseResult, runPhase } from './phase.ts';
import { createS3 } from './s3.ts';

export type Task =
  | { readonly kind: 'phase'; readonly size: number; readonly plan: PhasePlan }
  | { readonly kind: 'fill'; readonly size: number; readonly plan: PhasePlan };
export interface WorkerStart {
  readonly options: BenchOptions;
  readonly endpoint: string;
}
export type WorkerAnswer = { readonly result: PhaseResult | null } | { readonly failure: string };

/** Runs tasks one after the other in this process; keeps the last size's content. */
export function createRunner(options: BenchOptions) {
  let content: Content | null = null;
  return async (task: Task): Promise<PhaseResult | null> => {
    if (content?.size !== task.size) content = createContent(task.size);
    const s3 = createS3(options, task.plan.concurrency);
    try {
      if (task.kind === 'phase') return await runPhase(s3, content, task.plan);
      await fill(s3, content, task.plan);
      return null;
    } finally {
      await s3.close();
    }
  };
}

if (process.send && process.argv[2] === 'worker') {
  let run: ReturnType<typeof createRunner> | null = null;
  process.on('message', (message: WorkerStart | Task) => {
    if ('options' in message) {
      run = createRunner({ ...message.options, endpoint: new URL(message.endpoint) });
      return;
    }
    run!(message).then(
      (result) => process.send!({ result } satisfies WorkerAnswer),
      (error: Error) => process.send!({ failure: error.message } satisfies WorkerAnswer),
    );
  });
  process.on('disconnect', () => process.exit(0));
}
