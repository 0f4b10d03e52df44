/** A node as a process of its own, so that it can be killed or stopped. Run as a program it is that process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { NodeOptions } from '../../../src/nodes/server.ts';
import { startTestNode } from '../../integration/nodes/fixture.ts';

export interface NodeProcess extends AsyncDisposable {
  readonly port: number;
  readonly child: ChildProcess;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
}

const READY_MS = 20_000;

/** `options`: whatever JSON can say of NodeOptions. */
export async function spawnNode(folder: string, options: Partial<NodeOptions> = {}): Promise<NodeProcess> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), folder, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const [line] = (await once(child.stdout!, 'data', { signal: AbortSignal.timeout(READY_MS) })) as [Buffer];
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { port: Number(line.toString()), child, kill, [Symbol.asyncDispose]: kill };
}

if (import.meta.main) {
  const node = await startTestNode(process.argv[2]!, JSON.parse(process.argv[3]!) as Partial<NodeOptions>);
  process.on('disconnect', () => process.exit(0));
  console.log(node.port);
}
