/** The gateway's process. */
import type { MemberConfig } from '../../config.ts';
import { memberProcess } from '../member.ts';

export async function runGateway(config: MemberConfig): Promise<void> {
  const proc = memberProcess({
    id: config.member,
    dataDir: config.dataDir,
    logLevel: config.settings.logLevel,
  });
  proc.send({ type: 'ready', ports: { s3: 1, admin: 2 } });
}
