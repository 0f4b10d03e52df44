/** A directory without a supervisor, put together: its keeper over its folder, its server, its twin's agent and its control port. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { systemClock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import type { MemberConfig } from '../config.ts';
import { buildTopology } from '../twin/load.ts';
import { openAgentControl } from './agent-control.ts';
import { agentAt, clientOf } from './agent-peers.ts';
import { readRole, writeRole } from './agent-role.ts';
import type { NameAnswers } from './agent-search.ts';
import { readControlFile } from './control-file.ts';
import { DirectoryAgent } from './directory-agent.ts';
import { dropAside, isStandbyFolder, makePrimaryFolder } from './directory-folder.ts';
import { type DirectoryFolder, DirectoryKeeper, type KeeperOptions } from './directory-keeper.ts';
import { isInitialized } from './postgres.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { killFolder } from './postgres-processes.ts';
import { readKey, readPasswords } from './secrets.ts';

export interface Keeper {
  end(): Promise<void>;
}

/** Opens the control port first: of two processes for one member the second ends before it touches the folder. */
export async function startKeeper(
  config: MemberConfig,
  log: Logger,
  binaries: PostgresBinaries,
  names: Pick<NameAnswers, 'answer'>,
): Promise<Keeper> {
  const clock = systemClock;
  const { dataDir, settings } = config;
  const keeper = new DirectoryKeeper({
    ...{ member: config.member as MemberId, ...pairOf(config), settings, clock, log },
    roles: { read: () => readRole(dataDir), write: (record) => writeRole(dataDir, record) },
    folder: folderOf(config, binaries),
    agent: (send) => new DirectoryAgent(config, { log, send }, binaries),
    newOrder: randomUUID,
  });
  const control = await openAgentControl({
    member: config.member,
    ...agentAt(config, config.member),
    secret: readKey(config.secretsDir, 'cluster'),
    ...{ clock, log, orders: keeper, answerSearch: names.answer },
  });
  const running = keeper.run();
  return {
    async end() {
      await control.close();
      await keeper.end();
      await running;
    },
  };
}

function folderOf({ dataDir, secretsDir }: MemberConfig, binaries: PostgresBinaries): DirectoryFolder {
  const folder = join(dataDir, 'pg');
  return {
    state() {
      if (!isInitialized(folder)) return 'empty';
      return isStandbyFolder(folder) ? 'standby' : 'primary';
    },
    identity: () => readControlFile(folder),
    make: () => makePrimaryFolder(binaries, folder, readPasswords(secretsDir).superuser),
    kill: () => killFolder(folder),
    dropAside: () => dropAside(folder),
  };
}

function pairOf(config: MemberConfig): Pick<KeeperOptions, 'pair' | 'twin'> {
  const pairs = [...buildTopology(config.cluster).pairs.values()];
  const self = config.member as MemberId;
  const pair = pairs.find((p) => p.members.includes(self));
  if (!pair) throw new Error(`${self} is in no pair`);
  const isFirst = pair.members[0] === self;
  const id = pair.members[isFirst ? 1 : 0];
  return { pair: pair.id, twin: { id, isFirst, client: clientOf(config, id, systemClock) } };
}
