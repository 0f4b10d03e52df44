/** A storage node's process: its configuration, the node itself, an orderly end. */
import type { MemberConfig } from '../../config.ts';
import { memberProcess } from '../member.ts';

export async function runNode(config: MemberConfig): Promise<void> {
  const proc = memberProcess({
    id: config.member,
    dataDir: config.dataDir,
    logLevel: config.settings.logLevel,
  });
  proc.send({ type: 'ready', ports: {} });
}
