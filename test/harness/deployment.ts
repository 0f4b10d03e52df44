/**
 * A deployment for a test: the members of two centers as separate processes, each `antipode … --config FILE`, no
 * supervisor. Addresses and folders are its own; what was started is gone after `stop()`.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder, processesOf, type Run, runCommand, takeSubnets, untilNoneRuns } from './store.ts';

export const DIRECTORIES = ['directory-a5', 'directory-b5'] as const;
export const NODES = ['node-a11', 'node-b11', 'node-a12', 'node-b12'] as const;
export const GATEWAYS = ['gateway-a', 'gateway-b'] as const;

/** Machines are crowded; the catalog is made and copied meanwhile. */
const READY_MS = 120_000;

export interface DeploymentOptions {
  /** The first number of every address; 127 unless the members have networks of their own. */
  readonly net?: number;
  /** What to put before a member's command line. */
  readonly inside?: (id: string) => readonly string[];
  /** Where the test reaches a gateway's S3 port. */
  readonly endpoint?: (gateway: string) => string;
  /** Gateways: directories that others run, as connection settings. */
  readonly directories?: (deployment: Deployment) => Readonly<Record<string, unknown>>;
}

export class Deployment {
  readonly folder: string;
  readonly #options: DeploymentOptions;
  readonly octet: number;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly #release: () => void;
  readonly #runs = new Map<string, Run>();

  private constructor(octet: number, release: () => void, folder: string, options: DeploymentOptions) {
    this.#options = options;
    this.octet = octet;
    this.#release = release;
    this.folder = folder;
    const file = join(folder, 'secrets', 'root-credentials.json');
    const { accessKeyId, secretKey } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
    this.credentials = { accessKeyId: accessKeyId!, secretAccessKey: secretKey! };
  }

  /** Secrets and files; nothing runs yet. */
  static async make(
    settings: Readonly<Record<string, unknown>> = {},
    options: DeploymentOptions = {},
  ): Promise<Deployment> {
    const { octet, release } = await takeSubnets();
    const folder = makeFolder();
    const code = await runCommand(['secrets', 'init', join(folder, 'secrets')]).exited;
    if (code !== 0) throw new Error(`secrets init ended with ${code}`);
    const deployment = new Deployment(octet, release, folder, options);
    for (const id of [...DIRECTORIES, ...NODES, ...GATEWAYS]) deployment.#writeFile(id, settings);
    return deployment;
  }

  get #net(): number {
    return this.#options.net ?? 127;
  }

  address(id: string): string {
    const host = /\d+$/.exec(id)?.[0] ?? '3';
    return `${this.#net}.${id.includes('-a') ? 1 : 2}.${this.octet}.${host}`;
  }

  endpoint(gateway: string): string {
    return this.#options.endpoint?.(gateway) ?? `http://${this.address(gateway)}:9000`;
  }

  start(...ids: string[]): void {
    for (const id of ids) {
      const kind = id.slice(0, id.indexOf('-'));
      this.#runs.set(id, runCommand([kind, '--config', join(this.folder, `${id}.yaml`)], this.#wrapper(id)));
    }
  }

  #wrapper(id: string): { wrapper?: readonly string[] } {
    return this.#options.inside ? { wrapper: this.#options.inside(id) } : {};
  }

  /** Of the member, its Postgres and whatever else works in its folder. */
  pids(id: string): number[] {
    return [this.#runs.get(id)?.child.pid, ...processesOf(join(this.folder, id))].filter(
      (pid) => pid !== undefined,
    );
  }

  /** SIGKILL of all its processes; resolves when they are gone. */
  async kill(id: string): Promise<void> {
    const run = this.#runs.get(id);
    this.#runs.delete(id);
    for (const pid of [run?.child.pid, ...processesOf(join(this.folder, id))]) {
      try {
        if (pid !== undefined) process.kill(pid, 'SIGKILL');
      } catch {
        // Gone already.
      }
    }
    await run?.exited;
    await untilNoneRuns(join(this.folder, id));
  }

  /** An `antipode` command on this deployment, by a gateway's admin address. */
  async command(
    gateway: string,
    ...args: string[]
  ): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const { accessKeyId, secretAccessKey } = this.credentials;
    const run = runCommand([...args, '--admin', `${this.address(gateway)}:9001`], {
      ...this.#wrapper(gateway),
      env: { ANTIPODE_ACCESS_KEY: accessKeyId, ANTIPODE_SECRET_KEY: secretAccessKey },
    });
    const code = await run.exited;
    return { code, stdout: run.stdout(), stderr: run.stderr() };
  }

  log(id: string): string {
    return this.#runs.get(id)?.stderr() ?? '';
  }

  async until(what: string, condition: () => boolean | Promise<boolean>, ms = 60_000): Promise<void> {
    const end = performance.now() + ms;
    while (!(await condition())) {
      if (performance.now() > end) {
        const logs = [...this.#runs.keys()].map((id) => `── ${id}\n${this.log(id).slice(-2_000)}`);
        throw new Error(`not within ${ms} ms: ${what}\n${logs.join('\n')}`);
      }
      await sleep(50);
    }
  }

  async ready(gateway: string): Promise<void> {
    const url = `${this.endpoint(gateway)}/-/ready`;
    await this.until(
      `${gateway} is ready`,
      () =>
        fetch(url).then(
          (r) => r.ok,
          () => false,
        ),
      READY_MS,
    );
  }

  /** By force: nothing of it is needed any more. */
  async stop(): Promise<void> {
    await Promise.all([...this.#runs.keys()].map((id) => this.kill(id)));
    this.#release();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #writeFile(id: string, settings: Readonly<Record<string, unknown>>): void {
    mkdirSync(join(this.folder, id), { mode: 0o700 });
    const portOf = { directory: 7432, node: 7100, gateway: 9000 };
    const members = [...DIRECTORIES, ...NODES, ...GATEWAYS].map((member) => {
      const kind = member.slice(0, member.indexOf('-')) as keyof typeof portOf;
      return { id: member, kind, address: this.address(member), port: portOf[kind] };
    });
    const host = this.address(id);
    const file = {
      member: id,
      dataDir: join(this.folder, id),
      secretsDir: join(this.folder, 'secrets'),
      cluster: {
        centers: [
          { name: 'a', subnets: [`${this.#net}.1.${this.octet}.0/24`] },
          { name: 'b', subnets: [`${this.#net}.2.${this.octet}.0/24`] },
        ],
        members,
      },
      settings,
      ...(id.startsWith('gateway')
        ? {
            gateway: { listen: { host, port: 9000 }, admin: { host, port: 9001 } },
            ...(this.#options.directories && { directories: this.#options.directories(this) }),
          }
        : {}),
    };
    writeFileSync(join(this.folder, `${id}.yaml`), JSON.stringify(file, null, 2));
  }
}
