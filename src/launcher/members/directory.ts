/**
 * A directory's process. Under a supervisor it takes its role from there and reports to it; without one it keeps its role
 * itself (agent-keeper.ts) and answers gateways and operators on its control port.
 */
import { chmodSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import type { MemberConfig } from '../../config.ts';
import { startKeeper } from '../agent-keeper.ts';
import { type NameAnswers, openAgentSearch } from '../agent-search.ts';
import { SupervisedSight } from '../agent-supervised.ts';
import { DirectoryAgent } from '../directory-agent.ts';
import { type MemberProcess, memberProcess } from '../member.ts';
import { findPostgres, type PostgresBinaries } from '../postgres-binaries.ts';

export async function runDirectory(config: MemberConfig): Promise<void> {
  const proc = memberProcess({
    id: config.member,
    dataDir: config.dataDir,
    logLevel: config.settings.logLevel,
  });
  const binaries = await findPostgres(join(config.dataDir, 'lib'));
  if (binaries.runAs.kind === 'uid')
    // Another uid must be able to pass through to its folders, and to see nothing on the way.
    for (const folder of [config.dataDir, dirname(config.dataDir)]) chmodSync(folder, 0o711);
  if (!proc.supervised) return keepItself(config, proc, binaries);
  const sight = new SupervisedSight(config, proc);
  const agent = new DirectoryAgent(config, sight, binaries);
  proc.onEnd(() => agent.end());
  proc.onMessage((message) => {
    if (message.type === 'role') {
      sight.told(message.role, message.turn);
      agent.take(message.role, message.turn);
    }
    if (message.type === 'decisions') agent.remember(message.events);
    if (message.type === 'synchronous') {
      sight.toldSynchronous(message.on);
      agent.setSynchronous(message.on);
    }
  });
  const names = await openAgentSearch(config, { clock: systemClock, log: proc.log });
  proc.onEnd(() => names.close());
  await answerOthers(sight, names, proc);
  proc.send({ type: 'listening' });
  proc.send({ type: 'ready', ports: {} });
}

/** A port that is taken keeps no directory from its work: the supervisor's own gateway needs none. */
async function answerOthers(sight: SupervisedSight, names: NameAnswers, proc: MemberProcess): Promise<void> {
  try {
    const control = await sight.open(names);
    proc.onEnd(() => control.close());
  } catch (error) {
    proc.log.warn({ err: error }, 'gateways that the supervisor did not start cannot ask this directory');
  }
}

async function keepItself(
  config: MemberConfig,
  proc: MemberProcess,
  binaries: PostgresBinaries,
): Promise<void> {
  try {
    const names = await openAgentSearch(config, { clock: systemClock, log: proc.log });
    proc.onEnd(() => names.close());
    const keeper = await startKeeper(config, proc.log, binaries, names);
    proc.onEnd(() => keeper.end());
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException & { address?: string; port?: number };
    if (syscall !== 'listen') throw error;
    await proc.refuse(
      `the agent of ${config.member} cannot listen (${code}): ${message}; does another one run?`,
    );
  }
}
